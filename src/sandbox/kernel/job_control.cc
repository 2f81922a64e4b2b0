// Stops of a whole process by SIGSTOP and the terminal's signals, and going on by SIGCONT.
#include <poll.h>

#include "sandbox/kernel/task_runner.h"

namespace caisson::sandbox::kernel {

// The task took a stop signal out of its queue: unless SIGCONT came meanwhile, the whole group is
// to stop.
void TaskRunner::take_stop(int signal) {
  ThreadGroup& group = task_.group();
  Locked tree(kernel_.task_lock());
  if (signal != SIGSTOP && group.process_group->is_orphaned()) return;
  Locked locked(group.signal_mutex);
  if (!group.stop_taken || group.exiting || group.executing != nullptr) return;
  group.stop_taken = false;
  group.stopping = true;
  group.stop_signal = signal;
  for (Task* task : group.tasks) Kernel::recheck(*task);
}

bool TaskRunner::stop_is_complete() {
  ThreadGroup& group = task_.group();
  if (!group.stopping || group.stopped_tasks < static_cast<int>(group.tasks.size())) return false;
  group.stopping = false;
  group.stopped = true;
  group.stop_reported = false;
  group.continue_reported = true;
  return true;
}

// While the group is stopped. The last task to arrive tells the parent.
void TaskRunner::stand_still() {
  ThreadGroup& group = task_.group();
  for (;;) {
    report_state_change();
    TaskWaiter waiter(task_);
    bool complete = false;
    {
      Locked locked(group.signal_mutex);
      if ((!group.stopping && !group.stopped) || task_.dying()) break;
      if (!task_.in_stop_) {
        task_.in_stop_ = true;
        ++group.stopped_tasks;
        complete = stop_is_complete();
      }
      group.stop_changes.add(waiter);
    }
    if (complete) {
      Locked tree(kernel_.task_lock());
      kernel_.tell_parent_of_change(group, CLD_STOPPED);
    }
    task_.state.store(RunState::kStopped, std::memory_order_relaxed);
    task_.stand();
    (void)sleep_killable(task_, std::nullopt);  // why is looked at above
    task_.go_on();
    task_.state.store(RunState::kRunning, std::memory_order_relaxed);
    group.stop_changes.remove(waiter);
  }
}

// What a SIGCONT left to be told: its sender may not touch the parent.
void TaskRunner::report_state_change() {
  ThreadGroup& group = task_.group();
  int code = 0;
  {
    Locked locked(group.signal_mutex);
    code = std::exchange(group.change_to_report, 0);
  }
  if (code == 0) return;
  Locked tree(kernel_.task_lock());
  kernel_.tell_parent_of_change(group, code);
}

}  // namespace caisson::sandbox::kernel
