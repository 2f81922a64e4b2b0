// The compiler against libseccomp: both get the same profile the way runc and crun hand it over,
// and both programs must give the same answer.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "plan/bpf_evaluator.h"
#include "plan/seccomp.h"
#include "plan/seccomp_reference.h"
#include "plan/seccomp_test_support.h"

#if defined(__SANITIZE_ADDRESS__)
// libseccomp 2.5.4 leaks parts of its trees when it refuses a rule.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions() {
  return "leak:libseccomp";
}
#endif

namespace caisson::plan {
namespace {

struct AbiNames {
  Abi abi;
  const char* name;
  std::uint32_t scmp, audit;
};
constexpr AbiNames kAbis[] = {
    {Abi::kX86_64, "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
    {Abi::kI386, "SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386},
    {Abi::kX32, "SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64},
    {Abi::kAarch64, "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64},
    {Abi::kArm, "SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM},
};

struct ReleaseContext {
  void operator()(void* context) const { seccomp_release(context); }
};

bool is_aarch64(const AbiNames& abi) { return abi.abi == Abi::kAarch64 || abi.abi == Abi::kArm; }

class Oracle {
 public:
  // Empty when libseccomp refuses a rule: it does for some that contradict or cover each other.
  static std::optional<Oracle> make(const spec::Seccomp& seccomp, NativeArch native) {
    Oracle oracle;
    oracle.default_ = scmp_action(seccomp.default_action, seccomp.default_errno_ret);
    oracle.context_.reset(seccomp_init(oracle.default_));
    if (!oracle.context_) return std::nullopt;
    if (!oracle.add_architectures(seccomp, native)) return std::nullopt;
    for (const auto& rule : seccomp.rules)
      for (const auto& name : rule.names)
        if (!oracle.add_rule(rule, name)) return std::nullopt;
    oracle.find_newest(seccomp, native);
    oracle.program_ = oracle.exported();
    return oracle;
  }

  std::uint32_t run(const SeccompData& data) const {
    if (newer_are_enosys_ &&
        !(data.arch == AUDIT_ARCH_ARM && private_calls_.contains(data.number))) {
      for (const auto& [abi, newest] : newest_)
        if (speaks(*abi, data) && newest >= 0 &&
            (static_cast<std::uint32_t>(data.number) & ~kX32Bit) > static_cast<unsigned>(newest))
          return SECCOMP_RET_ERRNO | ENOSYS;
    }
    return evaluate_bpf(program_, data).value;
  }

  std::string show() const { return disassemble_bpf(program_); }

  // libseccomp 2.5.4 forgets now and then to load the number of the call after it has looked at the
  // architecture, when the call that it tests first shares its test with another architecture. Such
  // a program compares the architecture with call numbers; it proves nothing.
  bool is_sound() const {
    constexpr std::uint16_t kJumpIfEqual = BPF_JMP | BPF_JEQ | BPF_K;
    for (std::size_t i = 1; i < program_.size() && program_[i].code == kJumpIfEqual;
         i += program_[i].jf + 1U) {
      const BpfInstruction& body = program_[i + 1 + program_[i].jt];
      const bool loads_number = body.code == (BPF_LD | BPF_W | BPF_ABS) && body.k == 0;
      if (!loads_number && BPF_CLASS(body.code) != BPF_RET) return false;
    }
    return true;
  }

 private:
  static std::uint32_t scmp_action(const std::string& name,
                                   std::optional<std::uint32_t> errno_ret) {
    return reference::action_value(name, errno_ret);  // libseccomp uses the kernel's values
  }

  bool add_architectures(const spec::Seccomp& seccomp, NativeArch native) {
    const bool foreign = native == NativeArch::kAarch64;
    if (foreign && (seccomp_arch_add(context_.get(), SCMP_ARCH_AARCH64) != 0 ||
                    seccomp_arch_remove(context_.get(), SCMP_ARCH_X86_64) != 0))
      return false;
    for (const auto& name : seccomp.architectures)
      for (const AbiNames& abi : kAbis) {
        if (abi.name != name || is_aarch64(abi) != foreign) continue;
        const int error = seccomp_arch_add(context_.get(), abi.scmp);
        if (error != 0 && error != -EEXIST) return false;
      }
    return true;
  }

  bool add_rule(const spec::SeccompRule& rule, const std::string& name) {
    const std::uint32_t action = scmp_action(rule.action, rule.errno_ret);
    if (action == default_) return true;
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) return true;
    std::vector<scmp_arg_cmp> args;
    std::set<unsigned> indices;
    for (const auto& arg : rule.args) {
      args.push_back({arg.index, scmp_operator(arg.op), arg.value, arg.value_two});
      indices.insert(arg.index);
    }
    const auto add = [&](const scmp_arg_cmp* first, std::size_t count) {
      return seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(count),
                                    first) == 0;
    };
    if (indices.size() == args.size()) return add(args.data(), args.size());
    return std::all_of(args.begin(), args.end(), [&](const auto& arg) { return add(&arg, 1); });
  }

  static scmp_compare scmp_operator(const std::string& op) {
    if (op == "SCMP_CMP_NE") return SCMP_CMP_NE;
    if (op == "SCMP_CMP_LT") return SCMP_CMP_LT;
    if (op == "SCMP_CMP_LE") return SCMP_CMP_LE;
    if (op == "SCMP_CMP_EQ") return SCMP_CMP_EQ;
    if (op == "SCMP_CMP_GE") return SCMP_CMP_GE;
    if (op == "SCMP_CMP_GT") return SCMP_CMP_GT;
    return SCMP_CMP_MASKED_EQ;
  }

  // What runc puts before libseccomp's program: ENOSYS above the largest number of a profile's
  // names.
  void find_newest(const spec::Seccomp& seccomp, NativeArch native) {
    const std::uint32_t kind = default_ & SECCOMP_RET_ACTION_FULL;
    newer_are_enosys_ =
        kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE;
    for (const AbiNames& abi : kAbis) {
      if (is_aarch64(abi) != (native == NativeArch::kAarch64)) continue;
      if (seccomp_arch_exist(context_.get(), abi.scmp) != 0) continue;
      int newest = -1;
      for (const auto& rule : seccomp.rules)
        for (const auto& name : rule.names) {
          newest = std::max(newest, own_number(abi, name));
          if (const SyscallEntry* entry = find_syscall(name); entry != nullptr)
            private_calls_.insert(std::max(0, entry->number(Abi::kArm)));
        }
      newest_.emplace_back(&abi, newest);
    }
  }

  // Two deviations from runc, both on purpose: ARM's private calls are not the newest ones, and a
  // socket call on i386 counts with the number it has since Linux 4.3.
  static int own_number(const AbiNames& abi, const std::string& name) {
    const SyscallEntry* entry = find_syscall(name);
    if (entry == nullptr) return -1;
    int number = entry->number(abi.abi);
    if (abi.abi == Abi::kI386 && entry->i386_multiplexed > 0)
      number = std::max(number, entry->i386_multiplexed < 100 ? 102 : 117);
    return number < kArmPrivateBase ? number : -1;
  }

  static bool speaks(const AbiNames& abi, const SeccompData& data) {
    if (abi.audit != data.arch) return false;
    // runc looks at the bit alone; libseccomp and we take all numbers above it for x32 ones.
    if (abi.abi == Abi::kX86_64) return static_cast<std::uint32_t>(data.number) < kX32Bit;
    if (abi.abi == Abi::kX32) return static_cast<std::uint32_t>(data.number) >= kX32Bit;
    return true;
  }

  std::vector<BpfInstruction> exported() const {
    const Fd file(memfd_create("bpf", MFD_CLOEXEC));
    EXPECT_EQ(seccomp_export_bpf(context_.get(), file.number()), 0);
    const auto bytes = static_cast<std::size_t>(lseek(file.number(), 0, SEEK_END));
    std::vector<BpfInstruction> program(bytes / sizeof(BpfInstruction));
    EXPECT_EQ(pread(file.number(), program.data(), bytes, 0), static_cast<ssize_t>(bytes));
    return program;
  }

  std::unique_ptr<void, ReleaseContext> context_;
  std::uint32_t default_ = 0;
  bool newer_are_enosys_ = false;
  std::vector<std::pair<const AbiNames*, int>> newest_;
  std::set<int> private_calls_;  // numbers on ARM of all that the profile names
  std::vector<BpfInstruction> program_;
};

// The library's tables may be older than ours: whether it knows a name and gives it our numbers.
// (It numbers the calls of socketcall(2) and ipc(2) in its own way on i386.)
bool is_common(const std::string& name) {
  if (seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR) return false;
  const SyscallEntry* entry = find_syscall(name);
  return entry != nullptr && std::all_of(std::begin(kAbis), std::end(kAbis), [&](const auto& abi) {
           if (abi.abi == Abi::kI386 && entry->i386_multiplexed > 0) return true;
           const int theirs = seccomp_syscall_resolve_name_arch(abi.scmp, name.c_str());
           return std::max(theirs, -1) == (abi.abi == Abi::kX32 && entry->number(abi.abi) >= 0
                                               ? entry->number(abi.abi) + static_cast<int>(kX32Bit)
                                               : entry->number(abi.abi));
         });
}

std::vector<std::string> common_names() {
  std::vector<std::string> names = {"send",       "recv",       "accept",
                                    "breakpoint", "cacheflush", "set_tls"};
  for (int number = 0; number < 1000; ++number)
    for (const AbiNames& abi : kAbis)
      if (const std::string name(syscall_name(abi.abi, number)); is_common(name))
        names.push_back(name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  names.resize(names.size() / 5 * 5);  // RandomProfiles takes every fifth for one action
  return names;
}

spec::Seccomp common_part(spec::Seccomp seccomp) {
  for (auto& rule : seccomp.rules)
    std::erase_if(rule.names, [](const std::string& name) { return !is_common(name); });
  return seccomp;
}

// Calls worth a look for one profile: all numbers, and for the calls with conditions many
// arguments.
class Comparison {
 public:
  Comparison(const spec::Seccomp& seccomp, NativeArch native, const SeccompPlan& plan,
             const Oracle& oracle, unsigned seed)
      : seccomp_(seccomp),
        native_(native),
        plan_(plan),
        oracle_(oracle),
        interpreter_(seccomp, native),
        random_(seed) {}

  // The number of calls that got different answers; tells of the first.
  int differences() {
    for (const AbiNames& abi : kAbis) {
      if (is_aarch64(abi) != (native_ == NativeArch::kAarch64)) continue;
      const int bit = abi.abi == Abi::kX32 ? static_cast<int>(kX32Bit) : 0;
      for (int number = 0; number <= 600; ++number) look(abi, bit + number, {});
      for (int number : {-1, -2, 0x3fffffff, 0x7fffffff, 0xf0001, 0xf0002, 0xf0005, 0xf0007})
        look(abi, number, {});
      for (int i = 0; i < 50; ++i) look(abi, static_cast<int>(random_.value()), {});
      for (const auto& rule : seccomp_.rules)
        if (!rule.args.empty())
          for (const auto& name : rule.names) look_at_arguments(abi, bit, name, rule);
    }
    return differences_;
  }
  bool excused() const { return excused_; }

 private:
  void look_at_arguments(const AbiNames& abi, int bit, const std::string& name,
                         const spec::SeccompRule& rule) {
    const SyscallEntry* entry = find_syscall(name);
    if (entry == nullptr) return;
    for (int i = 0; i < 40; ++i) {
      std::array<std::uint64_t, 6> args;
      for (auto& arg : args) arg = random_.value();
      for (const auto& arg : rule.args)
        if (random_.below(3)) args[arg.index] = near(arg);
      if (entry->number(abi.abi) >= 0) look(abi, bit + entry->number(abi.abi), args);
      if (abi.abi != Abi::kI386 || entry->i386_multiplexed == 0) continue;
      args[0] = static_cast<std::uint64_t>(entry->i386_multiplexed % 100);
      look(abi, entry->i386_multiplexed < 100 ? 102 : 117, args);
    }
  }

  std::uint64_t near(const spec::SeccompArg& arg) {
    const std::uint64_t value =
        arg.op == "SCMP_CMP_MASKED_EQ" ? arg.value_two & arg.value : arg.value;
    switch (random_.below(6)) {
      case 0: return value + 1;
      case 1: return value - 1;
      case 2: return value ^ (std::uint64_t{1} << random_.below(64));
      default: return value;
    }
  }

  void look(const AbiNames& abi, int number, const std::array<std::uint64_t, 6>& args) {
    SeccompData data;
    data.number = number;
    data.arch = abi.audit;
    std::copy(args.begin(), args.end(), data.args);
    // The kernel shows 32-bit programs' arguments without a high half.
    if (abi.abi == Abi::kI386 || abi.abi == Abi::kArm)
      for (auto& arg : data.args) arg &= 0xffffffff;
    const std::uint32_t ours = evaluate_bpf(plan_.program, data).value;
    const std::uint32_t theirs = oracle_.run(data);
    if (ours == theirs) return;
    if (merges_wrongly(abi, data) && ours == interpreter_.run(data)) {
      excused_ = true;
      return;
    }
    if (differences_++ > 0) return;
    ADD_FAILURE() << abi.name << " " << number << " ("
                  << syscall_name(abi.abi, number & ~0x40000000) << ") args " << args[0] << " "
                  << args[1] << " " << args[2] << " " << args[3] << " " << args[4] << " " << args[5]
                  << ": ours " << describe_seccomp_action(ours) << ", libseccomp's "
                  << describe_seccomp_action(theirs) << "\n"
                  << shown();
  }

  // libseccomp 2.5.4 merges the rules of a call into one tree and gets some trees wrong: where a
  // rule with <, <=, > or >= meets another one it loses rules (64-bit comparisons share nodes that
  // they must not share), and after a rule of several conditions it may go on with the wrong
  // argument in the accumulator. There the direct reading of the profile decides; excused() counts.
  bool merges_wrongly(const AbiNames& abi, const SeccompData& data) const {
    int rules = 0;
    bool risky = false;
    for (const auto& rule : seccomp_.rules) {
      if (!names_call(rule, abi, data.number & ~static_cast<int>(kX32Bit))) continue;
      rules += 1 + static_cast<int>(rule.args.size() > 1);
      risky = risky || rule.args.size() > 1;
      for (const auto& arg : rule.args) risky = risky || arg.op.find_first_of("LG") != arg.op.npos;
    }
    return risky && rules > 1;
  }

  static bool names_call(const spec::SeccompRule& rule, const AbiNames& abi, int number) {
    return std::any_of(rule.names.begin(), rule.names.end(), [&](const std::string& name) {
      const SyscallEntry* entry = find_syscall(name);
      if (entry == nullptr) return false;
      const int carrier = entry->i386_multiplexed < 100 ? 102 : 117;
      return entry->number(abi.abi) == number ||
             (abi.abi == Abi::kI386 && entry->i386_multiplexed > 0 && carrier == number);
    });
  }

  std::string shown() const {
    std::string text =
        cat("default ", seccomp_.default_action, " for ", join(seccomp_.architectures, " "), "\n");
    for (const auto& rule : seccomp_.rules) {
      append(text, rule.action, " ", join(rule.names, " "));
      for (const auto& arg : rule.args)
        append(text, " [", arg.index, " ", arg.op, " ", arg.value, " ", arg.value_two, "]");
      text += '\n';
    }
    return text + oracle_.show();
  }

  const spec::Seccomp& seccomp_;
  NativeArch native_;
  const SeccompPlan& plan_;
  const Oracle& oracle_;
  const reference::Interpreter interpreter_;
  testing::RandomProfiles random_;
  int differences_ = 0;
  bool excused_ = false;
};

struct Tally {
  int compared = 0;  // profiles that both compiled
  int excused = 0;   // of them: with calls that libseccomp gets wrong
};

void compare(const spec::Seccomp& seccomp, NativeArch native, unsigned seed, Tally& tally) {
  const auto oracle = Oracle::make(seccomp, native);
  const auto plan = compile_seccomp(seccomp, native);
  if (!oracle || !oracle->is_sound() || !plan) return;
  ASSERT_TRUE(check_bpf(plan->program));
  ++tally.compared;
  Comparison comparison(seccomp, native, *plan, *oracle, seed);
  EXPECT_EQ(comparison.differences(), 0);
  tally.excused += comparison.excused();
}

#if defined(__x86_64__)

TEST(SeccompOracle, AgreesOnTheDefaultProfile) {
  Tally tally;
  auto profile = common_part(testing::default_profile());
  compare(profile, NativeArch::kX86_64, 1, tally);
  profile.default_errno_ret.reset();
  compare(profile, NativeArch::kX86_64, 1, tally);
  profile.architectures = {"SCMP_ARCH_ARM"};
  compare(profile, NativeArch::kAarch64, 1, tally);
  EXPECT_EQ(tally.compared, 3);
  EXPECT_EQ(tally.excused, 0);
}

TEST(SeccompOracle, AgreesOnRandomProfilesWithoutConflicts) {
  const auto names = common_names();
  ASSERT_GT(names.size(), 400U);
  testing::RandomProfiles random(7);
  Tally tally;
  for (unsigned round = 0; round < 400; ++round) {
    const auto profile = random.next(names, {.conflicts = false});
    compare(profile, NativeArch::kX86_64, round, tally);
    if (round % 4 == 0) compare(profile, NativeArch::kAarch64, round, tally);
  }
  EXPECT_GT(tally.compared, 400);
  EXPECT_LT(tally.excused, tally.compared / 5);
}

TEST(SeccompOracle, AgreesOnRandomRulesOfOneCallWithDifferentActions) {
  const std::vector<std::string> names = {"ioctl", "socket", "personality", "semop", "prctl"};
  testing::RandomProfiles random(11);
  Tally tally;
  for (unsigned round = 0; round < 600; ++round)
    compare(random.next(names, {.equal_only = true, .conditions = 1}), NativeArch::kX86_64, round,
            tally);
  EXPECT_GT(tally.compared, 100);
  EXPECT_EQ(tally.excused, 0);
}

TEST(SeccompOracle, AgreesOnThePrecedenceOfRules) {
  const char* const kProfiles[] = {
      "default ALLOW\nrule TRAP arg=0,EQ,1 arg=1,EQ,2\nioctl\nrule LOG arg=1,EQ,2\nioctl\n",
      "default ALLOW\nrule LOG arg=1,EQ,2\nioctl\nrule TRAP arg=0,EQ,1 arg=1,EQ,2\nioctl\n",
      "default ALLOW\nrule TRAP arg=0,EQ,1 arg=1,EQ,2\nioctl\nrule LOG arg=0,EQ,1 "
      "arg=2,EQ,3\nioctl\n",
      "default ALLOW\nrule TRAP arg=0,EQ,1 arg=2,EQ,2\nioctl\nrule LOG arg=0,EQ,1 "
      "arg=1,EQ,3\nioctl\n",
      "default ALLOW\nrule TRAP arg=0,EQ,1\nioctl\nrule LOG arg=0,EQ,1 arg=1,EQ,3\nioctl\n",
      "default ERRNO\nrule ALLOW arg=0,GE,5\nioctl\nrule LOG arg=0,EQ,7\nioctl\n",
      "default ERRNO\nrule LOG arg=0,EQ,7\nioctl\nrule ALLOW arg=0,GE,5\nioctl\n",
      "default ERRNO\nrule ALLOW arg=0,GE,5\nioctl\nrule LOG arg=0,GE,9\nioctl\n",
      "default ERRNO\nrule ALLOW arg=0,LE,9\nioctl\nrule LOG arg=0,GE,5\nioctl\n",
      "default ERRNO\nrule ALLOW arg=0,NE,1\nioctl\nrule LOG arg=3,EQ,2\nioctl\n",
      "default ERRNO\nrule LOG arg=3,EQ,2\nioctl\nrule ALLOW\nioctl\n",
      "default ERRNO\nrule ALLOW\nioctl\nrule LOG arg=3,EQ,2\nioctl\n",
      "default ERRNO\nrule ALLOW\nioctl\nrule LOG\nioctl\n",
  };
  for (const char* text : kProfiles) {
    Tally tally;
    compare(testing::profile_of(text), NativeArch::kX86_64, 1, tally);
    EXPECT_EQ(tally.compared, 1) << text;
    EXPECT_EQ(tally.excused, 0) << text;
  }
}

#endif

TEST(SyscallTable, HasLibseccompsNumbers) {
  for (const AbiNames& abi : kAbis) {
    for (int number = 0; number < 600; ++number) {
      const int bit = abi.abi == Abi::kX32 ? static_cast<int>(kX32Bit) : 0;
      char* theirs = seccomp_syscall_resolve_num_arch(abi.scmp, bit + number);
      if (theirs == nullptr) continue;
      const SyscallEntry* entry = find_syscall(theirs);
      EXPECT_TRUE(entry != nullptr && entry->number(abi.abi) == number)
          << abi.name << " " << number << " " << theirs;
      free(theirs);
    }
  }
}

}  // namespace
}  // namespace caisson::plan
