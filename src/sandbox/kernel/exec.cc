// execve(2), behind the loader: the point of no return, the end of the other threads, what a new
// program begins with (fs/exec.c of Linux: begin_new_exec()).
#include <poll.h>

#include <utility>

#include "sandbox/kernel/futex.h"
#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/loader.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::kernel {

// Until the caller is the only one. Others that begin an execve(2) meanwhile lose: kRestart.
ErrnoOr<> Kernel::end_other_tasks(Task& caller) {
  ThreadGroup& group = caller.group();
  TaskWaiter waiter(caller);
  {
    Locked locked(group.signal_mutex);
    if (group.exiting || group.executing != nullptr) return std::unexpected(kRestartAlways);
    if (group.tasks.size() == 1) return {};
    group.executing = &caller;
    for (Task* other : group.tasks) {
      if (other == &caller) continue;
      other->dying_.store(true, std::memory_order_release);
      other->interrupt();
    }
    group.stopping = group.stopped = false;
    group.stop_changes.notify(POLLIN);
    group.task_ended.add(waiter);
  }
  bool alone = false;
  while (!alone) {
    {
      Locked locked(group.signal_mutex);
      alone = group.tasks.size() == 1;
    }
    if (!alone && sleep_killable(caller, std::nullopt) == WakeReason::kInterrupted) break;
  }
  group.task_ended.remove(waiter);
  Locked locked(group.signal_mutex);
  group.executing = nullptr;
  if (!alone) return std::unexpected(kRestartAlways);
  return {};
}

// A thread that executes becomes the process: it takes its leader's id. Under the task lock.
void Kernel::take_over_leader(Task& caller, Garbage& garbage) {
  ThreadGroup& group = caller.group();
  if (group.leader == &caller) return;
  leave_tables(caller);
  leave_tables(*group.leader);
  caller.ids = group.ids;
  caller.start_time_ns = group.leader->start_time_ns;
  caller.parent_death_signal = group.leader->parent_death_signal;
  group.leader = &caller;
  garbage.tasks.push_back(std::exchange(group.leader_kept, Ref<Task>::share(&caller)));
  enter_tables(caller);
}

void Kernel::reset_for_program(Task& caller, const LoadedProgram& program) {
  ThreadGroup& group = caller.group();
  {
    Locked locked(group.signal_mutex);
    for (SignalAction& action : group.actions)
      action = action.handler == 1 ? SignalAction{.handler = 1} : SignalAction{};
    group.dumpable = !program.secure;
  }
  group.timers().after_execute();
  caller.alternate_stack = AlternateStack{};
  caller.clear_child_tid = 0;
  caller.robust_list = 0;
  caller.saved_mask.reset();
  caller.restart = {};
  caller.personality = program.personality;
  caller.last_fault = {};
  caller.set_name(program.name);
}

ErrnoOr<> Kernel::execute(Task& caller, ExecRequest request) {
  vfs::WalkContext walk = TRY(caller.walk_context(-100 /* AT_FDCWD */));
  LoadContext context{*platform_, std::move(walk), caller.memory_limits(), caller.personality,
                      host_figures.get()};
  LoadedProgram program = TRY(load_program(context, std::move(request)));
  std::unique_ptr<platform::Thread> thread =
      TRY(program.memory->space().new_thread(program.registers, nullptr));
  TRY(end_other_tasks(caller));

  Garbage garbage;
  ThreadGroup& group = caller.group();
  int former_id = caller.id();
  {
    Locked tree(task_lock_);
    take_over_leader(caller, garbage);
    group.executed = true;
    if (program.secure) caller.parent_death_signal = 0;
  }
  release_memory(caller);
  caller.set_memory(program.memory);
  {
    Locked locked(caller.mutex_);
    caller.thread_ = std::move(thread);
  }
  if (caller.files().is_shared()) caller.set_files(caller.files().copy());
  caller.files().close_on_exec(&caller);
  change_credentials(caller, program.credentials);
  reset_for_program(caller, program);
  caller.refresh_identity();
  caller.keeps_registers = true;
  if (Ref<Tracing> tracing = caller.tracing_ref()) tracing->executed(caller, former_id);
  return {};
}

}  // namespace caisson::sandbox::kernel
