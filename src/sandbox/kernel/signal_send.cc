// Sending of signals (kernel/signal.c of Linux: send_signal(), prepare_signal(),
// complete_signal()).
#include <linux/capability.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>

#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::kernel {
namespace {

// Sent by who is not in the receiver's pid namespace, or by the kernel: an init cannot keep
// SIGKILL and SIGSTOP of these off.
bool comes_from_outside(const SignalInfo& info) {
  return info.code == SI_KERNEL || (info.code <= 0 && info.code != SI_TIMER && info.pid == 0);
}

bool is_ignored(const ThreadGroup& group, const Task& target, const SignalInfo& info) {
  SignalSet bit = signal_bit(info.signal);
  // The handler may be another one when it is unblocked.
  if ((target.blocked & bit) != 0 || (target.awaited & bit) != 0) return false;
  if (target.tracing && info.signal != SIGKILL) return false;  // its tracer decides
  const SignalAction& action = group.actions[static_cast<std::size_t>(info.signal)];
  bool is_default = action.handler == 0;
  if (group.unkillable && is_default) return (bit & kUnblockable) == 0 || !comes_from_outside(info);
  if (action.handler == 1) return true;
  return is_default && default_action(info.signal) == DefaultAction::kIgnore;
}

bool wants(const Task& task, int signal) {
  if (task.dying()) return false;
  return ((task.blocked & ~task.awaited) & signal_bit(signal)) == 0;
}

Task* choose_receiver(ThreadGroup& group, Task* target, int signal) {
  if (target != nullptr) return wants(*target, signal) ? target : nullptr;
  auto found = std::ranges::find_if(
      group.tasks, [&](Task* task) { return wants(*task, signal) && !task->interrupted(); });
  if (found == group.tasks.end())
    found = std::ranges::find_if(group.tasks, [&](Task* task) { return wants(*task, signal); });
  return found == group.tasks.end() ? nullptr : *found;
}

std::size_t queued_signals(const ThreadGroup& group) {
  std::size_t count = group.pending.size();
  for (const Task* task : group.tasks) count += task->pending.size();
  return count;
}

bool is_over_limit(const ThreadGroup& group) {
  return queued_signals(group) >= group.limits[RLIMIT_SIGPENDING].soft;
}

}  // namespace

void Kernel::recheck(Task& task) {
  const ThreadGroup& group = task.group();
  SignalSet pending = task.pending.set() | group.pending.set();
  if (task.dying() || ((group.stopping || group.stopped) && !task.in_stop_) ||
      group.change_to_report != 0 || (pending & ~(task.blocked & ~task.awaited)) != 0)
    task.interrupt();
}

void Kernel::discard_everywhere(ThreadGroup& group, SignalSet signals) {
  group.pending.discard(signals);
  for (Task* task : group.tasks) task->pending.discard(signals);
}

void Kernel::begin_group_exit(ThreadGroup& group, int status) {
  if (!group.exiting) {
    group.exiting = true;
    group.exit_status = status;
  }
  group.stopping = group.stopped = false;
  for (Task* task : group.tasks) {
    task->dying_.store(true, std::memory_order_release);
    task->interrupt();
  }
  group.stop_changes.notify(POLLIN);
}

// A stop signal takes SIGCONT out of the queues, SIGCONT takes the stop signals out and lets the
// group go on, whatever becomes of the signal itself.
void Kernel::prepare_stop_and_continue(ThreadGroup& group, int signal) {
  if ((signal_bit(signal) & kStopSignals) != 0) {
    discard_everywhere(group, signal_bit(SIGCONT));
    return;
  }
  if (signal != SIGCONT) return;
  discard_everywhere(group, kStopSignals);
  for (Task* task : group.tasks)
    if (task->tracing) task->tracing->continued(*task);
  group.stop_taken = false;
  if (!group.stopping && !group.stopped) return;
  // A stop that was under way is told as if it had been complete.
  group.change_to_report = group.stopped ? CLD_CONTINUED : CLD_STOPPED;
  group.continue_reported = false;
  group.stop_reported = true;
  group.stopping = group.stopped = false;
  group.stopped_tasks = 0;
  for (Task* task : group.tasks) task->in_stop_ = false;
  if (!group.tasks.empty()) group.tasks.front()->interrupt();
  group.stop_changes.notify(POLLIN);
}

ErrnoOr<> Kernel::send(ThreadGroup& group, Task* target, const SignalInfo& info) {
  if (group.exiting || group.tasks.empty()) return {};
  prepare_stop_and_continue(group, info.signal);
  const Task& judged = target != nullptr ? *target : *group.tasks.front();
  if (is_ignored(group, judged, info)) return {};
  if (info.signal == SIGKILL) {
    begin_group_exit(group, SIGKILL);
    return {};
  }
  if (info.signal >= kFirstRealTimeSignal && info.code != SI_USER && is_over_limit(group))
    return std::unexpected(Errno{EAGAIN});
  PendingSignals& queue = target != nullptr ? target->pending : group.pending;
  if (!queue.add(info)) return {};
  if (Task* receiver = choose_receiver(group, target, info.signal)) recheck(*receiver);
  group.signal_arrivals.notify(POLLIN);
  return {};
}

ErrnoOr<> Kernel::signal_group(ThreadGroup& group, const SignalInfo& info) {
  if (info.signal == 0) return {};
  Locked locked(group.signal_mutex);
  return send(group, nullptr, info);
}

ErrnoOr<> Kernel::signal_task(Task& task, const SignalInfo& info) {
  if (info.signal == 0) return {};
  Locked locked(task.group().signal_mutex);
  return send(task.group(), &task, info);
}

void Kernel::signal_members(ProcessGroup& group, const SignalInfo& info) {
  for (ThreadGroup* member : group.members) {
    Locked locked(member->signal_mutex);
    (void)send(*member, nullptr, info);  // a full queue of one keeps it from nobody else
  }
}

ErrnoOr<> Kernel::signal_process_group(ProcessGroup& group, const SignalInfo& info) {
  Locked locked(task_lock_);
  if (group.members.empty()) return std::unexpected(Errno{ESRCH});
  if (info.signal != 0) signal_members(group, info);
  return {};
}

void Kernel::force_signal(Task& task, const SignalInfo& info) {
  ThreadGroup& group = task.group();
  Locked locked(group.signal_mutex);
  SignalSet bit = signal_bit(info.signal);
  SignalAction& action = group.actions[static_cast<std::size_t>(info.signal)];
  if (action.handler == 1 || (task.blocked & bit) != 0) action.handler = 0;
  task.blocked &= ~bit;
  if (action.handler == 0) group.unkillable = false;
  (void)send(group, &task, info);  // synchronous ones are standard signals: no limit holds them
}

void Kernel::set_action(ThreadGroup& group, int signal, const SignalAction& action) {
  Locked locked(group.signal_mutex);
  SignalAction& place = group.actions[static_cast<std::size_t>(signal)];
  place = action;
  place.mask &= ~kUnblockable;
  bool ignored = action.handler == 1 ||
                 (action.handler == 0 && (default_action(signal) == DefaultAction::kIgnore ||
                                          default_action(signal) == DefaultAction::kContinue));
  if (ignored) discard_everywhere(group, signal_bit(signal));
}

ErrnoOr<> Kernel::may_signal(const Task& sender, const Task& target, int signal) {
  if (&sender.group() == &target.group()) return {};
  Ref<vfs::Credentials> from = sender.credentials_ref();
  Ref<vfs::Credentials> to = target.credentials_ref();
  if (from->euid == to->suid || from->euid == to->uid || from->uid == to->suid ||
      from->uid == to->uid || from->has(CAP_KILL))
    return {};
  // A shell may continue what it started, whoever that became.
  if (signal == SIGCONT &&
      sender.group().process_group->session == target.group().process_group->session)
    return {};
  return std::unexpected(Errno{EPERM});
}

}  // namespace caisson::sandbox::kernel
