// Processes in a checkpoint, and the container as the whole of them.
#include <cerrno>

#include "base/text.h"
#include "sandbox/kernel/described.h"
#include "sandbox/kernel/stop_gate.h"
#include "sandbox/kernel/task_runner.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::kernel {

namespace {

std::string note_of(const ThreadGroup& group) {
  return cat("process ", group.id(), " (", group.leader->name(), ")");
}

}  // namespace

Result<> ThreadGroup::save(state::Writer& to) {
  to.refer(pid_namespace);
  to(ids, exit_signal, is_subreaper, executed, start_time_ns, counted_uid, is_init);
  {
    Locked locked(signal_mutex);
    to(actions, exiting, exit_status, unkillable, stop_taken, change_to_report, stopping, stopped);
    to(stop_signal, stop_reported, continue_reported, limits, oom_score_adj, dumpable);
    to(huge_pages_off, zombie.load(), usage, children_usage, peak_memory());
    save_signals(to, pending);
  }
  if (executing != nullptr || (exiting && !zombie))
    return std::unexpected(Error::with_cause(EAGAIN, "it is about to end"));
  to.refer(process_group);
  to.refer(leader);
  to(tasks.size());
  for (Task* task : tasks) to.refer(task);
  to.refer(parent, parent != nullptr ? note_of(*parent) : "");
  to(children.size());
  for (const auto& child : children) to.refer(child, note_of(*child));
  return timers().save(to);
}

Result<Ref<ThreadGroup>> ThreadGroup::restore(state::Reader& from) {
  auto ns = TRY(from.object<PidNamespace>());
  auto group = make_ref<ThreadGroup>(from.need<Kernel>(), from.need<Container>());
  ThreadGroup& g = *group;
  g.pid_namespace = std::move(ns);
  from(g.ids, g.exit_signal, g.is_subreaper, g.executed, g.start_time_ns, g.counted_uid, g.is_init);
  from(g.actions, g.exiting, g.exit_status, g.unkillable, g.stop_taken, g.change_to_report);
  from(g.stopping, g.stopped, g.stop_signal, g.stop_reported, g.continue_reported, g.limits);
  from(g.oom_score_adj, g.dumpable, g.huge_pages_off);
  g.zombie = from.value<bool>();
  from(g.usage, g.children_usage);
  g.add_peak_memory(from.value<std::uint64_t>());
  TRY(restore_signals(from, g.pending));
  TRY(from.check());
  TRY(check_ids(g.ids, *g.pid_namespace));
  if (g.exit_signal < 0 || g.exit_signal > kSignalCount)
    return std::unexpected(state::Reader::damaged("a signal is none"));
  if (g.is_init && !g.zombie) g.pid_namespace->init = &g;
  from.made(group);
  TRY(g.restore_relatives(from));
  // Timers ask for the tasks, which may still be on their way.
  from.later([group](state::Reader& rest) { return group->timers().restore(rest); });
  return group;
}

Result<> ThreadGroup::restore_relatives(state::Reader& from) {
  join(TRY(from.object<ProcessGroup>()));
  leader_kept = TRY(from.object<Task>());
  leader = leader_kept.get();
  for (std::size_t left = from.count(); left != 0; --left) {
    auto task = TRY(from.object<Task>());
    if (&task->group() != this)
      return std::unexpected(state::Reader::damaged("a task is of another process"));
    tasks.push_back(task.get());
  }
  if (&leader->group() != this || tasks.empty() != zombie)
    return std::unexpected(state::Reader::damaged("a process has not the tasks that it should"));
  parent = TRY(from.optional_object<ThreadGroup>()).get();
  for (std::size_t left = from.count(); left != 0; --left)
    children.push_back(TRY(from.object<ThreadGroup>()));
  return {};
}

// --- the container

Result<> Container::save(state::Writer& to) {
  to(id);
  to.refer(pids);
  to.refer(mounts);
  to.refer(uts);
  to.refer(init, note_of(*init));
  to(exit_status);
  return {};
}

Result<> Container::restore(state::Reader& from) {
  (void)from.value<std::string>();  // it may go on under another name
  auto its_pids = TRY(from.object<PidNamespace>());
  if (its_pids != pids) return std::unexpected(state::Reader::damaged("its namespace is another"));
  mounts = TRY(from.object<vfs::MountNamespace>());
  uts = TRY(from.object<UtsNamespace>());
  init = TRY(from.object<ThreadGroup>());
  from(exit_status);
  return from.check();
}

Result<> Kernel::save(state::Writer& to, Container& container) {
  TRY(container.save(to));
  std::vector<ThreadGroup*> groups;
  {
    Locked locked(task_lock_);
    groups = all_groups(*container.pids);
  }
  to(groups.size());
  for (ThreadGroup* group : groups) to.refer(group, note_of(*group));
  return {};
}

Result<> Kernel::restore_tables(const std::vector<Ref<ThreadGroup>>& groups, Container& container) {
  for (const Ref<ThreadGroup>& group : groups) {
    if (!group->leader || !group->process_group)
      return std::unexpected(state::Reader::damaged("a process is not whole"));
    enter_tables(*group->leader);
    for (Task* task : group->tasks) enter_tables(*task);
    count_process(*group, group->counted_uid);
    ++container.processes;
  }
  return {};
}

Result<> Kernel::restore(state::Reader& from, Container& container) {
  gate_->close();
  TRY(container.restore(from));
  std::vector<Ref<ThreadGroup>> groups;
  for (std::size_t left = from.count(); left != 0; --left)
    groups.push_back(TRY(from.object<ThreadGroup>()));
  {
    Locked locked(task_lock_);
    TRY(restore_tables(groups, container));
  }
  TRY(from.finish());
  for (const Ref<ThreadGroup>& group : groups)
    for (Task* task : group->tasks)
      if (auto started = TaskRunner::start(*task); !started)
        return std::unexpected(Error(started.error()).doing("start task ", task->id()));
  return {};
}

}  // namespace caisson::sandbox::kernel
