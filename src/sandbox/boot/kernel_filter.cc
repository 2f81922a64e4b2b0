// The system calls that the kernel process may make, and why. Whatever is not here ends it.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "sandbox/boot/confine.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::uint64_t kAll = 0xffffffff;

constexpr std::uint64_t word(int value) { return static_cast<std::uint32_t>(value); }

void threads(FilterRules& rules) {
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                    CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  rules.allow("clone", {{0, kThread, kAll}});
  // glibc tries clone3 first and takes ENOSYS for an answer; its arguments cannot be checked.
  rules.refuse({"clone3"}, 38 /* ENOSYS */);
  rules.allow({"set_robust_list", "rseq", "exit", "exit_group", "gettid", "getpid", "geteuid",
               "sched_yield", "sched_getaffinity", "getcpu", "rt_sigprocmask", "rt_sigreturn",
               "sigaltstack", "rt_sigaction", "restart_syscall"});
  for (int operation :
       {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE})
    rules.allow("futex", {{1, word(operation), 0x7f}});
  rules.allow("prlimit64", {{0, 0}, {2, 0}});  // our own are read
  rules.allow("prctl", {{0, PR_SET_NAME}});
  rules.allow("prctl", {{0, PR_SET_VMA}});
}

void memory(FilterRules& rules) {
  // Nothing of ours is ever executable that was not at the start.
  rules.allow("mmap", {{2, 0, PROT_EXEC}});
  rules.allow("mprotect", {{2, 0, PROT_EXEC}});
  rules.allow({"munmap", "mremap", "madvise", "brk", "mincore", "memfd_create", "msync"});
  for (int command : {MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED})
    rules.allow("membarrier", {{0, word(command)}});
  // Guest memory. Only our own stubs are in this pid namespace.
  rules.allow({"process_vm_readv", "process_vm_writev"});
}

void time_and_events(FilterRules& rules) {
  rules.allow({"clock_gettime",
               "clock_getres",
               "clock_nanosleep",
               "nanosleep",
               "gettimeofday",
               "time",
               "poll",
               "ppoll",
               "epoll_create1",
               "epoll_ctl",
               "epoll_wait",
               "epoll_pwait",
               "eventfd2",
               "timerfd_create",
               "timerfd_settime",
               "timerfd_gettime",
               "signalfd4",
               "getrandom",
               "sysinfo",
               "getrusage",
               "uname",
               "times"});
}

// By descriptor, or by a name below one that was donated: never from the root or the current
// directory, which is empty anyway. AT_FDCWD is negative.
void files(FilterRules& rules) {
  constexpr std::uint64_t kSign = 0x80000000;
  rules.allow(
      {"read",        "write",           "readv",     "writev",    "pread64",    "pwrite64",
       "preadv",      "pwritev",         "preadv2",   "pwritev2",  "lseek",      "close",
       "close_range", "fstat",           "fstatfs",   "fsync",     "fdatasync",  "sync_file_range",
       "syncfs",      "ftruncate",       "fallocate", "fadvise64", "getdents64", "fchmod",
       "fchown",      "copy_file_range", "sendfile",  "splice",    "dup",        "dup3",
       "readahead",   "flock",           "umask",     "vmsplice",  "tee",        "pipe2"});
  for (auto name :
       {"openat", "newfstatat", "statx", "readlinkat", "faccessat", "faccessat2", "mkdirat",
        "mknodat", "symlinkat", "unlinkat", "fchmodat", "fchmodat2", "fchownat", "utimensat"})
    rules.allow(name, {{0, 0, kSign}});
  // glibc's allocator looks into /proc before it gives memory back, and goes on without an answer.
  rules.refuse("openat", 2 /* ENOENT */, {{0, kSign, kSign}});
  rules.allow("openat2", {{0, 0, kSign}});
  rules.allow("linkat", {{0, 0, kSign}, {2, 0, kSign}});
  rules.allow("renameat2", {{0, 0, kSign}, {2, 0, kSign}});
  rules.allow({"fgetxattr", "fsetxattr", "flistxattr", "fremovexattr"});
  // Which pages of a stub exist, for checkpoints: PAGEMAP_SCAN.
  rules.allow("ioctl", {{1, 0xc0606610}});
  for (int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, 1032 /* F_GETPIPE_SZ */,
                      1033 /* F_ADD_SEALS */, 1034 /* F_GET_SEALS */})
    rules.allow("fcntl", {{1, word(command)}});
}

void terminals(FilterRules& rules) {
  for (int request : {TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ, TIOCSCTTY, FIONREAD,
                      TCFLSH, TCSBRK, TCXONC, TIOCOUTQ})
    rules.allow("ioctl", {{1, word(request)}});
}

// Stubs: hand-overs, the end of one, signals to its threads.
void stubs(FilterRules& rules, bool ptrace) {
  for (std::uint64_t request : {0xc0502100ULL /* NOTIF_RECV */, 0xc0182101ULL /* NOTIF_SEND */,
                                0x40082102ULL /* NOTIF_ID_VALID */, 0x40182103ULL /* NOTIF_ADDFD */,
                                0x40082104ULL /* NOTIF_SET_FLAGS */})
    rules.allow("ioctl", {{1, request}});
  rules.allow({"pidfd_open", "pidfd_send_signal", "pidfd_getfd", "waitid", "wait4", "tgkill",
               "kill", "process_madvise"});
  if (ptrace) {
    rules.allow({"ptrace"});
    return;
  }
  // Memory that its owner may not write: /proc/PID/mem, breakpoints. Registers are never ours.
  for (int request :
       {PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_PEEKDATA, PTRACE_POKEDATA, PTRACE_DETACH})
    rules.allow("ptrace", {{0, word(request)}});
}

// The control socket: connections come in, none go out.
void control(FilterRules& rules) {
  rules.allow({"accept4", "recvmsg", "sendmsg", "recvfrom", "sendto", "shutdown", "getsockopt"});
}

void host_network(FilterRules& rules) {
  for (int family : {AF_INET, AF_INET6}) rules.allow("socket", {{0, word(family)}});
  rules.allow({"bind", "listen", "connect", "setsockopt", "getsockname", "getpeername", "recvmmsg",
               "sendmmsg"});
}

}  // namespace

FilterRules kernel_filter(const Confinement& confinement) {
  FilterRules rules;
  threads(rules);
  memory(rules);
  time_and_events(rules);
  files(rules);
  terminals(rules);
  stubs(rules, confinement.ptrace);
  control(rules);
  if (confinement.host_network) host_network(rules);
  return rules;
}

}  // namespace caisson::sandbox::boot
