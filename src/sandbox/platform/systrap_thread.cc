#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sandbox/platform/systrap_space.h"
#include "sys/process.h"

namespace caisson::sandbox::platform {
namespace {

// Of a general protection fault, as the host reports int $0x80 where it is switched off.
constexpr std::uint32_t kGeneralProtection = 13;
constexpr std::uint32_t kInt80Error = 0x80 * 8 + 2;

bool is_canonical(std::uint64_t address) {
  return (static_cast<std::int64_t>(address << 16) >> 16) == static_cast<std::int64_t>(address);
}

}  // namespace

class SystrapThread::Busy {
 public:
  explicit Busy(SystrapThread& thread) : thread_(thread) { thread_.busy_ = true; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { thread_.busy_ = false; }

 private:
  SystrapThread& thread_;
};

SystrapThread::SystrapThread(StubSpace& space, std::uint32_t index, Fd listener,
                             SystrapContext& context)
    : StubThread(space, index), listener_(std::move(listener)), context_(context) {}

ErrnoOr<> SystrapThread::begin() {
  TRY(receive());
  const auto& data = notice_.data;
  if (data.instruction_pointer != kGateEvent || data.args[0] != kBegun)
    return std::unexpected(broken());
  thread_ = static_cast<pid_t>(notice_.pid);
  std::uint64_t begin = kAreas + std::uint64_t{index()} * kAreaSize;
  frame_at_ = data.args[1] - begin;
  if (frame_at_ % 8 != 0 || frame_at_ > kStackSize - sizeof(SignalFrame))
    return std::unexpected(broken());
  image_at_ = frame().extended_state - begin;
  if (image_at_ % 64 != 0 || image_at_ > kStackSize) return std::unexpected(broken());
  auto layout = described_layout({area() + image_at_, kStackSize - image_at_});
  if (!layout) return std::unexpected(broken());
  layout_ = *layout;
  extended_.resize(layout_.whole_size());
  command().patience = context_.patience;
  load_registers();
  if (context_.islands) {
    command().patches = 1;
    record().self = head().gs_base = record_address();
  }
  return {};
}

SystrapThread::~SystrapThread() {
  // Its index is free when the host says that it has ended.
  if (waits_) (void)answer(kExit);
  if (looks_) context_.budget.give_back();
  space().free_index(index(), listener_.release());
}

SignalFrame& SystrapThread::frame() const {
  return *reinterpret_cast<SignalFrame*>(area() + frame_at_);
}
CallRecord& SystrapThread::record() const {
  return *reinterpret_cast<CallRecord*>(area() + kRecordOffset);
}
std::uint64_t SystrapThread::record_address() const {
  return kAreas + std::uint64_t{index()} * kAreaSize + kRecordOffset;
}
std::span<std::byte> SystrapThread::image() const {
  return {area() + image_at_, layout_.whole_size()};
}

ErrnoOr<> SystrapThread::answer(Answer answer) {
  if (!std::exchange(waits_, false)) return std::unexpected(Errno{ESRCH});
  if (std::exchange(by_lane_, false)) {
    std::atomic_ref(command().answer).store(answer, std::memory_order_release);
    std::uint32_t taken = kLaneTaken;
    if (std::atomic_ref(head().lane).compare_exchange_strong(taken, kLaneAnswered)) return {};
    TRY(receive());
    if (notice_.data.instruction_pointer != kGateEvent || notice_.data.args[0] != kSleeps)
      return std::unexpected(broken());
    waits_ = false;
    if (policy_.missed()) stop_looking();
  }
  return listener_.answer(notice_.id, answer);
}

ErrnoOr<> SystrapThread::receive() {
  notice_ = TRY(listener_.receive());
  waits_ = true;
  return {};
}

Errno SystrapThread::broken() {
  process().kill();
  waits_ = false;
  return Errno{ESRCH};
}

Event SystrapThread::gone() {
  gone_ = true;
  waits_ = false;
  process().kill();
  return {EventKind::kGone, {}};
}

Event SystrapThread::run() {
  if (gone_) return gone();
  Busy busy(*this);
  if (interrupted_.exchange(false)) return {EventKind::kInterrupted, {}};
  auto event = resume();
  return event ? *event : gone();
}

ErrnoOr<Event> SystrapThread::resume() {
  TRY(store_state());
  std::atomic_ref(command().watched).store(looks_ ? 1 : 0);
  TRY(answer(kResume));
  extended_known_ = false;
  if (looks_ && look()) return lane_event();
  std::uint64_t began = __builtin_ia32_rdtsc();
  TRY(receive());
  judge_wait(began);
  return event();
}

// Looks for a call at the lane. False: none came in time, and the stub knows that nobody looks.
bool SystrapThread::look() {
  std::atomic_ref lane(head().lane);
  std::uint64_t end = __builtin_ia32_rdtsc() + context_.patience;
  auto called = [&lane] {
    std::uint32_t state = lane.load(std::memory_order_acquire);
    return state == kLaneCalled || state == kLaneRecorded;
  };
  while (!called() && __builtin_ia32_rdtsc() < end) __builtin_ia32_pause();
  if (take_call()) {
    policy_.seen();
    return true;
  }
  if (policy_.missed()) stop_looking();
  std::atomic_ref(command().watched).store(0);
  return take_call();
}

bool SystrapThread::take_call() {
  std::atomic_ref lane(head().lane);
  std::uint32_t state = lane.load(std::memory_order_acquire);
  recorded_ = state == kLaneRecorded;
  return (recorded_ || state == kLaneCalled) && lane.compare_exchange_strong(state, kLaneTaken);
}

void SystrapThread::stop_looking() {
  if (!std::exchange(looks_, false)) return;
  context_.budget.give_back();
  listener_.wake_here(true);
}

void SystrapThread::judge_wait(std::uint64_t began) {
  if (looks_) return;
  // The wait was mostly two wake-ups, if the guest had little to do: on some hosts of 50 us.
  bool is_call = notice_.data.instruction_pointer == kGateSyscall ||
                 notice_.data.instruction_pointer == kGateRecord;
  bool soon = is_call && __builtin_ia32_rdtsc() - began < std::uint64_t{context_.patience} * 4;
  if (!policy_.came(soon) || !context_.budget.take()) return;
  looks_ = true;
  listener_.wake_here(false);
}

// Every cache line that is written here has to come back to the stub's processor: as few as
// possible.
ErrnoOr<> SystrapThread::store_state() {
  SignalFrame& frame = this->frame();
  if (registers_.rax != loaded_.rax && recorded_) record().rax = registers_.rax;
  if (registers_.rax != loaded_.rax && !recorded_)
    frame.registers[REG_RAX] = static_cast<greg_t>(registers_.rax);
  loaded_.rax = registers_.rax;
  loaded_.orig_rax = registers_.orig_rax;
  if (registers_ == loaded_) return {};
  TRY(frame_state());
  loaded_ = registers_;
  copy_registers(frame, registers_);
  frame.extended_state = kAreas + std::uint64_t{index()} * kAreaSize + image_at_;
  frame.blocked = 0;
  AreaHead& head = this->head();
  // The stub loads these by instructions that fault on other addresses.
  head.fs_base = is_canonical(registers_.fs_base) ? registers_.fs_base : 0;
  head.gs_base = is_canonical(registers_.gs_base) ? registers_.gs_base : 0;
  if (head.gs_base == 0 && context_.islands) head.gs_base = record_address();
  return {};
}

ErrnoOr<> SystrapThread::frame_state() {
  if (!recorded_) return {};
  TRY(answer(kFrame));
  TRY(receive());
  if (notice_.data.instruction_pointer != kGateEvent || notice_.data.args[0] != kFramed)
    return std::unexpected(broken());
  recorded_ = false;
  return {};
}

void SystrapThread::load_registers() {
  AreaHead head;
  std::memcpy(&head, &this->head(), sizeof head);
  if (recorded_) {
    CallRecord record;
    std::memcpy(&record, &this->record(), sizeof record);
    copy_registers(registers_, record);
    head.gs_base = record_address();
  } else {
    greg_t registers[NGREG];
    std::memcpy(registers, frame().registers, sizeof registers);
    copy_registers(registers_, registers);
  }
  registers_.fs_base = head.fs_base;
  // Where the guest has no gs base of its own, the processor has that by which trampolines find
  // the record.
  registers_.gs_base = head.gs_base == record_address() ? 0 : head.gs_base;
  loaded_ = registers_;
}

ErrnoOr<Event> SystrapThread::event() {
  recorded_ = notice_.data.instruction_pointer == kGateRecord;
  if (recorded_ || notice_.data.instruction_pointer == kGateSyscall) return call_event();
  if (notice_.data.instruction_pointer != kGateEvent) return std::unexpected(broken());
  switch (notice_.data.args[0]) {
    case kBegun:  // reached by a jump of the guest: an exception like others
    case kFaulted: return fault_event();
    case kForeignCall: {
      load_registers();
      registers_.rip -= 2;
      return Event{EventKind::kFault,
                   {.signal = SIGSEGV,
                    .code = SI_KERNEL,
                    .address = 0,
                    .trap = kGeneralProtection,
                    .error = kInt80Error}};
    }
    case kFramed:
    case kStopped: return stopped_event();
    default: return std::unexpected(broken());
  }
}

Event SystrapThread::call_event() {
  load_registers();
  const seccomp_data& call = notice_.data;
  registers_.orig_rax = static_cast<std::uint64_t>(std::int64_t{call.nr});
  registers_.rdi = call.args[0], registers_.rsi = call.args[1], registers_.rdx = call.args[2];
  registers_.r10 = call.args[3], registers_.r8 = call.args[4], registers_.r9 = call.args[5];
  return trapped_call();
}

Event SystrapThread::lane_event() {
  waits_ = true;
  by_lane_ = true;
  load_registers();
  auto number = static_cast<std::int32_t>(registers_.rax);
  registers_.orig_rax = static_cast<std::uint64_t>(std::int64_t{number});
  return trapped_call();
}

Event SystrapThread::trapped_call() {
  bool hot = !recorded_ && context_.islands && sites_.count(registers_.rip);
  return {EventKind::kSyscall, {}, hot ? registers_.rip : 0};
}

Event SystrapThread::stopped_event() {
  load_registers();
  leave_trampoline();
  interrupted_ = false;
  return {EventKind::kInterrupted, {}};
}

// Stopped or stepped into a trampoline, the guest is where it would be without: behind the first
// instruction of the site.
void SystrapThread::leave_trampoline() {
  auto call = static_cast<SystrapSpace&>(space()).call_of_trampoline(registers_.rip);
  if (!call) return;
  registers_.rip = call->behind - 2;
  registers_.rax = call->number;
}

Event SystrapThread::fault_event() {
  load_registers();
  leave_trampoline();
  SignalFrame copy;
  std::memcpy(&copy, &frame(), sizeof copy);
  constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  bool known = std::ranges::find(kSignals, copy.info.si_signo) != std::end(kSignals);
  return {EventKind::kFault,
          {.signal = known ? copy.info.si_signo : SIGSEGV,
           .code = copy.info.si_code,
           .address = reinterpret_cast<std::uint64_t>(copy.info.si_addr),
           .trap = static_cast<std::uint32_t>(copy.registers[REG_TRAPNO]),
           .error = static_cast<std::uint32_t>(copy.registers[REG_ERR])}};
}

ErrnoOr<std::uint64_t> SystrapThread::execute(const Order& order, int file) {
  Busy busy(*this);
  ThreadCommand& command = this->command();
  command.number = order.number;
  std::ranges::copy(order.arguments, command.arguments);
  TRY(answer(kOrder));
  TRY(receive());
  TRY(let_order_through(order, file));
  TRY(wait_for_done());
  auto result = static_cast<std::int64_t>(notice_.data.args[1]);
  if (sys::failed(result)) return std::unexpected(Errno{static_cast<int>(-result)});
  return static_cast<std::uint64_t>(result);
}

// Arguments are registers, which nobody can change any more: what is compared is what is executed.
ErrnoOr<> SystrapThread::let_order_through(const Order& order, int file) {
  const seccomp_data& call = notice_.data;
  bool given = call.instruction_pointer == kGateOrder &&
               static_cast<std::uint64_t>(call.nr) == order.number &&
               std::ranges::equal(call.args, order.arguments);
  if (!given) return std::unexpected(broken());
  waits_ = false;
  if (file >= 0) {
    auto added = listener_.add_descriptor(notice_.id, file, kFdSlot);
    if (!added) return listener_.refuse(notice_.id, added.error().value);
  }
  return listener_.let_through(notice_.id);
}

ErrnoOr<> SystrapThread::wait_for_done() {
  TRY(receive());
  if (notice_.data.instruction_pointer != kGateEvent || notice_.data.args[0] != kDone)
    return std::unexpected(broken());
  return {};
}

ErrnoOr<std::uint32_t> SystrapThread::swap(std::uint64_t address, std::uint32_t expected,
                                           std::uint32_t desired) {
  return static_cast<std::uint32_t>(TRY(compare(kCompare, address, expected, desired)));
}

ErrnoOr<std::uint64_t> SystrapThread::swap_long(std::uint64_t address, std::uint64_t expected,
                                                std::uint64_t desired) {
  return compare(kCompareLong, address, expected, desired);
}

ErrnoOr<std::uint64_t> SystrapThread::compare(Answer which, std::uint64_t address,
                                              std::uint64_t expected, std::uint64_t desired) {
  Busy busy(*this);
  ThreadCommand& command = this->command();
  command.arguments[0] = address;
  command.arguments[1] = expected;
  command.arguments[2] = desired;
  TRY(answer(which));
  TRY(wait_for_done());
  if (notice_.data.args[1] != 0) return std::unexpected(Errno{EFAULT});
  return notice_.data.args[2];
}

std::span<const std::byte> SystrapThread::extended_state() {
  if (!extended_known_ && frame_state()) {
    std::ranges::copy(image(), extended_.begin());
    describe_extended_state(layout_, extended_);
    extended_known_ = true;
  }
  return extended_;
}

ErrnoOr<> SystrapThread::set_extended_state(std::span<const std::byte> image) {
  TRY(frame_state());
  TRY(copy_extended_state(layout_, image, extended_));
  extended_known_ = true;
  std::ranges::copy(extended_, this->image().begin());
  return {};
}

void SystrapThread::reset_extended_state() {
  if (!frame_state()) return;  // it has ended
  init_extended_state(layout_, extended_);
  extended_known_ = true;
  std::ranges::copy(extended_, image().begin());
}

ErrnoOr<> SystrapThread::take_over(Thread& parent) {
  return set_extended_state(static_cast<SystrapThread&>(parent).extended_state());
}

void SystrapThread::interrupt() {
  interrupted_ = true;
  if (busy_) (void)sys::call_void(SYS_tgkill, process().pid(), thread_, kInterruptSignal);
}

void SystrapThread::publish(const Identity& identity) {
  ThreadCommand& command = this->command();
  command.process = identity.process;
  command.thread = identity.thread;
  command.parent = identity.parent;
  command.uid = identity.uid, command.euid = identity.euid;
  command.gid = identity.gid, command.egid = identity.egid;
  std::atomic_ref(command.identified)
      .store(identity.process != 0 ? 1U : 0U, std::memory_order_release);
}

}  // namespace caisson::sandbox::platform
