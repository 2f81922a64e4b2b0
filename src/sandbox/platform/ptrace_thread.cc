#include "sandbox/platform/ptrace_thread.h"

#include <elf.h>
#include <linux/audit.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::platform {
namespace {

constexpr int kRequestCont = 7, kRequestStep = 9, kRequestGetRegisters = 12,
              kRequestSetRegisters = 13, kRequestDetach = 17, kRequestSysemu = 31;
constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
constexpr int kSyscallStop = SIGTRAP | 0x80;
// Of a general protection fault, as the host reports int $0x80 where it is switched off.
constexpr std::uint32_t kGeneralProtection = 13;
constexpr std::uint32_t kInt80Error = 0x80 * 8 + 2;

template <typename... Args>
ErrnoOr<> trace(int request, pid_t thread, Args... args) {
  return sys::call_void(SYS_ptrace, request, thread, args...);
}

void copy(Registers& to, const user_regs_struct& from) {
  to = {.r15 = from.r15,
        .r14 = from.r14,
        .r13 = from.r13,
        .r12 = from.r12,
        .rbp = from.rbp,
        .rbx = from.rbx,
        .r11 = from.r11,
        .r10 = from.r10,
        .r9 = from.r9,
        .r8 = from.r8,
        .rax = from.rax,
        .rcx = from.rcx,
        .rdx = from.rdx,
        .rsi = from.rsi,
        .rdi = from.rdi,
        .rip = from.rip,
        .eflags = from.eflags,
        .rsp = from.rsp,
        .fs_base = from.fs_base,
        .gs_base = from.gs_base};
}

user_regs_struct with(const Registers& from, user_regs_struct to) {
  to.r15 = from.r15, to.r14 = from.r14, to.r13 = from.r13, to.r12 = from.r12;
  to.rbp = from.rbp, to.rbx = from.rbx, to.r11 = from.r11, to.r10 = from.r10;
  to.r9 = from.r9, to.r8 = from.r8, to.rax = from.rax, to.rcx = from.rcx;
  to.rdx = from.rdx, to.rsi = from.rsi, to.rdi = from.rdi;
  to.rip = from.rip, to.eflags = from.eflags, to.rsp = from.rsp;
  to.fs_base = from.fs_base, to.gs_base = from.gs_base;
  to.orig_rax = ~0ULL;  // no system call that the host could think of restarting
  return to;
}

}  // namespace

PtraceThread::PtraceThread(StubSpace& space, std::uint32_t index, pid_t thread,
                           const ExtendedLayout& layout)
    : StubThread(space, index), thread_(thread), layout_(layout), extended_(layout.whole_size()) {
  init_extended_state(layout_, extended_);
}

PtraceThread::~PtraceThread() {
  if (state_ == State::kHeld) {
    // It ends by itself when it is woken up to see this.
    std::atomic_ref(command().hold).store(1);
    (void)sys::call_void(SYS_futex, &command().hold, 1 /* FUTEX_WAKE */, 1);
  } else if (state_ == State::kAttached) {
    (void)inject({SYS_exit, {}});
    if (state_ == State::kAttached) (void)gone();
  }
  // Its own stack is no longer used once it was seen to end. Else the number stays taken.
  if (state_ == State::kGone) space().free_index(index(), Fd());
}

Event PtraceThread::gone() {
  process().kill();
  // Only its tracer can see to it that nothing of a traced thread stays.
  while (state_ == State::kAttached) (void)wait_stop();
  state_ = State::kGone;
  return {EventKind::kGone, {}};
}

ErrnoOr<int> PtraceThread::wait_stop() {
  int status = 0;
  auto waited = sys::call_retry(SYS_wait4, thread_, &status, __WALL, nullptr);
  if (waited && WIFSTOPPED(status)) return status;
  state_ = State::kGone;
  return std::unexpected(Errno{ESRCH});
}

ErrnoOr<int> PtraceThread::resume(int request, int signal) {
  TRY(trace(request, thread_, 0, signal));
  return wait_stop();
}

ErrnoOr<> PtraceThread::attach() {
  if (state_ == State::kAttached) return {};
  if (state_ == State::kGone) return std::unexpected(Errno{ESRCH});
  TRY(trace(PTRACE_SEIZE, thread_, 0, kOptions));
  TRY(trace(PTRACE_INTERRUPT, thread_, 0, 0));
  TRY(wait_stop());
  state_ = State::kAttached;
  TRY(trace(kRequestGetRegisters, thread_, 0, &host_));
  std::uint64_t no_signals = 0;
  return trace(PTRACE_SETSIGMASK, thread_, sizeof no_signals, &no_signals);
}

// Back to where it was held, for another thread to attach to.
void PtraceThread::give_back() {
  if (state_ != State::kAttached) return;
  auto back = write_registers(host_);
  if (back) back = trace(kRequestDetach, thread_, 0, 0);
  state_ = back ? State::kHeld : State::kGone;
}

ErrnoOr<> PtraceThread::write_registers(const user_regs_struct& registers) {
  return trace(kRequestSetRegisters, thread_, 0, &registers);
}

ErrnoOr<> PtraceThread::read_registers() {
  TRY(trace(kRequestGetRegisters, thread_, 0, &host_));
  copy(registers_, host_);
  return {};
}

ErrnoOr<> PtraceThread::write_guest_state() {
  TRY(write_registers(with(registers_, host_)));
  if (extended_is_ == Extended::kNewer) {
    iovec image{extended_.data(), layout_.size};
    TRY(trace(PTRACE_SETREGSET, thread_, NT_X86_XSTATE, &image));
  }
  extended_is_ = Extended::kUnknown;
  return {};
}

Event PtraceThread::run() {
  running_ = true;
  Event event{EventKind::kInterrupted, {}};
  if (!interrupted_.exchange(false)) {
    auto done = attach();
    auto ran = done ? run_once() : std::unexpected(done.error());
    event = ran ? *ran : gone();
  }
  running_ = false;
  return event;
}

ErrnoOr<Event> PtraceThread::run_once() {
  TRY(write_guest_state());
  int status = TRY(resume(kRequestSysemu, 0));
  while (status >> 16 != 0)  // a stop of the whole stub by the host: not the guest's business
    status = TRY(resume(kRequestSysemu, 0));
  TRY(read_registers());
  if (WSTOPSIG(status) == kSyscallStop) return syscall_stop();
  return signal_stop(WSTOPSIG(status));
}

ErrnoOr<Event> PtraceThread::syscall_stop() {
  ptrace_syscall_info call{};
  TRY(trace(PTRACE_GET_SYSCALL_INFO, thread_, sizeof call, &call));
  if (call.arch != AUDIT_ARCH_X86_64) {
    registers_.rip -= 2;
    return Event{.kind = EventKind::kFault,
                 .fault = {.signal = SIGSEGV,
                           .code = SI_KERNEL,
                           .trap = kGeneralProtection,
                           .error = kInt80Error}};
  }
  // As the host's kernel reads it: 32 bits.
  auto number = static_cast<std::int32_t>(host_.orig_rax);
  registers_.orig_rax = static_cast<std::uint64_t>(std::int64_t{number});
  registers_.rax = host_.orig_rax;
  return Event{.kind = EventKind::kSyscall, .fault = {}};
}

ErrnoOr<Event> PtraceThread::signal_stop(int signal) {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP: return Event{.kind = EventKind::kFault, .fault = TRY(fault(signal))};
    default:
      if (signal == kInterruptSignal) interrupted_ = false;
      return Event{.kind = EventKind::kInterrupted, .fault = {}};
  }
}

// What ptrace does not tell, the trap's number and error code, stands in the signal frame. So the
// signal is delivered, and the handler never gets to its first instruction.
ErrnoOr<Fault> PtraceThread::fault(int signal) {
  siginfo_t info{};
  TRY(trace(PTRACE_GETSIGINFO, thread_, 0, &info));
  Fault fault{.signal = signal,
              .code = info.si_code,
              .address = reinterpret_cast<std::uint64_t>(info.si_addr)};
  TRY(resume(kRequestStep, signal));
  user_regs_struct handler{};
  TRY(trace(kRequestGetRegisters, thread_, 0, &handler));
  std::uint64_t begin = kAreas + std::uint64_t{index()} * kAreaSize;
  if (handler.rdx < begin || handler.rdx > begin + kStackSize - sizeof(ucontext_t)) return fault;
  ucontext_t frame;
  std::memcpy(&frame, area() + (handler.rdx - begin), sizeof frame);
  fault.trap = static_cast<std::uint32_t>(frame.uc_mcontext.gregs[REG_TRAPNO]);
  fault.error = static_cast<std::uint32_t>(frame.uc_mcontext.gregs[REG_ERR]);
  return fault;
}

ErrnoOr<std::uint64_t> PtraceThread::inject(const Order& order) {
  user_regs_struct registers = host_;
  registers.rip = kInject;
  registers.orig_rax = ~0ULL;
  registers.eflags = 0x202;
  registers.rax = order.number;
  registers.rdi = order.arguments[0], registers.rsi = order.arguments[1];
  registers.rdx = order.arguments[2], registers.r10 = order.arguments[3];
  registers.r8 = order.arguments[4], registers.r9 = order.arguments[5];
  TRY(write_registers(registers));
  int signal = 0;
  do {
    int status = TRY(resume(kRequestCont, 0));
    signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
    // An interrupt that came meanwhile is for run() to report.
    if (signal == kInterruptSignal) interrupted_ = true;
  } while (signal != SIGTRAP && signal != SIGSEGV);
  TRY(trace(kRequestGetRegisters, thread_, 0, &registers));
  if (signal != SIGTRAP || registers.rip != kInject + 3) return std::unexpected(Errno{EFAULT});
  if (sys::failed(static_cast<long>(registers.rax)))
    return std::unexpected(Errno{static_cast<int>(-static_cast<long>(registers.rax))});
  return registers.rax;
}

// Sends the descriptor to the stub, which receives it as its lowest free one: kFdSlot.
ErrnoOr<> PtraceThread::pass_file(int file) {
  struct Letter {  // in the thread's area
    msghdr header;
    iovec part;
    char byte;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  };
  std::uint64_t at = kAreas + std::uint64_t{index()} * kAreaSize;
  Letter letter{};
  letter.part = {reinterpret_cast<void*>(at + offsetof(Letter, byte)), 1};
  letter.header.msg_iov = reinterpret_cast<iovec*>(at + offsetof(Letter, part));
  letter.header.msg_iovlen = 1;
  letter.header.msg_control = reinterpret_cast<void*>(at + offsetof(Letter, control));
  letter.header.msg_controllen = sizeof letter.control;
  std::memcpy(area(), &letter, sizeof letter);
  TRY(sys::send_message(space().family().file_sender(), "f", {&file, 1}));
  auto received = inject({SYS_recvmsg, {kFdListener, at, MSG_DONTWAIT}});
  if (received) return {};
  // Nobody else may get it.
  (void)sys::call_void(SYS_recvfrom, space().family().file_receiver().number(), nullptr, 0,
                       MSG_DONTWAIT, nullptr, nullptr);
  return std::unexpected(received.error());
}

ErrnoOr<std::uint64_t> PtraceThread::execute(const Order& order, int file) {
  TRY(attach());
  if (file < 0) return inject(order);
  Locked lock(space().family().file_mutex());
  TRY(pass_file(file));
  auto result = inject(order);
  TRY(inject({SYS_close, {kFdSlot}}));
  return result;
}

ErrnoOr<std::uint32_t> PtraceThread::swap(std::uint64_t address, std::uint32_t expected,
                                          std::uint32_t desired) {
  TRY(attach());
  user_regs_struct registers = host_;
  registers.rip = kSwap;
  registers.orig_rax = ~0ULL;
  registers.eflags = 0x202;
  registers.rax = expected, registers.rsi = desired, registers.rdi = address;
  TRY(write_registers(registers));
  int signal = 0;
  do {
    int status = TRY(resume(kRequestStep, 0));
    signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
    if (signal == kInterruptSignal) interrupted_ = true;
    TRY(trace(kRequestGetRegisters, thread_, 0, &registers));
    // From the stop of a system call, the first step is only to the end of that call.
    if (signal == SIGTRAP && registers.rip == kSwap) signal = 0;
  } while (signal != SIGTRAP && signal != SIGSEGV && signal != SIGBUS);
  if (signal != SIGTRAP) return std::unexpected(Errno{EFAULT});
  return static_cast<std::uint32_t>(registers.rax);
}

std::span<const std::byte> PtraceThread::extended_state() {
  if (extended_is_ == Extended::kUnknown) {
    iovec image{extended_.data(), layout_.size};
    if (trace(PTRACE_GETREGSET, thread_, NT_X86_XSTATE, &image)) {
      describe_extended_state(layout_, extended_);
      extended_is_ = Extended::kSame;
    }
  }
  return extended_;
}

ErrnoOr<> PtraceThread::set_extended_state(std::span<const std::byte> image) {
  TRY(copy_extended_state(layout_, image, extended_));
  extended_is_ = Extended::kNewer;
  return {};
}

void PtraceThread::reset_extended_state() {
  init_extended_state(layout_, extended_);
  extended_is_ = Extended::kNewer;
}

ErrnoOr<> PtraceThread::take_over(Thread& parent) {
  return set_extended_state(static_cast<PtraceThread&>(parent).extended_state());
}

void PtraceThread::interrupt() {
  interrupted_ = true;
  if (running_) (void)sys::call_void(SYS_tgkill, process().pid(), thread_, kInterruptSignal);
}

}  // namespace caisson::sandbox::platform
