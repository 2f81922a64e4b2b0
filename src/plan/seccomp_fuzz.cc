// A random profile must compile to a program that the kernel takes and that means what a direct
// reading of the profile means.
#include "plan/seccomp.h"

#include <linux/audit.h>

#include <cstdlib>
#include <iterator>

#include "base/text.h"
#include "plan/bpf_evaluator.h"
#include "plan/seccomp_reference.h"

namespace {

using namespace caisson;        // NOLINT(google-build-using-namespace): a program of its own
using namespace caisson::plan;  // NOLINT(google-build-using-namespace)

constexpr const char* kActions[] = {"KILL",  "KILL_PROCESS", "KILL_THREAD", "TRAP",   "ERRNO",
                                    "TRACE", "ALLOW",        "LOG",         "NOTIFY", "NONSENSE"};
constexpr const char* kOps[] = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ", "NONSENSE"};
constexpr const char* kArches[] = {"X86_64", "X86", "X32", "AARCH64", "ARM", "S390X"};
constexpr const char* kNames[] = {"read",   "write",  "ioctl",      "socket",     "accept", "send",
                                  "semop",  "clone3", "execve",     "cacheflush", "ipc",    "mmap2",
                                  "openat", "mseal",  "socketcall", "no_such"};

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  template <std::size_t size>
  const char* pick(const char* const (&table)[size]) {
    return table[byte() % size];
  }
  // Few bits set, small, or near a boundary of the halves: where comparisons go wrong.
  std::uint64_t value() {
    const std::uint8_t shape = byte();
    const std::uint64_t small = shape >> 3;
    switch (shape & 7) {
      case 0: return small;
      case 1: return 0xffffffff - small;
      case 2: return 0x100000000 + small;
      case 3: return ~std::uint64_t{0} - small;
      case 4: return std::uint64_t{byte()} << (2 * small);
      case 5: return small << 32 | byte();
      default: return std::uint64_t{byte()} << 32 | std::uint64_t{byte()} << 8 | small;
    }
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

spec::SeccompRule rule_from(Bytes& bytes) {
  spec::SeccompRule rule;
  rule.action = cat("SCMP_ACT_", bytes.pick(kActions));
  const std::uint8_t shape = bytes.byte();
  if (shape & 0x80) rule.errno_ret = bytes.byte();
  for (int i = 0; i < 1 + (shape & 3); ++i) rule.names.emplace_back(bytes.pick(kNames));
  for (int i = 0; i < ((shape >> 2) & 3); ++i) {
    spec::SeccompArg arg;
    arg.index = bytes.byte() % 7;
    arg.op = cat("SCMP_CMP_", bytes.pick(kOps));
    arg.value = bytes.value();
    arg.value_two = bytes.value();
    rule.args.push_back(arg);
  }
  return rule;
}

spec::Seccomp profile_from(Bytes& bytes) {
  spec::Seccomp seccomp;
  seccomp.default_action = cat("SCMP_ACT_", bytes.pick(kActions));
  seccomp.listener_path = "/agent";
  const std::uint8_t arches = bytes.byte();
  for (std::size_t i = 0; i < std::size(kArches); ++i)
    if (arches >> i & 1) seccomp.architectures.push_back(cat("SCMP_ARCH_", kArches[i]));
  const std::uint8_t rules = bytes.byte();
  for (int i = 0; i < rules && !bytes.empty(); ++i) seccomp.rules.push_back(rule_from(bytes));
  return seccomp;
}

SeccompData call_from(Bytes& bytes, const spec::Seccomp& seccomp) {
  static constexpr std::uint32_t kAuditArches[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
                                                   AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
  SeccompData data;
  const std::uint8_t shape = bytes.byte();
  data.arch = kAuditArches[shape & 3];
  data.number = bytes.byte() + (shape & 4 ? 256 : 0);
  if (const SyscallEntry* entry = find_syscall(bytes.pick(kNames)); entry != nullptr && shape & 8)
    data.number = entry->number(static_cast<Abi>(shape % kAbiCount));
  if (shape & 16) data.number |= static_cast<int>(kX32Bit);
  for (auto& arg : data.args) arg = bytes.value();
  if (seccomp.rules.empty()) return data;
  for (const auto& arg : seccomp.rules[bytes.byte() % seccomp.rules.size()].args)
    data.args[arg.index] = arg.value + (bytes.byte() % 3) - 1;
  return data;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const spec::Seccomp seccomp = profile_from(bytes);
  for (NativeArch native : {NativeArch::kX86_64, NativeArch::kAarch64}) {
    const auto plan = compile_seccomp(seccomp, native);
    if (!plan) return 0;
    require(check_bpf(plan->program).has_value());
    const reference::Interpreter interpreter(seccomp, native);
    Bytes calls = bytes;
    for (int i = 0; i < 32; ++i) {
      const SeccompData call = call_from(calls, seccomp);
      require(evaluate_bpf(plan->program, call).value == interpreter.run(call));
    }
  }
  return 0;
}
