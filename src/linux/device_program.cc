#include "linux/device_program.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "sys/bpf.h"

namespace caisson::linux {
namespace {

// Registers of the program. 1 holds the context at the start, 0 the result at the end.
enum Register : std::uint8_t {
  kResult = 0,
  kContext = 1,
  kType = 2,
  kAccess = 3,
  kMajor = 4,
  kMinor = 5
};

constexpr std::uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

std::uint32_t access_bits(const std::string& access) {
  std::uint32_t bits = 0;
  for (char letter : access) {
    if (letter == 'm') bits |= BPF_DEVCG_ACC_MKNOD;
    if (letter == 'r') bits |= BPF_DEVCG_ACC_READ;
    if (letter == 'w') bits |= BPF_DEVCG_ACC_WRITE;
  }
  return bits;
}

class Assembler {
 public:
  void load_word(Register to, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, to, kContext, static_cast<std::int16_t>(offset), 0);
  }
  void copy(Register to, Register from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void mask(Register to, std::uint32_t bits) {
    add(BPF_ALU | BPF_AND | BPF_K, to, 0, 0, static_cast<std::int32_t>(bits));
  }
  void shift_right(Register to, int bits) { add(BPF_ALU | BPF_RSH | BPF_K, to, 0, 0, bits); }
  // Conditional jumps: the target is set by land().
  std::size_t jump(int condition, Register left, std::uint32_t right) {
    // The 64 bit class would compare with the sign-extended immediate.
    add(BPF_JMP32 | condition | BPF_K, left, 0, 0, static_cast<std::int32_t>(right));
    return program_.size() - 1;
  }
  void land(std::size_t jump) {
    program_[jump].offset = static_cast<std::int16_t>(program_.size() - jump - 1);
  }
  void leave(bool allow) {
    add(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, allow ? 1 : 0);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  std::vector<DeviceInstruction> take() && { return std::move(program_); }

 private:
  void add(int code, std::uint8_t to, std::uint8_t from, std::int16_t offset, std::int32_t value) {
    program_.push_back({static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(to | from << 4),
                        offset, value});
  }
  std::vector<DeviceInstruction> program_;
};

bool device_fits_32_bits(const std::optional<std::int64_t>& number) {
  return !number || (*number >= 0 && *number <= 0xffff'ffffLL);
}

bool matches_every_device(const plan::CgroupDevice& rule) {
  return rule.type == 'a' && !rule.major && !rule.minor;
}

// The accesses still undecided are in kAccess. An allowing rule strikes its own off the list, and
// none left is a yes; a refusing rule says no to any of its own.
void add_rule(Assembler& out, const plan::CgroupDevice& rule, std::uint32_t access) {
  std::array<std::size_t, 4> next{};
  std::size_t jumps = 0;
  if (rule.type != 'a') {
    std::uint32_t type = rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    next[jumps++] = out.jump(BPF_JNE, kType, type);
  }
  if (rule.major) {
    next[jumps++] = out.jump(BPF_JNE, kMajor, static_cast<std::uint32_t>(*rule.major));
  }
  if (rule.minor) {
    next[jumps++] = out.jump(BPF_JNE, kMinor, static_cast<std::uint32_t>(*rule.minor));
  }
  if (access != kAllAccess && rule.allow) {
    out.mask(kAccess, ~access);
    next[jumps++] = out.jump(BPF_JNE, kAccess, 0);
  } else if (access != kAllAccess) {
    out.copy(kResult, kAccess);
    out.mask(kResult, access);
    next[jumps++] = out.jump(BPF_JEQ, kResult, 0);
  }
  out.leave(rule.allow);
  for (std::size_t i = 0; i < jumps; ++i) out.land(next[i]);
}

// Rules that allow everything to single devices, or to all of one major number. Among themselves
// their order means nothing, so that a run of them needs one look at the type and one at each
// major: half of the branches, whose number is what the verifier's time depends on.
bool is_plain(const plan::CgroupDevice& rule) {
  return rule.allow && rule.type != 'a' && rule.major && access_bits(rule.access) == kAllAccess &&
         device_fits_32_bits(rule.major) && device_fits_32_bits(rule.minor);
}

// The rules of a run that are about `major`: no minor means all of them.
void add_major(Assembler& out, std::span<const plan::CgroupDevice> run, std::int64_t major,
               std::vector<std::size_t>& misses) {
  std::size_t other_major = out.jump(BPF_JNE, kMajor, static_cast<std::uint32_t>(major));
  std::vector<std::int64_t> minors;
  bool all = false;
  for (const auto& rule : run) {
    if (*rule.major != major) continue;
    all |= !rule.minor;
    if (rule.minor) minors.push_back(*rule.minor);
  }
  std::vector<std::size_t> hits;
  for (std::size_t i = 0; !all && i < minors.size(); ++i) {
    bool last = i + 1 == minors.size();
    std::size_t at =
        out.jump(last ? BPF_JNE : BPF_JEQ, kMinor, static_cast<std::uint32_t>(minors[i]));
    (last ? misses : hits).push_back(at);
  }
  for (std::size_t hit : hits) out.land(hit);
  out.leave(true);
  out.land(other_major);
}

void add_run(Assembler& out, std::span<const plan::CgroupDevice> run) {
  std::vector<std::size_t> misses;
  std::uint32_t type = run[0].type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  misses.push_back(out.jump(BPF_JNE, kType, type));
  for (std::size_t i = 0; i < run.size(); ++i) {
    auto same_major = [&](const auto& rule) { return *rule.major == *run[i].major; };
    if (std::ranges::any_of(run.first(i), same_major)) continue;
    add_major(out, run, *run[i].major, misses);
  }
  for (std::size_t miss : misses) out.land(miss);
}

Error load_error(Errno error) {
  const char* cure = "Check the kernel's log.";
  if (error.value == EPERM || error.value == EACCES) {
    cure =
        "Run as root: device rules of a v2 cgroup are a BPF program, and an outer container or "
        "user namespace may not load one.";
  } else if (error.value == ENOSYS || error.value == EINVAL) {
    cure = "Use a kernel with CONFIG_CGROUP_BPF, 5.1 or newer.";
  } else if (error.value == E2BIG) {
    cure = "Give fewer device rules.";
  }
  return Error(error)
      .doing("load the program of the device rules")
      .cure(cure)
      .code("cgroup.devices");
}

// Takes the programs `old` off, after another was put beside them.
ErrnoOr<> detach_all(FdRef cgroup, std::span<const std::uint32_t> old) {
  for (std::uint32_t id : old) {
    auto program = sys::bpf_program_by_id(id);
    if (!program && program.error().value == ENOENT) continue;
    if (!program) return std::unexpected(program.error());
    auto detached = sys::bpf_detach(cgroup, *program, BPF_CGROUP_DEVICE);
    if (!detached && detached.error().value != ENOENT) return detached;
  }
  return {};
}

ErrnoOr<> attach(FdRef cgroup, FdRef program) {
  std::array<std::uint32_t, 64> ids{};
  std::size_t count = TRY(sys::bpf_query(cgroup, BPF_CGROUP_DEVICE, ids));
  if (count == 1) {
    Fd old = TRY(sys::bpf_program_by_id(ids[0]));
    auto replaced = sys::bpf_attach(cgroup, program, BPF_CGROUP_DEVICE,
                                    BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old.number());
    // Older than 5.6, or put there by somebody who allows no second: go the longer way.
    if (replaced || replaced.error().value != EINVAL) return replaced;
  }
  TRY(sys::bpf_attach(cgroup, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI));
  return detach_all(cgroup, std::span(ids).first(count));
}

}  // namespace

std::vector<DeviceInstruction> compile_device_program(
    const std::vector<plan::CgroupDevice>& rules) {
  Assembler out;
  out.load_word(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  out.load_word(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  out.load_word(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  out.copy(kAccess, kType);
  out.mask(kType, 0xffff);
  out.shift_right(kAccess, 16);
  for (std::size_t i = rules.size(); i-- > 0;) {
    const auto& rule = rules[i];
    if (is_plain(rule)) {
      std::size_t end = i + 1;
      while (i > 0 && is_plain(rules[i - 1]) && rules[i - 1].type == rule.type) --i;
      add_run(out, std::span(rules).subspan(i, end - i));
      continue;
    }
    std::uint32_t access = access_bits(rule.access);
    if (access == 0) continue;
    if (!device_fits_32_bits(rule.major) || !device_fits_32_bits(rule.minor)) continue;
    add_rule(out, rule, access);
    // What stands before a rule for everything has no say, and the verifier refuses dead code.
    if (matches_every_device(rule) && access == kAllAccess) return std::move(out).take();
  }
  out.leave(false);
  return std::move(out).take();
}

Result<> set_device_program(FdRef cgroup, const std::vector<plan::CgroupDevice>& rules) {
  static_assert(sizeof(DeviceInstruction) == sizeof(bpf_insn));
  auto compiled = compile_device_program(rules);
  std::vector<bpf_insn> program(compiled.size());
  std::memcpy(program.data(), compiled.data(), compiled.size() * sizeof(bpf_insn));
  auto loaded = sys::bpf_load(BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, program);
  if (!loaded) return std::unexpected(load_error(loaded.error()));
  auto attached = attach(cgroup, *loaded);
  if (!attached) {
    return std::unexpected(Error(attached.error())
                               .doing("attach the device program to the cgroup")
                               .cure("Check that no program without BPF_F_ALLOW_MULTI is attached "
                                     "to it or to a parent (bpftool cgroup tree).")
                               .code("cgroup.devices"));
  }
  return {};
}

}  // namespace caisson::linux
