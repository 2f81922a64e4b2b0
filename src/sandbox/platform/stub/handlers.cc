// What a guest thread of systrap does in the stub: it came here by a signal, whose frame on the
// thread's alternate stack holds all of its registers, or from a patched site with a record of them
// (sites.S). It hands over to the kernel process, which edits that, and goes on as it says. Under
// ptrace a handler is only entered, not run.
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
long stub_call(caisson::sandbox::platform::CallRecord* record);
extern const char stub_begin[], stub_probe[], stub_decline[], stub_frame[], stub_leave[],
    stub_leave_end[], stub_end[];
}
#pragma GCC visibility pop

namespace caisson::sandbox::platform {
namespace {

struct Place {
  const ThreadCommand* command;
  AreaHead* head;
  CallRecord* record;
};

greg_t address(const char* place) {
  return static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(place));
}

// By the stack that this runs on: no memory that the guest can write is asked.
Place here() {
  auto frame = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  std::uint64_t index = (frame - kAreas) / kAreaSize;
  return {reinterpret_cast<const ThreadCommand*>(kCommands + index * kCommandSize),
          reinterpret_cast<AreaHead*>(kAreas + index * kAreaSize + kHeadOffset),
          reinterpret_cast<CallRecord*>(kAreas + index * kAreaSize + kRecordOffset)};
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

struct GuestCall {
  std::uint64_t number, a, b, c, d, e, f;
  Lane lane;  // where its state is: kLaneCalled or kLaneRecorded
};

GuestCall framed_call(const greg_t* registers) {
  auto value = [registers](int which) { return static_cast<std::uint64_t>(registers[which]); };
  return {value(REG_RAX), value(REG_RDI), value(REG_RSI), value(REG_RDX),
          value(REG_R10), value(REG_R8),  value(REG_R9),  kLaneCalled};
}

long hand_over_call(const GuestCall& call) {
  if (call.lane == kLaneRecorded)
    return STUB_GATE("stub_gate_record", call.number, call.a, call.b, call.c, call.d, call.e,
                     call.f);
  return STUB_GATE("stub_gate_syscall", call.number, call.a, call.b, call.c, call.d, call.e,
                   call.f);
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
long hand_over_by_lane(const Place& place, const GuestCall& call) {
  AreaHead* head = place.head;
  __atomic_exchange_n(&head->lane, std::uint32_t{call.lane}, __ATOMIC_SEQ_CST);
  std::uint64_t end = ticks() + place.command->patience;
  // An owner that has stopped to look has, after it said so, looked once more.
  bool patient = __atomic_load_n(&place.command->watched, __ATOMIC_SEQ_CST) != 0;
  while (patient && __atomic_load_n(&head->lane, __ATOMIC_ACQUIRE) != kLaneAnswered) {
    __builtin_ia32_pause();
    patient = ticks() < end;
  }
  if (!patient) {
    if (change_lane(head, call.lane, kLaneIdle)) return hand_over_call(call);
    if (change_lane(head, kLaneTaken, kLaneAsleep)) return hand_over(kSleeps);
  }
  return place.command->answer;
}

long hand_over_somehow(const Place& place, const GuestCall& call) {
  bool watched = __atomic_load_n(&place.command->watched, __ATOMIC_RELAXED) != 0;
  return watched ? hand_over_by_lane(place, call) : hand_over_call(call);
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

long compare_and_exchange_long(const ThreadCommand& order) {
  std::uint64_t found = order.arguments[1], error = 0;
  __asm__ volatile("call stub_swap_long"
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
template <typename Word>
bool answer_here(const ThreadCommand& facts, Word& accumulator) {
  if (facts.identified == 0) return false;
  auto answer = [&accumulator](auto value) {
    accumulator = static_cast<Word>(value);
    return true;
  };
  switch (accumulator) {
    case SYS_getpid: return answer(facts.process);
    case SYS_gettid: return answer(facts.thread);
    case SYS_getppid: return answer(facts.parent);
    case SYS_getuid: return answer(facts.uid);
    case SYS_geteuid: return answer(facts.euid);
    case SYS_getgid: return answer(facts.gid);
    case SYS_getegid: return answer(facts.egid);
    default: return false;
  }
}

// The kernel process counts where calls come from, and patches such places. It must hear of some.
bool is_to_be_counted(const Place& place) {
  constexpr std::uint32_t kOneOf = 32;
  return place.command->patches != 0 && ++place.head->answered % kOneOf == 0;
}

// What is to be done before the guest goes on. The value is kResume or kFrame.
long carry_out(long answer, const ThreadCommand& order) {
  while (answer != kResume && answer != kFrame) {
    switch (answer) {
      case kOrder: answer = carry_out_order(order); break;
      case kCompare: answer = compare_and_exchange(order); break;
      case kCompareLong: answer = compare_and_exchange_long(order); break;
      default: leave();
    }
  }
  return answer;
}

long hand_over_signal(int signal, const siginfo_t* info, ucontext_t* context, const Place& place) {
  greg_t* registers = context->uc_mcontext.gregs;
  auto stack = static_cast<std::uint64_t>(registers[REG_RSP]);
  if (stack >= kAreas && stack < kAreasEnd) return hand_over(kFaultedInStub);
  if (signal == SIGSYS) {
    if (info->si_arch != AUDIT_ARCH_X86_64) return hand_over(kForeignCall);
    return hand_over_somehow(place, framed_call(registers));
  }
  if (signal == kInterruptSignal) return hand_over(kStopped);
  if (registers[REG_RIP] == address(stub_begin))
    return hand_over(kBegun, reinterpret_cast<std::uintptr_t>(context));
  if (registers[REG_RIP] == address(stub_frame)) {
    registers[REG_RIP] = registers[REG_RCX];
    return hand_over(kFramed);
  }
  return hand_over(kFaulted);
}

// Faults of the stub that are expected, and where it goes on after them.
bool resolve_fault(int signal, greg_t* registers) {
  if (signal != SIGSEGV && signal != SIGBUS) return false;
  greg_t place = registers[REG_RIP];
  if (place == static_cast<greg_t>(kSwap) || place == static_cast<greg_t>(kSwapLong))
    registers[REG_RIP] = static_cast<greg_t>(kSwapFault);
  else if (place == address(stub_probe))
    registers[REG_RIP] = address(stub_decline);
  else
    return false;
  return true;
}

// What stub_leave does, in the frame of a signal that came in between.
void leave_by_frame(const CallRecord& record, greg_t* registers) {
  auto set = [registers](int which, std::uint64_t value) {
    registers[which] = static_cast<greg_t>(value);
  };
  set(REG_RAX, record.rax), set(REG_RBX, record.rbx), set(REG_RCX, record.rip);
  set(REG_RDX, record.rdx), set(REG_RSI, record.rsi), set(REG_RDI, record.rdi);
  set(REG_R8, record.r8), set(REG_R9, record.r9), set(REG_R10, record.r10);
  set(REG_R11, record.r11), set(REG_EFL, record.eflags);
  set(REG_RSP, record.rsp), set(REG_RIP, record.rip);
}

// In a call of a patched site the interrupt signal is not blocked. True: the call will see it.
bool interrupts_call(greg_t* registers, const Place& place) {
  greg_t at = registers[REG_RIP];
  if (at < static_cast<greg_t>(kText) || at >= address(stub_end)) return false;
  bool leaves = at >= address(stub_leave) && at < address(stub_leave_end);
  if (leaves) leave_by_frame(*place.record, registers);
  __atomic_store_n(&place.record->interrupted, leaves ? 0U : 1U, __ATOMIC_RELAXED);
  return !leaves;
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
  if (resolve_fault(signal, registers)) return;
  Place place = here();
  if (signal == kInterruptSignal && interrupts_call(registers, place)) return;
  if (signal == SIGSYS && info->si_arch == AUDIT_ARCH_X86_64 && !is_to_be_counted(place) &&
      answer_here(*place.command, registers[REG_RAX]))
    return;
  std::uint64_t fs = fs_base(), gs = gs_base();
  place.head->fs_base = fs;
  place.head->gs_base = gs;
  carry_out(hand_over_signal(signal, info, context, place), *place.command);
  set_bases(*place.head, fs, gs);
}

// Not 0: the way out is by a signal frame.
long stub_call(caisson::sandbox::platform::CallRecord* record) {
  using namespace caisson::sandbox::platform;
  Place place = here();
  if (answer_here(*place.command, record->rax)) return 0;
  place.head->fs_base = fs_base();
  GuestCall call{record->rax, record->rdi, record->rsi, record->rdx,
                 record->r10, record->r8,  record->r9,  kLaneRecorded};
  return carry_out(hand_over_somehow(place, call), *place.command) == kFrame ? 1 : 0;
}
