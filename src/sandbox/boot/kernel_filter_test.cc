#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <gtest/gtest.h>

#include "plan/bpf_evaluator.h"
#include "plan/seccomp.h"
#include "sandbox/boot/confine.h"

namespace caisson::sandbox::boot {
namespace {

using Arguments = std::initializer_list<std::uint64_t>;

std::uint32_t answer(const Confinement& confinement, long number, Arguments arguments) {
  auto plan = plan::compile_seccomp(kernel_filter(confinement).profile(), plan::native_arch());
  if (!plan) return 0;
  plan::SeccompData data;
  data.number = static_cast<std::int32_t>(number);
  data.arch =
      plan::native_arch() == plan::NativeArch::kX86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
  std::size_t i = 0;
  for (auto argument : arguments) data.args[i++] = argument;
  return plan::evaluate_bpf(plan->program, data).value;
}

bool allowed(long number, Arguments arguments = {}) {
  return answer({}, number, arguments) == SECCOMP_RET_ALLOW;
}
bool deadly(long number, Arguments arguments = {}) {
  return answer({}, number, arguments) == SECCOMP_RET_KILL_PROCESS;
}

TEST(KernelFilter, IsWhatTheHostTakes) {
  auto plan = plan::compile_seccomp(kernel_filter({}).profile(), plan::native_arch());
  ASSERT_TRUE(plan.has_value());
  EXPECT_TRUE(plan::check_bpf(plan->program).has_value());
  EXPECT_TRUE(plan->unknown_syscalls.empty());
}

TEST(KernelFilter, NothingIsExecutedMountedOrTraced) {
  for (long number : {SYS_execve,
                      SYS_execveat,
                      SYS_mount,
                      SYS_umount2,
                      SYS_pivot_root,
                      SYS_chroot,
                      SYS_setns,
                      SYS_unshare,
                      SYS_bpf,
                      SYS_perf_event_open,
                      SYS_keyctl,
                      SYS_ptrace,
                      SYS_socket,
                      SYS_connect,
                      SYS_bind,
                      SYS_open_by_handle_at,
                      SYS_init_module,
                      SYS_reboot,
                      SYS_setuid,
                      SYS_capset,
                      SYS_io_uring_setup,
                      SYS_userfaultfd})
    EXPECT_TRUE(deadly(number)) << number;
}

TEST(KernelFilter, PathsBeginAtADonatedDirectory) {
  constexpr std::uint64_t kCwd = static_cast<std::uint64_t>(AT_FDCWD);
  EXPECT_TRUE(allowed(SYS_openat, {5}));
  EXPECT_EQ(answer({}, SYS_openat, {kCwd}), SECCOMP_RET_ERRNO | ENOENT);
  EXPECT_EQ(answer({}, SYS_openat, {kCwd & 0xffffffff}), SECCOMP_RET_ERRNO | ENOENT);
  for (long number : {SYS_openat2, SYS_newfstatat, SYS_statx, SYS_unlinkat, SYS_mkdirat,
                      SYS_readlinkat, SYS_fchownat, SYS_utimensat}) {
    EXPECT_TRUE(allowed(number, {5})) << number;
    EXPECT_TRUE(deadly(number, {kCwd})) << number;
    EXPECT_TRUE(deadly(number, {kCwd & 0xffffffff})) << number;
  }
  EXPECT_TRUE(deadly(SYS_renameat2, {5, 0, kCwd}));
  EXPECT_TRUE(allowed(SYS_renameat2, {5, 0, 6}));
}

TEST(KernelFilter, NewMemoryIsNeverExecutable) {
  EXPECT_TRUE(allowed(SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE}));
  EXPECT_TRUE(deadly(SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC}));
  EXPECT_TRUE(allowed(SYS_mprotect, {0, 4096, PROT_READ}));
  EXPECT_TRUE(deadly(SYS_mprotect, {0, 4096, PROT_EXEC}));
}

TEST(KernelFilter, ThreadsAreMadeAndNoProcesses) {
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                    CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  EXPECT_TRUE(allowed(SYS_clone, {kThread}));
  EXPECT_TRUE(deadly(SYS_clone, {SIGCHLD}));
  EXPECT_TRUE(deadly(SYS_clone, {kThread | CLONE_NEWUSER}));
  EXPECT_TRUE(deadly(SYS_clone, {kThread & ~std::uint64_t{CLONE_VM}}));
}

TEST(KernelFilter, SocketsOnlyWithTheHostsNetwork) {
  Confinement with;
  with.host_network = true;
  EXPECT_EQ(answer(with, SYS_socket, {AF_INET}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(with, SYS_socket, {AF_INET6}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(with, SYS_socket, {AF_UNIX}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(answer(with, SYS_socket, {AF_PACKET}), SECCOMP_RET_KILL_PROCESS);
}

TEST(KernelFilter, RegistersOnlyForThePlatformPtrace) {
  Confinement with;
  with.ptrace = true;
  EXPECT_EQ(answer(with, SYS_ptrace, {PTRACE_SETREGS}), SECCOMP_RET_ALLOW);
  for (long request : {PTRACE_SETREGS, PTRACE_GETREGS, PTRACE_CONT, PTRACE_SYSCALL, PTRACE_ATTACH})
    EXPECT_TRUE(deadly(SYS_ptrace, {static_cast<std::uint64_t>(request)})) << request;
  EXPECT_TRUE(allowed(SYS_ptrace, {PTRACE_POKEDATA}));
}

}  // namespace
}  // namespace caisson::sandbox::boot
