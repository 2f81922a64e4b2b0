// What a guest thread of systrap does in the stub: it came here by a signal, whose frame on the
// thread's alternate stack holds all of its registers. It hands over to the kernel process, which
// edits the frame, and goes on as the frame says. Under ptrace a handler is only entered, not run.
//
// Other guest threads may change all that is read here except for the command page. What follows
// from that stays inside of the stub: every system call made here is seen by the kernel process.

#include <linux/audit.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/platform/layout.h"

#pragma GCC visibility push(hidden)  // found without a table of addresses
extern "C" {
void stub_signal(int signal, siginfo_t* info, void* context);
extern const char stub_begin[];
}
#pragma GCC visibility pop

namespace caisson::sandbox::platform {
namespace {

struct Place {
  const ThreadCommand* command;
  AreaHead* head;
};

// By the stack that this runs on: no memory that the guest can write is asked.
Place here() {
  auto frame = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  std::uint64_t index = (frame - kAreas) / kAreaSize;
  return {reinterpret_cast<const ThreadCommand*>(kCommands + index * kCommandSize),
          reinterpret_cast<AreaHead*>(kAreas + index * kAreaSize + kHeadOffset)};
}

#define STUB_GATE(name, number, a, b, c, d, e, f)                                         \
  (__extension__({                                                                        \
    long result_;                                                                         \
    register std::uint64_t r10_ __asm__("r10") = (d);                                     \
    register std::uint64_t r8_ __asm__("r8") = (e);                                       \
    register std::uint64_t r9_ __asm__("r9") = (f);                                       \
    __asm__ volatile("call " name                                                         \
                     : "=a"(result_)                                                      \
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10_), "r"(r8_), "r"(r9_) \
                     : "rcx", "r11", "memory");                                           \
    result_;                                                                              \
  }))

long hand_over_call(const greg_t* registers) {
  auto value = [registers](int which) { return static_cast<std::uint64_t>(registers[which]); };
  return STUB_GATE("stub_gate_syscall", value(REG_RAX), value(REG_RDI), value(REG_RSI),
                   value(REG_RDX), value(REG_R10), value(REG_R8), value(REG_R9));
}

long hand_over(EventCode code, std::uint64_t first = 0, std::uint64_t second = 0) {
  return STUB_GATE("stub_gate_event", std::uint64_t{SYS_getpid}, std::uint64_t{code}, first, second,
                   0, 0, 0);
}

std::uint64_t ticks() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return std::uint64_t{high} << 32 | low;
}

bool change_lane(AreaHead* head, std::uint32_t from, std::uint32_t to) {
  return __atomic_compare_exchange_n(&head->lane, &from, to, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}

// The owner looks at this moment: it gets the call by shared memory.
long hand_over_by_lane(const Place& place, const greg_t* registers) {
  AreaHead* head = place.head;
  __atomic_exchange_n(&head->lane, std::uint32_t{kLaneCalled}, __ATOMIC_SEQ_CST);
  std::uint64_t end = ticks() + place.command->patience;
  // An owner that has stopped to look has, after it said so, looked once more.
  bool patient = __atomic_load_n(&place.command->watched, __ATOMIC_SEQ_CST) != 0;
  while (patient && __atomic_load_n(&head->lane, __ATOMIC_ACQUIRE) != kLaneAnswered) {
    __builtin_ia32_pause();
    patient = ticks() < end;
  }
  if (!patient) {
    if (change_lane(head, kLaneCalled, kLaneIdle)) return hand_over_call(registers);
    if (change_lane(head, kLaneTaken, kLaneAsleep)) return hand_over(kSleeps);
  }
  return place.command->answer;
}

long carry_out_order(const ThreadCommand& order) {
  const std::uint64_t* arguments = order.arguments;
  bool uses_slot = order.number == SYS_mmap && arguments[4] == kFdSlot;
  long result = STUB_GATE("stub_gate_order", order.number, arguments[0], arguments[1], arguments[2],
                          arguments[3], arguments[4], arguments[5]);
  if (uses_slot)
    STUB_GATE("stub_gate_close", std::uint64_t{SYS_close}, std::uint64_t{kFdSlot}, 0, 0, 0, 0, 0);
  return hand_over(kDone, static_cast<std::uint64_t>(result));
}

long compare_and_exchange(const ThreadCommand& order) {
  auto found = static_cast<std::uint32_t>(order.arguments[1]);
  std::uint64_t error = 0;
  __asm__ volatile("call stub_swap"
                   : "+a"(found), "+d"(error)
                   : "D"(order.arguments[0]), "S"(order.arguments[2])
                   : "memory", "cc");
  return hand_over(kDone, error, found);
}

[[noreturn]] void leave() {
  for (;;) __asm__ volatile("jmp stub_gate_exit" ::"a"(SYS_exit), "D"(0) : "memory");
}

std::uint64_t fs_base() {
  std::uint64_t value;
  __asm__ volatile("rdfsbase %0" : "=r"(value));
  return value;
}
std::uint64_t gs_base() {
  std::uint64_t value;
  __asm__ volatile("rdgsbase %0" : "=r"(value));
  return value;
}

// Calls that only tell the caller about itself. False: hand over.
bool answer_here(const ThreadCommand& facts, greg_t* registers) {
  if (facts.identified == 0) return false;
  switch (registers[REG_RAX]) {
    case SYS_getpid: registers[REG_RAX] = facts.process; return true;
    case SYS_gettid: registers[REG_RAX] = facts.thread; return true;
    case SYS_getppid: registers[REG_RAX] = facts.parent; return true;
    case SYS_getuid: registers[REG_RAX] = facts.uid; return true;
    case SYS_geteuid: registers[REG_RAX] = facts.euid; return true;
    case SYS_getgid: registers[REG_RAX] = facts.gid; return true;
    case SYS_getegid: registers[REG_RAX] = facts.egid; return true;
    default: return false;
  }
}

long hand_over_signal(int signal, const siginfo_t* info, ucontext_t* context, const Place& place) {
  const greg_t* registers = context->uc_mcontext.gregs;
  auto stack = static_cast<std::uint64_t>(registers[REG_RSP]);
  if (stack >= kAreas && stack < kAreasEnd) return hand_over(kFaultedInStub);
  if (signal == SIGSYS) {
    if (info->si_arch != AUDIT_ARCH_X86_64) return hand_over(kForeignCall);
    if (__atomic_load_n(&place.command->watched, __ATOMIC_RELAXED) != 0)
      return hand_over_by_lane(place, registers);
    return hand_over_call(registers);
  }
  if (signal == kInterruptSignal) return hand_over(kStopped);
  if (registers[REG_RIP] == static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(stub_begin)))
    return hand_over(kBegun, reinterpret_cast<std::uintptr_t>(context));
  return hand_over(kFaulted);
}

// The thread's segment bases are in no signal frame.
void set_bases(const AreaHead& head, std::uint64_t fs, std::uint64_t gs) {
  if (std::uint64_t base = head.fs_base; base != fs) __asm__ volatile("wrfsbase %0" ::"r"(base));
  if (std::uint64_t base = head.gs_base; base != gs) __asm__ volatile("wrgsbase %0" ::"r"(base));
}

}  // namespace
}  // namespace caisson::sandbox::platform

void stub_signal(int signal, siginfo_t* info, void* state) {
  using namespace caisson::sandbox::platform;
  auto* context = static_cast<ucontext_t*>(state);
  greg_t* registers = context->uc_mcontext.gregs;
  if (registers[REG_RIP] == static_cast<greg_t>(kSwap)) {
    registers[REG_RIP] = static_cast<greg_t>(kSwapFault);
    return;
  }
  Place place = here();
  if (signal == SIGSYS && info->si_arch == AUDIT_ARCH_X86_64 &&
      answer_here(*place.command, registers))
    return;
  std::uint64_t fs = fs_base(), gs = gs_base();
  place.head->fs_base = fs;
  place.head->gs_base = gs;
  long answer = hand_over_signal(signal, info, context, place);
  while (answer != kResume) {
    if (answer == kOrder)
      answer = carry_out_order(*place.command);
    else if (answer == kCompare)
      answer = compare_and_exchange(*place.command);
    else
      leave();
  }
  set_bases(*place.head, fs, gs);
}
