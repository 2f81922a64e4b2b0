// The stub: the program in whose memory guest code runs, above the guest's addresses. Without libc;
// started once by the kernel process, then only forked. Its first process never runs guest code.
//
// Here: how that first process gets ready. gates.S: what its helper thread does from then on.
// handlers.cc: what guest threads do.

#include <elf.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "sandbox/platform/layout.h"
#include "sandbox/platform/stub/filters.h"
#include "sys/raw.h"

#pragma GCC visibility push(hidden)  // found without a table of addresses
extern "C" {
void stub_signal(int signal, siginfo_t* info, void* context);
void stub_return();
void stub_helper();
extern char stub_end[];
[[noreturn]] void stub_main(const std::uintptr_t* stack);

extern const sock_fprog stub_thread_filter;
const sock_fprog stub_thread_filter = {
    caisson::sandbox::platform::kThreadFilter.size(),
    const_cast<sock_filter*>(caisson::sandbox::platform::kThreadFilter.data())};
}
#pragma GCC visibility pop

__asm__(
    ".text\n"
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call stub_main\n");

namespace caisson::sandbox::platform {
namespace {

using sys::raw;

// As struct sigaction of the kernel, which is not libc's.
struct KernelSigaction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
// What the processor raises; must never be blocked where it can be raised.
constexpr std::uint64_t kSynchronous =
    bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGSYS);
constexpr unsigned long kRestorer = 0x04000000;  // SA_RESTORER

// The kernel process finds out from the answer's position which step failed, and by what.
void check(StubStep step, long result) {
  if (result >= 0 || result < -4095) return;
  raw(SYS_lseek, kFdAnswer, stub_failure(step, static_cast<int>(-result)), 0);
  for (;;) raw(SYS_exit_group, 1);
}

void map_first_chunk() {
  check(StubStep::kMap, raw(SYS_mmap, kCommands, kChunk * kCommandSize, PROT_READ,
                            MAP_SHARED | MAP_FIXED, kFdCommands, 0));
}

void give_up_privileges(const HelperCommand& command) {
  check(StubStep::kDeathSignal, raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL));
  if (raw(SYS_getppid) != command.kernel) check(StubStep::kDeathSignal, -ESRCH);
  check(StubStep::kNoNewPrivileges, raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  check(StubStep::kCapabilities, raw(SYS_capset, &header, none));
}

// The host's vDSO goes above the guest's addresses; its parts keep their distances. Returns the
// end of it.
std::uintptr_t move_vdso(const HelperCommand& command, const std::uintptr_t* auxiliary) {
  std::uintptr_t image = 0;
  for (; auxiliary[0] != AT_NULL; auxiliary += 2)
    if (auxiliary[0] == AT_SYSINFO_EHDR) image = auxiliary[1];
  std::uintptr_t end = kVdsoBlock;
  if (image == 0) return end;
  for (std::uint32_t i = 0; i < command.vdso_pieces; ++i) {
    const auto& piece = command.vdso[i];
    std::uintptr_t from = image + static_cast<std::uintptr_t>(piece.from_image);
    std::uintptr_t to =
        kVdsoBlock + static_cast<std::uintptr_t>(piece.from_image - command.vdso[0].from_image);
    check(StubStep::kVdso,
          raw(SYS_mremap, from, piece.length, piece.length, MREMAP_MAYMOVE | MREMAP_FIXED, to));
    if (to + piece.length > end) end = to + piece.length;
  }
  return end;
}

void install_handlers(bool traced) {
  std::uint64_t blocked = ~kSynchronous;
  check(StubStep::kSignals, raw(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, nullptr, 8));
  KernelSigaction action{};
  action.handler = stub_signal;
  action.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | kRestorer;
  action.restorer = stub_return;
  action.mask = traced ? 0 : blocked;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, kInterruptSignal})
    check(StubStep::kSignals, raw(SYS_rt_sigaction, signal, &action, nullptr, 8));
}

void install_filter(bool traced) {
  const auto& filter = traced ? kTracedFilter : kBaseFilter;
  sock_fprog program{static_cast<unsigned short>(filter.size()),
                     const_cast<sock_filter*>(filter.data())};
  check(StubStep::kFilter, raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

}  // namespace
}  // namespace caisson::sandbox::platform

// `stack`: argc, argv, NULL, environment, NULL, auxiliary vector (elf(5)).
void stub_main(const std::uintptr_t* stack) {
  using namespace caisson::sandbox::platform;
  map_first_chunk();
  const auto& command = *reinterpret_cast<const HelperCommand*>(kCommands);
  give_up_privileges(command);
  const std::uintptr_t* word = stack + 1 + stack[0] + 1;
  while (*word != 0) ++word;
  std::uintptr_t vdso_end = move_vdso(command, word + 1);
  // membarrier(2) of guests is one of the kernel process for all who take part. A host without it
  // has a slower one that needs nobody's part.
  raw(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
  install_handlers(command.traced != 0);
  install_filter(command.traced != 0);
  register std::uintptr_t text __asm__("rbx") = reinterpret_cast<std::uintptr_t>(stub_end);
  __asm__ volatile(
      "mov %1, %%rbp\n"
      "jmp stub_helper\n" ::"r"(text),
      "r"(vdso_end)
      : "memory");
  __builtin_unreachable();
}
