#include "spec/default_seccomp.h"

#include <algorithm>
#include <span>
#include <string_view>

namespace caisson::spec {
namespace {

constexpr std::uint32_t kEperm = 1, kEnosys = 38;

// clone(2) flags that make namespaces, CLONE_NEWTIME excepted (its bit is CSIGNAL's in clone(2)).
constexpr std::uint64_t kNamespaceFlags = 0x7E020000;
// AF_ALG: the first family behind which are kernel parts (crypto, virtual machine sockets, XDP)
// that programs in containers have no business with.
constexpr std::uint64_t kFirstOddFamily = 38;

constexpr std::string_view kFiles[] = {
    "access",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "getxattrat",
    "ioctl",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "_llseek",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "name_to_handle_at",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "setxattr",
    "setxattrat",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statmount",
    "listmount",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "truncate64",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    "file_getattr",
    "file_setattr",
};
constexpr std::string_view kEvents[] = {
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "fanotify_mark",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_setup",
    "io_submit",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "select",
    "_newselect",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
};
constexpr std::string_view kMemory[] = {
    "brk",
    "cachestat",
    "madvise",
    "map_shadow_stack",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "mseal",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_mrelease",
    "remap_file_pages",
};
constexpr std::string_view kProcesses[] = {
    "alarm",
    "arch_prctl",
    "capget",
    "capset",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getitimer",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "getuid32",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "modify_ldt",
    "nanosleep",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setrlimit",
    "setsid",
    "setuid",
    "setuid32",
    "sigaction",
    "sigaltstack",
    "signal",
    "sigpending",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "sysinfo",
    "tgkill",
    "times",
    "tkill",
    "ugetrlimit",
    "uname",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
    "uretprobe",
};
constexpr std::string_view kTime[] = {
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "gettimeofday",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
};
constexpr std::string_view kSockets[] = {
    "accept",   "accept4", "bind",     "connect",    "getpeername",     "getsockname", "getsockopt",
    "listen",   "recv",    "recvfrom", "recvmmsg",   "recvmmsg_time64", "recvmsg",     "send",
    "sendmmsg", "sendmsg", "sendto",   "setsockopt", "shutdown",        "socketcall",  "socketpair",
};
constexpr std::string_view kIpc[] = {
    "ipc",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
};
constexpr std::span<const std::string_view> kAlways[] = {kFiles, kEvents,  kMemory, kProcesses,
                                                         kTime,  kSockets, kIpc};

struct ByCapability {
  std::string_view capability;
  std::span<const std::string_view> names;
};
constexpr std::string_view kAdmin[] = {
    "bpf",        "clone",       "clone3",         "fanotify_init",   "fsconfig",
    "fsmount",    "fsopen",      "fspick",         "mount",           "mount_setattr",
    "move_mount", "open_tree",   "open_tree_attr", "perf_event_open", "pivot_root",
    "quotactl",   "quotactl_fd", "setdomainname",  "sethostname",     "setns",
    "swapoff",    "swapon",      "syslog",         "umount",          "umount2",
    "unshare",
};
constexpr std::string_view kReadSearch[] = {"open_by_handle_at"};
constexpr std::string_view kBoot[] = {"reboot", "kexec_load", "kexec_file_load"};
constexpr std::string_view kChroot[] = {"chroot"};
constexpr std::string_view kModule[] = {"delete_module", "init_module", "finit_module"};
constexpr std::string_view kAccounting[] = {"acct"};
constexpr std::string_view kPtrace[] = {"kcmp", "pidfd_getfd", "process_madvise"};
constexpr std::string_view kRawIo[] = {"ioperm", "iopl"};
constexpr std::string_view kSetTime[] = {"clock_settime", "clock_settime64", "settimeofday",
                                         "stime"};
constexpr std::string_view kTty[] = {"vhangup"};
constexpr std::string_view kNice[] = {"get_mempolicy", "mbind",         "migrate_pages",
                                      "move_pages",    "set_mempolicy", "set_mempolicy_home_node"};
constexpr std::string_view kSyslog[] = {"syslog"};
constexpr std::string_view kBpf[] = {"bpf"};
constexpr std::string_view kPerfmon[] = {"perf_event_open"};
constexpr ByCapability kByCapability[] = {
    {"CAP_SYS_ADMIN", kAdmin},   {"CAP_DAC_READ_SEARCH", kReadSearch},
    {"CAP_SYS_BOOT", kBoot},     {"CAP_SYS_CHROOT", kChroot},
    {"CAP_SYS_MODULE", kModule}, {"CAP_SYS_PACCT", kAccounting},
    {"CAP_SYS_PTRACE", kPtrace}, {"CAP_SYS_RAWIO", kRawIo},
    {"CAP_SYS_TIME", kSetTime},  {"CAP_SYS_TTY_CONFIG", kTty},
    {"CAP_SYS_NICE", kNice},     {"CAP_SYSLOG", kSyslog},
    {"CAP_BPF", kBpf},           {"CAP_PERFMON", kPerfmon},
};

// PER_LINUX, PER_LINUX32, both with UNAME26, and the query.
constexpr std::uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

SeccompRule allow(std::span<const std::string_view> names) {
  SeccompRule rule;
  rule.names.assign(names.begin(), names.end());
  rule.action = "SCMP_ACT_ALLOW";
  return rule;
}

SeccompRule allow_when(std::string name, SeccompArg arg) {
  SeccompRule rule;
  rule.names = {std::move(name)};
  rule.action = "SCMP_ACT_ALLOW";
  rule.args = {std::move(arg)};
  return rule;
}

// As on a kernel without the call: libraries then use the older one, whose arguments a filter sees.
SeccompRule absent(Strings names) {
  SeccompRule rule;
  rule.names = std::move(names);
  rule.action = "SCMP_ACT_ERRNO";
  rule.errno_ret = kEnosys;
  return rule;
}

Strings architectures() {
#if defined(__aarch64__)
  return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
  return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#endif
}

}  // namespace

Seccomp default_seccomp(const Strings& capabilities) {
  auto has = [&](std::string_view name) {
    return std::ranges::find(capabilities, name) != capabilities.end();
  };
  Seccomp out;
  out.default_action = "SCMP_ACT_ERRNO";
  out.default_errno_ret = kEperm;
  out.architectures = architectures();
  SeccompRule& always = out.rules.emplace_back();
  always.action = "SCMP_ACT_ALLOW";
  for (auto names : kAlways) always.names.insert(always.names.end(), names.begin(), names.end());
  for (const auto& row : kByCapability) {
    if (has(row.capability)) out.rules.push_back(allow(row.names));
  }
  for (auto value : kPersonalities) {
    out.rules.push_back(allow_when(
        "personality", {.index = 0, .value = value, .value_two = 0, .op = "SCMP_CMP_EQ"}));
  }
  out.rules.push_back(allow_when(
      "socket", {.index = 0, .value = kFirstOddFamily, .value_two = 0, .op = "SCMP_CMP_LT"}));
  if (!has("CAP_SYS_ADMIN")) {
    out.rules.push_back(allow_when(
        "clone",
        {.index = 0, .value = kNamespaceFlags, .value_two = 0, .op = "SCMP_CMP_MASKED_EQ"}));
    out.rules.push_back(absent({"clone3"}));
  }
  out.rules.push_back(absent({"io_uring_setup", "io_uring_enter", "io_uring_register"}));
  return out;
}

}  // namespace caisson::spec
