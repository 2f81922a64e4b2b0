// The seccomp filters of a stub, which know its own instructions by their addresses (layout.h).
//
// Base filter: of the whole stub; the helper thread has no other. Thread filter: added by each
// guest thread of systrap to itself, together with the listener that its hand-overs notify. A call
// must pass both. What is neither of the stub's own instructions is the guest's: it is trapped
// (systrap) or, since a tracer sees guest calls before any filter does, ends the stub (ptrace).
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "sandbox/platform/layout.h"

namespace caisson::sandbox::platform {

constexpr std::uint32_t low(std::uint64_t address) { return static_cast<std::uint32_t>(address); }

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter jump(std::uint16_t test, std::uint32_t value, std::uint8_t yes,
                           std::uint8_t no) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | test), value, yes, no);
}
constexpr sock_filter give(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

inline constexpr std::size_t kNumberAt = offsetof(seccomp_data, nr);
inline constexpr std::size_t kArchAt = offsetof(seccomp_data, arch);
inline constexpr std::size_t kPlaceLowAt = offsetof(seccomp_data, instruction_pointer);
inline constexpr std::size_t kPlaceHighAt = kPlaceLowAt + 4;
constexpr std::size_t argument_at(int index) {
  return offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(index);
}

inline constexpr std::uint32_t kTextHigh = static_cast<std::uint32_t>(kText >> 32);

// Jumps to the ends of a filter, in place of a distance.
enum End : std::uint8_t { kDeny = 253, kAllow, kNotify };

// A filter from its lines, its ends behind them.
template <std::size_t N>
consteval std::array<sock_filter, N + 3> with_ends(const sock_filter (&lines)[N],
                                                   std::uint32_t denial) {
  std::array<sock_filter, N + 3> filter{};
  auto distance = [](std::size_t from, std::uint8_t to) {
    return to < kDeny ? to : static_cast<std::uint8_t>(N + to - kDeny - from - 1);
  };
  for (std::size_t i = 0; i < N; ++i) {
    filter[i] = lines[i];
    if (BPF_CLASS(lines[i].code) != BPF_JMP) continue;
    filter[i].jt = distance(i, lines[i].jt);
    filter[i].jf = distance(i, lines[i].jf);
  }
  filter[N] = give(denial);
  filter[N + 1] = give(SECCOMP_RET_ALLOW);
  filter[N + 2] = give(SECCOMP_RET_USER_NOTIF);
  return filter;
}

inline constexpr sock_filter kBaseLines[] = {
    load(kArchAt),
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, kDeny),
    load(kPlaceHighAt),
    jump(BPF_JEQ, kTextHigh, 0, kDeny),
    load(kPlaceLowAt),
    jump(BPF_JGE, low(kText), 0, kDeny),
    jump(BPF_JGE, low(kHelper), 0, kAllow),  // a gate
    jump(BPF_JGE, low(kHelperEnd), kDeny, 0),
    load(kNumberAt),
    jump(BPF_JEQ, SYS_futex, kAllow, 0),
    jump(BPF_JEQ, SYS_clone, kAllow, 0),
    jump(BPF_JEQ, SYS_mmap, kAllow, 0),
    jump(BPF_JEQ, SYS_munmap, kAllow, 0),
    jump(BPF_JEQ, SYS_lseek, kAllow, 0),
    jump(BPF_JEQ, SYS_close, kAllow, 0),
    jump(BPF_JEQ, SYS_prctl, kAllow, 0),
    jump(BPF_JEQ, SYS_getppid, kAllow, 0),
    jump(BPF_JEQ, SYS_memfd_create, kAllow, 0),
    jump(BPF_JEQ, SYS_sigaltstack, kAllow, 0),
    jump(BPF_JEQ, SYS_seccomp, kAllow, 0),
    jump(BPF_JEQ, SYS_exit_group, kAllow, kDeny),
};

inline constexpr sock_filter kThreadLines[] = {
    load(kArchAt),
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, kDeny),
    load(kPlaceHighAt),
    jump(BPF_JEQ, kTextHigh, 0, kDeny),
    load(kPlaceLowAt),
    jump(BPF_JEQ, low(kGateSyscall), kNotify, 0),
    jump(BPF_JEQ, low(kGateRecord), kNotify, 0),
    jump(BPF_JEQ, low(kGateEvent), kNotify, 0),
    jump(BPF_JEQ, low(kGateOrder), kNotify, 0),
    jump(BPF_JEQ, low(kGateReturn), 3, 0),
    jump(BPF_JEQ, low(kGateClose), 4, 0),
    jump(BPF_JEQ, low(kGateWake), 7, 0),
    jump(BPF_JEQ, low(kGateExit), 10, kDeny),
    load(kNumberAt),
    jump(BPF_JEQ, SYS_rt_sigreturn, kAllow, kDeny),
    load(kNumberAt),
    jump(BPF_JEQ, SYS_close, 0, kDeny),
    load(argument_at(0)),
    jump(BPF_JEQ, kFdSlot, kAllow, kDeny),
    load(kNumberAt),
    jump(BPF_JEQ, SYS_futex, 0, kDeny),
    load(argument_at(1)),
    jump(BPF_JEQ, FUTEX_WAKE, kAllow, kDeny),
    load(kNumberAt),
    jump(BPF_JEQ, SYS_exit, kAllow, kDeny),
};

inline constexpr auto kBaseFilter = with_ends(kBaseLines, SECCOMP_RET_TRAP);
inline constexpr auto kTracedFilter = with_ends(kBaseLines, SECCOMP_RET_KILL_PROCESS);
inline constexpr auto kThreadFilter = with_ends(kThreadLines, SECCOMP_RET_TRAP);

}  // namespace caisson::sandbox::platform
