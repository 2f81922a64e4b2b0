// Processes: clone3, pidfds, waiting, signals, namespaces, ids, limits.
#pragma once

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sys/call.h"

namespace caisson::sys {

inline int getpid() { return static_cast<int>(raw(SYS_getpid)); }
inline int getppid() { return static_cast<int>(raw(SYS_getppid)); }
inline std::uint32_t geteuid() { return static_cast<std::uint32_t>(raw(SYS_geteuid)); }
inline std::uint32_t getegid() { return static_cast<std::uint32_t>(raw(SYS_getegid)); }
inline std::uint32_t getuid() { return static_cast<std::uint32_t>(raw(SYS_getuid)); }
inline std::uint32_t getgid() { return static_cast<std::uint32_t>(raw(SYS_getgid)); }

[[noreturn]] inline void exit_process(int status) {
  for (;;) raw(SYS_exit_group, status);
}

// fork(2) by clone3 with a pidfd: the child (returns pid 0) has its own copy of memory. No libc
// handlers run; the child must not use stdio and ends by exec or exit_process().
struct Forked {
  int pid = 0;
  Fd pidfd;
};
inline ErrnoOr<Forked> fork_with_pidfd(std::uint64_t flags = 0, int cgroup_fd = -1) {
  int pidfd = -1;
  clone_args args{};
  args.flags = flags | std::uint64_t{CLONE_PIDFD};
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(static_cast<unsigned>(cgroup_fd));
  }
  long pid = TRY(call(SYS_clone3, &args, sizeof args));
  return Forked{static_cast<int>(pid), pid == 0 ? Fd() : Fd(pidfd)};
}

// Runs a program, found in $PATH, to whose standard output `out` is given; its pid. ENOENT: there
// is none.
ErrnoOr<int> spawn_program(std::vector<std::string> argv, FdRef out);

inline ErrnoOr<Fd> pidfd_open(int pid, unsigned flags = 0) {
  return call_fd(SYS_pidfd_open, pid, flags);
}
inline ErrnoOr<> pidfd_send_signal(FdRef pidfd, int signal) {
  return call_void(SYS_pidfd_send_signal, pidfd.number(), signal, nullptr, 0);
}
inline ErrnoOr<Fd> pidfd_getfd(FdRef pidfd, int number) {
  return call_fd(SYS_pidfd_getfd, pidfd.number(), number, 0);
}
inline ErrnoOr<> kill(int pid, int signal) { return call_void(SYS_kill, pid, signal); }

struct WaitStatus {
  int pid = 0;     // 0: nothing to report (WNOHANG)
  int code = 0;    // CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_STOPPED
  int status = 0;  // exit status or signal number
  rusage usage{};
  // As a shell reports it: the status, or 128 + signal.
  int shell_status() const { return code == CLD_EXITED ? status : 128 + status; }
};
// waitid(2) with WEXITED | options; EINTR is retried.
ErrnoOr<WaitStatus> wait_pidfd(FdRef pidfd, int options = 0);
ErrnoOr<WaitStatus> wait_pid(int pid, int options = 0);
ErrnoOr<WaitStatus> wait_any(int options = 0);

ErrnoOr<int> poll(std::span<pollfd> fds, int timeout_ms);
// True when the descriptor is readable (a pidfd: the process has ended) before `timeout_ms` passed;
// -1 is no bound.
ErrnoOr<bool> wait_readable(FdRef fd, int timeout_ms);

// Field 22 of /proc/PID/stat: the start of the process in clock ticks since boot. With a pid it
// names a process for good. ENOENT or ESRCH when there is none.
ErrnoOr<std::uint64_t> process_start_time(int pid);
ErrnoOr<int> process_parent(int pid);
// Where its stack begins: an address that an execve(2) changes. 0 when the caller may not know.
ErrnoOr<std::uint64_t> process_stack(int pid);
// The state letter of /proc/PID/stat: 'R' 'S' 'D' 'Z' ...
ErrnoOr<char> process_state(int pid);
// /proc/sys/kernel/random/boot_id without the newline.
ErrnoOr<std::string> boot_id();

// Supplementary groups, in the ids of our user namespace.
ErrnoOr<std::vector<std::uint32_t>> getgroups();
// Whether the capability (CAP_SYS_ADMIN) is in effect for this thread.
bool has_effective_capability(unsigned capability);
// Nanoseconds of a clock of clock_gettime(2).
inline ErrnoOr<std::int64_t> clock_ns(clockid_t clock) {
  timespec time{};
  TRY(call_void(SYS_clock_gettime, clock, &time));
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
// Whether seccomp(2) filters may answer with this action (SECCOMP_RET_ERRNO).
inline bool has_seccomp_action(std::uint32_t action) {
  constexpr unsigned kGetActionAvailable = 2;  // SECCOMP_GET_ACTION_AVAIL
  return call_void(SYS_seccomp, kGetActionAvailable, 0, &action).has_value();
}
// The kernel's own description: release "6.1.0-9-amd64", machine "x86_64".
inline utsname uname() {
  utsname name{};
  raw(SYS_uname, &name);
  return name;
}
inline ErrnoOr<rlimit64> getrlimit(int resource) {
  rlimit64 limit{};
  TRY(call_void(SYS_prlimit64, 0, resource, nullptr, &limit));
  return limit;
}

inline ErrnoOr<> setns(FdRef ns, int flags) { return call_void(SYS_setns, ns.number(), flags); }
inline ErrnoOr<> unshare(std::uint64_t flags) { return call_void(SYS_unshare, flags); }
inline ErrnoOr<> setsid() { return call_void(SYS_setsid); }
template <typename... Args>
ErrnoOr<long> prctl(int option, Args... args) {
  return call(SYS_prctl, option, args...);
}
inline ErrnoOr<> prlimit(int resource, const rlimit64& limit) {
  return call_void(SYS_prlimit64, 0, resource, &limit, nullptr);
}
inline ErrnoOr<> setgroups(std::span<const std::uint32_t> groups) {
  return call_void(SYS_setgroups, groups.size(), groups.data());
}
inline ErrnoOr<> setresuid(std::uint32_t uid) { return call_void(SYS_setresuid, uid, uid, uid); }
inline ErrnoOr<> setresgid(std::uint32_t gid) { return call_void(SYS_setresgid, gid, gid, gid); }
inline ErrnoOr<> close_range(unsigned first, unsigned last, unsigned flags) {
  return call_void(SYS_close_range, first, last, flags);
}

// What PIDFD_GET_INFO tells of a process that ended and was reaped by somebody else (Linux 6.15).
// Empty optional: it still runs. ENOTTY, EINVAL or ENODATA: the kernel can't tell.
ErrnoOr<std::optional<WaitStatus>> pidfd_exit_status(FdRef pidfd);

}  // namespace caisson::sys
