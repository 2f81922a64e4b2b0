#include "sandbox/kernel/task_runner.h"

#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <csignal>
#include <utility>

#include "base/clock.h"
#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/signal_frame.h"
#include "sandbox/kernel/stop_gate.h"
#include "sandbox/kernel/traced_registers.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::kernel {
namespace {

// Enough for the deepest call of the kernel (a path walk through overlays); only touched pages
// cost.
constexpr std::size_t kStackSize = std::size_t{256} << 10;

bool is_restart(std::int64_t result) {
  return result == -kRestart.value || result == -kRestartAlways.value ||
         result == -kRestartIfNoHandler.value || result == -kRestartWithState.value;
}

}  // namespace

ErrnoOr<> TaskRunner::start(Task& task) {
  pthread_attr_t attributes;
  (void)::pthread_attr_init(&attributes);
  (void)::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  (void)::pthread_attr_setstacksize(&attributes, kStackSize);
  sigset_t all, before;  // the process's signals are for its first thread
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
  task.add_ref();
  task.kernel().thread_begins();
  pthread_t thread{};
  int error = ::pthread_create(&thread, &attributes, &TaskRunner::thread_main, &task);
  if (error != 0) {
    task.kernel().thread_ended();
    task.drop_ref();
  }
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  (void)::pthread_attr_destroy(&attributes);
  if (error != 0) return std::unexpected(Errno{EAGAIN});
  return {};
}

void* TaskRunner::thread_main(void* argument) {
  Ref<Task> task = Ref<Task>::adopt(static_cast<Task*>(argument));
  Kernel& kernel = task->kernel();
  kernel.gate().enter();
  TaskRunner(*task).run();
  kernel.end_task(*task);
  kernel.gate().leave();
  task = nullptr;
  kernel.thread_ended();
  return nullptr;
}

void TaskRunner::run() {
  begin_life();
  while (!task_.exiting_ && !task_.dying()) {
    if (task_.interrupted()) {
      handle_interruption();
      continue;
    }
    platform::Event event = run_guest();
    switch (event.kind) {
      case platform::EventKind::kSyscall:
        if (event.site != 0) task_.memory().speed_up(task_.thread(), event.site);
        answer_syscall();
        break;
      case platform::EventKind::kFault: answer_fault(event.fault); break;
      case platform::EventKind::kInterrupted: break;
      case platform::EventKind::kGone: kernel_.exit_group(task_, SIGKILL); break;
    }
  }
}

void TaskRunner::begin_life() {
  task_.restart_system_time(monotonic_ns());
  publish();
  take_over_restored();
  ThreadGroup& group = task_.group();
  if (group.leader == &task_ && group.limit(RLIMIT_CPU).soft != ~std::uint64_t{0})
    group.timers().limit_changed();
  if (std::exchange(task_.begun_, true) || task_.tid_address == 0) return;
  std::int32_t id = task_.id();
  (void)task_.memory().write(task_.tid_address, std::as_bytes(std::span(&id, 1)));  // as Linux does
}

// What the guest thread of a restored task had. It was checked when it was read.
void TaskRunner::take_over_restored() {
  if (task_.first_extended_.empty()) return;
  (void)task_.thread().set_extended_state(task_.first_extended_);
  task_.first_extended_ = {};
}

void TaskRunner::publish() {
  platform::Identity identity;
  {
    Locked locked(kernel_.task_lock());
    ThreadGroup& group = task_.group();
    identity.process = group.id();
    identity.thread = task_.id();
    identity.parent = group.parent != nullptr ? group.parent->id_in(*group.pid_namespace) : 0;
  }
  const vfs::Credentials& credentials = task_.credentials();
  identity.uid = credentials.uid;
  identity.euid = credentials.euid;
  identity.gid = credentials.gid;
  identity.egid = credentials.egid;
  if (task_.calls_are_watched()) identity = {};
  kernel_.platform().publish(task_.thread(), identity);
}

// PTRACE_SINGLESTEP: the processor raises SIGTRAP behind the next instruction.
void TaskRunner::prepare_step() {
  Ref<Tracing> tracing = task_.tracing_ref();
  if (!tracing) return;
  TraceMode mode = tracing->mode();
  bool steps = mode == TraceMode::kStep || mode == TraceMode::kEmulateStep;
  task_.registers().set_single_step(steps);
}

platform::Event TaskRunner::run_guest() {
  // interrupt() sets its flag before it looks at in_guest_, here it is the other way round: one of
  // the two sees the other.
  task_.in_guest_.store(true, std::memory_order_seq_cst);
  platform::Event event;
  if (!task_.interrupted_.load(std::memory_order_seq_cst)) {
    if (task_.is_traced) prepare_step();
    std::int64_t now = monotonic_ns();
    task_.add_system_time(now);
    task_.guest_since_.store(now, std::memory_order_relaxed);
    event = task_.thread_->run();
    std::int64_t after = monotonic_ns();
    task_.guest_since_.store(0, std::memory_order_relaxed);
    task_.user_ns_.store(task_.user_ns_.load(std::memory_order_relaxed) + after - now,
                         std::memory_order_relaxed);
    task_.kernel_since_.store(after, std::memory_order_relaxed);
  }
  task_.in_guest_.store(false, std::memory_order_seq_cst);
  return event;
}

// The call as its tracer left it, unless that does it itself; false: it has been answered.
bool TaskRunner::enter_traced_call() {
  Ref<Tracing> tracing = task_.tracing_ref();
  if (!tracing) return true;
  platform::Registers& registers = task_.registers();
  TraceMode mode = tracing->mode();
  registers.set_result(-ENOSYS);
  tracing->stop_at_call(task_, CallStop::kEntry);
  bool emulated = mode == TraceMode::kEmulate || mode == TraceMode::kEmulateStep;
  if (!emulated && is_in_call(registers)) return true;
  if (!emulated) tracing->stop_at_call(task_, CallStop::kExit);
  return false;
}

void TaskRunner::leave_traced_call() {
  if (Ref<Tracing> tracing = task_.tracing_ref()) tracing->stop_at_call(task_, CallStop::kExit);
}

void TaskRunner::answer_syscall() {
  if (task_.is_traced && !enter_traced_call()) return;
  std::uint64_t number = task_.registers().syscall_number();
  std::int64_t result = kernel_.syscall_(task_, number);
  if (task_.keeps_registers) {
    task_.keeps_registers = false;
    if (task_.is_traced) leave_traced_call();
    return;
  }
  if (is_restart(result)) task_.restart_code = -result;
  task_.registers().set_result(result);
  // A call that was not interrupted (ppoll with something ready) puts its mask back before signals
  // that only it let through are acted on.
  if (task_.restart_code == 0 && result != -EINTR) restore_mask();
  if (task_.is_traced) leave_traced_call();
  if (task_.restart_code != 0 || task_.saved_mask) handle_interruption();
}

void TaskRunner::answer_fault(const platform::Fault& fault) {
  task_.faults_.fetch_add(1, std::memory_order_relaxed);
  SignalInfo info;
  info.signal = fault.signal;
  info.code = fault.code;
  info.address = fault.address;
  if (fault.signal == SIGSEGV || fault.signal == SIGBUS) {
    mm::FaultOutcome outcome =
        task_.memory().handle_fault(task_.thread(), fault, task_.memory_limits());
    if (outcome.resolved) return;
    info.signal = outcome.signal;
    info.code = outcome.code;
  }
  task_.last_fault = fault;
  if (fault.signal == SIGTRAP && task_.is_traced) task_.registers().set_single_step(false);
  kernel_.force_signal(task_, info);
}

void TaskRunner::handle_interruption() {
  do {
    task_.interrupted_.store(false, std::memory_order_seq_cst);
    if (kernel_.gate().is_closed()) {
      task_.stand();
      kernel_.gate().pass();
      task_.go_on();
    }
    if (task_.identity_stale_.exchange(false, std::memory_order_acq_rel)) publish();
    stand_still();
    while (!task_.dying() && act_on_next_signal()) stand_still();
    if (task_.dying()) return;
    finish_call_without_handler();
  } while (task_.interrupted());
}

SignalInfo TaskRunner::take_next_signal() {
  ThreadGroup& group = task_.group();
  Locked locked(group.signal_mutex);
  if (task_.dying_ || group.stopping) return {};
  SignalInfo info = task_.pending.take(task_.blocked);
  if (info.signal == 0) info = group.pending.take(task_.blocked);
  bool stops = info.signal != 0 && (signal_bit(info.signal) & kStopSignals) != 0;
  if (stops) group.stop_taken = true;
  return info;
}

// The tracer says what becomes of a signal: signal 0, nothing.
SignalInfo TaskRunner::show_to_tracer(SignalInfo info) {
  Ref<Tracing> tracing = task_.tracing_ref();
  if (!tracing) return info;
  if (task_.restart_code == 0) forget_call(task_.registers());
  TraceStop stop{info.signal, 0, info, CallStop::kNone};
  int chosen = tracing->stop_here(task_, std::move(stop));
  if (chosen == info.signal) return info;
  return chosen == 0 ? SignalInfo{} : SignalInfo::user(chosen, 0, 0);
}

bool TaskRunner::act_on_next_signal() {
  if (Ref<Tracing> tracing = task_.tracing_ref()) tracing->stop_if_wanted(task_);
  SignalInfo info = take_next_signal();
  if (info.signal == 0) return false;
  kernel_.signal_taken(task_, info);
  info = show_to_tracer(info);
  if (info.signal == 0) return true;
  ThreadGroup& group = task_.group();
  Locked locked(group.signal_mutex);
  if (task_.dying_) return false;
  SignalSet bit = signal_bit(info.signal);
  SignalAction& place = group.actions[static_cast<std::size_t>(info.signal)];
  SignalAction action = place;
  bool has_handler = action.handler > 1;
  if (has_handler && (action.flags & SA_RESETHAND) != 0) place = SignalAction{};
  bool ignored =
      action.handler == 1 || (!has_handler && group.unkillable && (bit & kUnblockable) == 0);
  locked.unlock();
  if (ignored) return true;
  if (has_handler)
    call_handler(info, action);
  else
    act_on_default(info);
  return true;
}

void TaskRunner::act_on_default(const SignalInfo& info) {
  switch (default_action(info.signal)) {
    case DefaultAction::kIgnore:
    case DefaultAction::kContinue: return;
    case DefaultAction::kStop:
      if (Ref<Tracing> tracing = task_.tracing_ref()) {
        int event = tracing->is_seized() ? PTRACE_EVENT_STOP << 8 : 0;
        (void)tracing->stop_here(task_, {info.signal | event, 0, std::nullopt, CallStop::kNone});
        return;
      }
      take_stop(info.signal);
      return;
    case DefaultAction::kTerminate: kernel_.exit_group(task_, info.signal); return;
    case DefaultAction::kCoreDump: {
      // No file is written: a core that goes to a pipe or a crash handler is told the same way.
      bool dumped = task_.group().limit(RLIMIT_CORE).soft != 0 && task_.group().dumpable;
      kernel_.exit_group(task_, info.signal | (dumped ? 0x80 : 0));
      return;
    }
  }
}

void TaskRunner::finish_call_without_handler() {
  if (task_.is_traced && !is_in_call(task_.registers()))
    task_.restart_code = 0;  // its tracer's wish
  if (task_.restart_code == kRestartWithState.value)
    task_.registers().restart_as(SYS_restart_syscall);
  else if (task_.restart_code != 0)
    task_.registers().restart_syscall();
  task_.restart_code = 0;
  restore_mask();
}

void TaskRunner::restore_mask() {
  if (!task_.saved_mask) return;
  SignalSet mask = *task_.saved_mask;
  task_.saved_mask.reset();
  task_.set_blocked(mask);
}

void TaskRunner::call_handler(const SignalInfo& info, const SignalAction& action) {
  platform::Registers& registers = task_.registers();
  if (task_.restart_code != 0) {
    bool again = task_.restart_code == kRestartAlways.value ||
                 (task_.restart_code == kRestart.value && (action.flags & SA_RESTART) != 0);
    if (again)
      registers.restart_syscall();
    else
      registers.set_result(-EINTR);
    task_.restart_code = 0;
  }
  SignalSet mask = task_.saved_mask.value_or(task_.blocked);
  task_.saved_mask.reset();
  if (!push_signal_frame(task_, info, action, mask)) {
    // A handler for SIGSEGV that cannot be called cannot be called for that either.
    if (info.signal == SIGSEGV) kernel_.set_action(task_.group(), SIGSEGV, {});
    kernel_.force_signal(task_, SignalInfo::kernel(SIGSEGV));
    return;
  }
  SignalSet blocked = task_.blocked | action.mask;
  if ((action.flags & SA_NODEFER) == 0) blocked |= signal_bit(info.signal);
  task_.set_blocked(blocked);
}

}  // namespace caisson::sandbox::kernel
