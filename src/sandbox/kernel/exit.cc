// The end of tasks and processes (kernel/exit.c of Linux).
#include <linux/futex.h>
#include <poll.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "sandbox/kernel/futex.h"
#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/semaphores.h"
#include "sandbox/kernel/tracing.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::kernel {
namespace {

// set_tid_address(2): joiners wait for this word; nobody does when the memory goes with the task.
void clear_child_tid(Kernel& kernel, Task& task) {
  if (task.clear_child_tid == 0) return;
  std::uint32_t zero = 0;
  mm::MemoryMap& memory = task.memory();
  if (!mm::UserPtr<std::uint32_t>(task.clear_child_tid).store(memory, zero)) return;
  (void)kernel.futexes().wake(memory, {task.clear_child_tid, false}, 1, FUTEX_BITSET_MATCH_ANY);
}

void tell_vfork_done(Task& task) {
  Ref<VforkDone> done = std::exchange(task.vfork_done, nullptr);
  if (!done) return;
  done->done.store(true, std::memory_order_release);
  done->queue.notify(POLLIN);
}

}  // namespace

void Kernel::release_memory(Task& task) {
  // The last one who has it tells how much it was (ru_maxrss).
  if (Ref<mm::MemoryMap> memory = task.memory_ref(); memory && task.group().tasks.size() == 1)
    task.group().add_peak_memory(memory->usage().peak_resident);
  futexes_->release_all(task);
  clear_child_tid(*this, task);
  task.clear_child_tid = 0;
  std::unique_ptr<platform::Thread> thread;
  {
    Locked locked(task.mutex_);
    thread = std::move(task.thread_);
  }
  thread.reset();
  tell_vfork_done(task);
}

// By the task's own thread, which runs no guest code any more.
void Kernel::end_task(Task& task) {
  Garbage garbage;
  ThreadGroup& group = task.group();
  release_memory(task);
  bool last = false;
  {
    Locked tree(task_lock_);
    Locked locked(group.signal_mutex);
    last = group.tasks.size() == 1;
    if (last && !group.exiting) {
      group.exiting = true;
      group.exit_status = task.exit_code_;
    }
  }
  task.set_memory(nullptr);
  task.semaphore_undo = nullptr;
  task.set_files(nullptr);
  task.set_fs(nullptr);
  if (last) {
    group.timers().remove_all();
    leave_session(group);
    if (group.is_init) end_namespace(task);
  }
  task.add_system_time(caisson::monotonic_ns());
  {
    Locked tree(task_lock_);
    leave_group(task, garbage);
  }
  task.set_mounts(nullptr);
}

// An init's end is that of its namespace: it waits until everybody else in it is gone.
void Kernel::end_namespace(Task& init) {
  PidNamespace& ns = *init.group().pid_namespace;
  TaskWaiter waiter(init);
  ns.reaped.add(waiter);
  for (;;) {
    {
      Locked tree(task_lock_);
      ns.ending = true;
      bool alone = true;
      for (ThreadGroup* group : all_groups(ns)) {
        if (group == &init.group()) continue;
        alone = false;
        Locked locked(group->signal_mutex);
        if (!group->zombie) begin_group_exit(*group, SIGKILL);
      }
      if (alone) break;
    }
    reap_zombies_of(init.group());
    sleep_uninterruptible(init);
  }
  ns.reaped.remove(waiter);
}

void Kernel::reap_zombies_of(ThreadGroup& group) {
  Garbage garbage;
  Locked tree(task_lock_);
  std::vector<ThreadGroup*> zombies;
  for (const Ref<ThreadGroup>& child : group.children)
    if (child->zombie) zombies.push_back(child.get());
  for (ThreadGroup* zombie : zombies) reap(*zombie, garbage);
}

void Kernel::leave_group(Task& task, Garbage& garbage) {
  ThreadGroup& group = task.group();
  bool stop_complete = false;
  {
    Locked locked(group.signal_mutex);
    std::erase(group.tasks, &task);
    group.usage.add(task.usage());
    if (std::exchange(task.in_stop_, false)) --group.stopped_tasks;
    task.pending.discard(~SignalSet{0});
    for (Task* other : group.tasks) recheck(*other);  // what this one would have taken
    stop_complete = group.stopping && !group.tasks.empty() &&
                    group.stopped_tasks == static_cast<int>(group.tasks.size());
    if (stop_complete) {
      group.stopping = false;
      group.stopped = true;
      group.stop_reported = false;
    }
  }
  task.ended_ = true;
  if (group.leader != &task) Tracing::tracee_ended(task, task.exit_code_);
  task.state.store(RunState::kZombie, std::memory_order_relaxed);
  if (stop_complete) tell_parent_of_change(group, CLD_STOPPED);
  if (group.leader != &task) leave_tables(task);
  group.task_ended.notify(POLLIN);
  if (group.tasks.empty()) end_group(group, garbage);
}

void Kernel::end_group(ThreadGroup& group, Garbage& garbage) {
  Tracing::tracee_ended(*group.leader, group.exit_status);
  Tracing::tracer_ended(group);
  reparent_children(group, garbage);
  hang_up_if_orphaned(*group.process_group, &group);
  group.zombie = true;
  if (group.is_init) group.pid_namespace->init = nullptr;
  bool unwanted = tell_parent_of_end(group);
  group.exited.notify(POLLIN);
  if (unwanted) reap(group, garbage);
  for (PidNamespace* at = group.pid_namespace.get(); at != nullptr; at = at->parent.get())
    if (at->ending) at->reaped.notify(POLLIN);
}

ThreadGroup* Kernel::find_reaper(ThreadGroup& group) {
  PidNamespace* ns = group.pid_namespace.get();
  for (ThreadGroup* up = group.parent; up != nullptr; up = up->parent) {
    if (up->pid_namespace.get() != ns) break;
    if (up->is_subreaper && !up->tasks.empty()) return up;
  }
  ThreadGroup* init = ns->init;
  return init != &group && init != nullptr && !init->tasks.empty() ? init : nullptr;
}

void Kernel::reparent_children(ThreadGroup& group, Garbage& garbage) {
  if (group.children.empty()) return;
  ThreadGroup* reaper = find_reaper(group);
  std::vector<Ref<ThreadGroup>> children = std::exchange(group.children, {});
  for (Ref<ThreadGroup>& child : children) {
    child->parent = reaper;
    child->exit_signal = SIGCHLD;
    for (Task* task : child->tasks) {
      if (task->parent_death_signal != 0) {
        Locked locked(child->signal_mutex);
        (void)send(*child, nullptr,
                   SignalInfo::user(task->parent_death_signal, group.id_in(*child->pid_namespace),
                                    group.leader->credentials_ref()->uid));
      }
      task->refresh_identity();
    }
    if (reaper != nullptr) reaper->children.push_back(child);
    if (child->zombie && (tell_parent_of_end(*child) || reaper == nullptr)) reap(*child, garbage);
    if (child->process_group && child->process_group != group.process_group)
      hang_up_if_orphaned(*child->process_group, nullptr);
  }
  garbage.groups.insert(garbage.groups.end(), children.begin(), children.end());
}

// The session's leader takes the terminal with it (disassociate_ctty()).
void Kernel::leave_session(ThreadGroup& group) {
  Ref<ControllingTerminal> terminal;
  {
    Locked tree(task_lock_);
    Session& session = *group.process_group->session;
    if (session.leader != &group) return;
    session.leader = nullptr;
    terminal = std::exchange(session.terminal, nullptr);
    if (terminal) terminal->set_session(nullptr);
    ProcessGroup* foreground =
        terminal ? find_process_group(*session.pid_namespace, session.foreground_group) : nullptr;
    if (foreground != nullptr) {
      signal_members(*foreground, SignalInfo::kernel(SIGHUP));
      signal_members(*foreground, SignalInfo::kernel(SIGCONT));
    }
    session.foreground_group = 0;
  }
  if (terminal) terminal->hang_up();
}

void Kernel::leave_container(ThreadGroup& group) {
  Container& container = group.container;
  --container.processes;
  if (container.init.get() == &group) container.exit_status = group.exit_status;
  if (container.processes != 0 || container.ended) return;
  container.ended = true;
  container.end.notify(POLLIN);
}

}  // namespace caisson::sandbox::kernel
