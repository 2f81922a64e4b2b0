// A seccomp profile with its words resolved: actions, operators, flags, system calls, ABIs.
// First half of plan/seccomp.h: everything that can be wrong with a profile is found here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/syscall_table.h"
#include "spec/container_spec.h"

namespace caisson::plan {

enum class NativeArch : std::uint8_t;

enum class Compare : std::uint8_t {
  kNotEqual,
  kLess,
  kLessEqual,
  kEqual,
  kGreaterEqual,
  kGreater,
  kMaskedEqual
};

struct SeccompCondition {  // holds when (argument & mask) stands in the relation to value
  std::uint8_t arg = 0;
  Compare compare{};
  std::uint64_t mask = 0;  // all ones but for kMaskedEqual
  std::uint64_t value = 0;
};

// All conditions must hold; without any the rule is unconditional.
struct SeccompProfileRule {
  std::uint32_t action = 0;  // SECCOMP_RET_* with data
  bool redundant = false;  // same as the default action: of no effect but for the newest known call
  std::vector<SeccompCondition> conditions;  // by rising argument, one for each
};

struct SeccompCall {
  const SyscallEntry* syscall;
  std::uint32_t rule;  // index
};

struct SeccompProfile {
  std::uint32_t default_action = 0;
  // Calls newer than every call that the profile names answer ENOSYS and not the default action, so
  // that programs fall back to what they did before such a call existed (glibc does: clone3,
  // openat2, faccessat2 ...).
  bool newer_are_enosys = false;
  std::uint32_t filter_flags =
      0;                  // SECCOMP_FILTER_FLAG_*, without what the program's content asks for
  std::vector<Abi> abis;  // that this machine can run and the profile lets pass, native first
  std::vector<SeccompProfileRule> rules;
  std::vector<SeccompCall> calls;  // in the profile's order
  spec::Strings unknown_syscalls;
};

Result<SeccompProfile> read_seccomp_profile(const spec::Seccomp& seccomp, NativeArch native);

// The names that a profile may use, for `features`.
std::vector<std::string_view> seccomp_action_names();
std::vector<std::string_view> seccomp_operator_names();
std::vector<std::string_view> seccomp_architecture_names();
std::vector<std::string_view> seccomp_flag_names();

}  // namespace caisson::plan
