// The tables of ids and counts that tasks and processes stand in. All under the task lock.
#include <algorithm>
#include <utility>

#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

bool Kernel::allocate_ids(const Ref<PidNamespace>& ns, std::vector<int>& ids) {
  ids.assign(static_cast<std::size_t>(ns->depth) + 1, 0);
  for (PidNamespace* at = ns.get(); at != nullptr; at = at->parent.get()) {
    int id = at->allocate();
    if (id < 0) return false;
    ids[static_cast<std::size_t>(at->depth)] = id;
  }
  return true;
}

void Kernel::enter_tables(Task& task) {
  for (PidNamespace* at = task.group().pid_namespace.get(); at != nullptr; at = at->parent.get())
    at->tasks[task.ids[static_cast<std::size_t>(at->depth)]] = &task;
}

void Kernel::leave_tables(Task& task) {
  for (PidNamespace* at = task.group().pid_namespace.get(); at != nullptr; at = at->parent.get()) {
    auto found = at->tasks.find(task.ids[static_cast<std::size_t>(at->depth)]);
    if (found != at->tasks.end() && found->second == &task) at->tasks.erase(found);
    if (at->ending) at->reaped.notify(~vfs::ReadyMask{0});
  }
}

void Kernel::count_process(ThreadGroup& group, std::uint32_t uid) {
  group.counted_uid = uid;
  ++process_counts_[uid];
}

void Kernel::uncount_process(ThreadGroup& group) {
  auto found = process_counts_.find(group.counted_uid);
  if (found != process_counts_.end() && --found->second == 0) process_counts_.erase(found);
}

void Kernel::change_credentials(Task& caller, Ref<vfs::Credentials> credentials) {
  ThreadGroup& group = caller.group();
  if (credentials->uid != group.counted_uid) {
    Locked locked(task_lock_);
    uncount_process(group);
    count_process(group, credentials->uid);
  }
  caller.set_credentials(std::move(credentials));
}

void Kernel::reap(ThreadGroup& group, Garbage& garbage) {
  if (group.reaped) return;
  group.reaped = true;
  leave_tables(*group.leader);
  group.leave_process_group();
  uncount_process(group);
  leave_container(group);
  garbage.tasks.push_back(std::exchange(group.leader_kept, nullptr));
  if (ThreadGroup* parent = std::exchange(group.parent, nullptr)) {
    auto found = std::ranges::find_if(parent->children,
                                      [&](const auto& child) { return child.get() == &group; });
    if (found != parent->children.end()) {
      garbage.groups.push_back(std::move(*found));
      parent->children.erase(found);
    }
  }
}

Task* Kernel::find_task(const PidNamespace& ns, int id) {
  auto found = ns.tasks.find(id);
  return found == ns.tasks.end() ? nullptr : found->second;
}

ThreadGroup* Kernel::find_group(const PidNamespace& ns, int id) {
  Task* task = find_task(ns, id);
  return task != nullptr && task->group().leader == task ? &task->group() : nullptr;
}

ProcessGroup* Kernel::find_process_group(const PidNamespace& ns, int id) {
  auto found = ns.process_groups.find(id);
  return found == ns.process_groups.end() ? nullptr : found->second;
}

std::vector<ThreadGroup*> Kernel::all_groups(const PidNamespace& ns) {
  std::vector<ThreadGroup*> groups;
  for (const auto& [id, task] : ns.tasks)
    if (task->group().leader == task) groups.push_back(&task->group());
  return groups;
}

}  // namespace caisson::sandbox::kernel
