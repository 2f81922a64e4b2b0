// Compiles a seccomp profile to the classic BPF program that seccomp(2) takes. Pure.
//
// Meaning, the same as runc's and crun's with libseccomp unless said:
// - A rule with the default action is left out. An unconditional rule beats conditional ones of the
//   same call, wherever they stand; of several unconditional ones the first counts.
// - Conditional rules of one call are alternatives, the most specific first: by the argument of
//   their first condition (higher index first), then ==, != and masked ==, then < and <= (smaller
//   value first), then > and >= (larger value first). It only matters when their actions differ.
//   (When a != or a masked == holds together with another condition on that argument, libseccomp's
//   choice follows from how its tree happened to grow; nothing can rely on it.)
//   Two rules with equal conditions and different actions are an error.
// - A rule with two conditions on one argument becomes one rule for each condition.
// - ABIs with 32-bit registers (i386, arm, and x32) compare the low half of an argument.
// - On i386 a rule for a socket or System V IPC call also covers that call made by socketcall(2) or
//   ipc(2), whose other arguments lie in memory and cannot be looked at.
// - A call through an architecture that the profile doesn't list kills the thread.
// - Names that no ABI knows are skipped; SeccompPlan::unknown_syscalls lists them.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "plan/plan.h"
#include "plan/seccomp_profile.h"

namespace caisson::plan {

enum class NativeArch : std::uint8_t { kX86_64, kAarch64 };

// What this program was built for.
constexpr NativeArch native_arch() {
#if defined(__aarch64__)
  return NativeArch::kAarch64;
#else
  return NativeArch::kX86_64;
#endif
}

Result<SeccompPlan> compile_seccomp(const spec::Seccomp& seccomp, NativeArch native);

}  // namespace caisson::plan
