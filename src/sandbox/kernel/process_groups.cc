// Sessions and process groups: their names, who is in them, setpgid(2) and setsid(2).
#include <algorithm>
#include <utility>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {
namespace {

// Enters or removes a name in a namespace and all above it.
template <typename Table, typename Object>
void set_name(const PidNamespace& innermost, const std::vector<int>& ids, Table table,
              Object* object) {
  auto* ns = const_cast<PidNamespace*>(&innermost);
  for (; ns != nullptr; ns = ns->parent.get()) {
    auto& names = ns->*table;
    int id = ids[static_cast<std::size_t>(ns->depth)];
    if (object != nullptr)
      names[id] = object;
    else
      names.erase(id);
  }
}

}  // namespace

Session::Session(std::vector<int> session_ids, Ref<PidNamespace> of)
    : ids(std::move(session_ids)), pid_namespace(std::move(of)), id(ids.back()) {}
Session::~Session() = default;
int Session::id_in(const PidNamespace& ns) const { return ns.pick(ids, *pid_namespace); }

ProcessGroup::ProcessGroup(std::vector<int> group_ids, Ref<PidNamespace> of,
                           Ref<Session> its_session)
    : ids(std::move(group_ids)),
      pid_namespace(std::move(of)),
      id(ids.back()),
      session(std::move(its_session)) {}
ProcessGroup::~ProcessGroup() = default;
int ProcessGroup::id_in(const PidNamespace& ns) const { return ns.pick(ids, *pid_namespace); }

bool ProcessGroup::is_orphaned(const ThreadGroup* leaving) const {
  return std::ranges::none_of(members, [&](const ThreadGroup* member) {
    if (member == leaving || member->zombie) return false;
    const ThreadGroup* parent = member->parent;
    if (parent == nullptr) return false;
    return parent->process_group.get() != this && parent->process_group->session == session;
  });
}

bool ProcessGroup::has_stopped_members() const {
  return std::ranges::any_of(members, [](const ThreadGroup* member) {
    Locked locked(member->signal_mutex);
    return member->stopped && !member->exiting;
  });
}

void ThreadGroup::join(Ref<ProcessGroup> group) {
  leave_process_group();
  if (group->members.empty()) {
    set_name(*group->pid_namespace, group->ids, &PidNamespace::process_groups, group.get());
    if (group->session->groups++ == 0)
      set_name(*group->session->pid_namespace, group->session->ids, &PidNamespace::sessions,
               group->session.get());
  }
  group->members.push_back(this);
  process_group = std::move(group);
}

void ThreadGroup::leave_process_group() {
  if (!process_group) return;
  Ref<ProcessGroup> group = std::exchange(process_group, nullptr);
  std::erase(group->members, this);
  if (!group->members.empty()) return;
  set_name<decltype(&PidNamespace::process_groups), ProcessGroup>(
      *group->pid_namespace, group->ids, &PidNamespace::process_groups, nullptr);
  if (--group->session->groups == 0)
    set_name<decltype(&PidNamespace::sessions), Session>(
        *group->session->pid_namespace, group->session->ids, &PidNamespace::sessions, nullptr);
}

ErrnoOr<> Kernel::set_process_group(Task& caller, int process, int group_id) {
  if (group_id < 0) return std::unexpected(Errno{EINVAL});
  Locked locked(task_lock_);
  ThreadGroup& own = caller.group();
  const PidNamespace& ns = *own.pid_namespace;
  ThreadGroup* target = process == 0 ? &own : find_group(ns, process);
  if (target == nullptr) return std::unexpected(Errno{ESRCH});
  if (target != &own) {
    if (target->parent != &own) return std::unexpected(Errno{ESRCH});
    if (target->process_group->session != own.process_group->session)
      return std::unexpected(Errno{EPERM});
    if (target->executed) return std::unexpected(Errno{EACCES});
  }
  Session& session = *target->process_group->session;
  if (session.leader == target) return std::unexpected(Errno{EPERM});
  int target_id = target->id_in(ns);
  if (group_id == 0) group_id = target_id;
  if (group_id == target->process_group->id_in(ns)) return {};
  ProcessGroup* existing = find_process_group(ns, group_id);
  if (existing != nullptr) {
    if (existing->session.get() != &session) return std::unexpected(Errno{EPERM});
    target->join(Ref<ProcessGroup>::share(existing));
    return {};
  }
  if (group_id != target_id) return std::unexpected(Errno{EPERM});
  target->join(
      make_ref<ProcessGroup>(target->ids, target->pid_namespace, Ref<Session>::share(&session)));
  return {};
}

ErrnoOr<int> Kernel::new_session(Task& caller) {
  Locked locked(task_lock_);
  ThreadGroup& group = caller.group();
  if (group.process_group->session->leader == &group ||
      group.pid_namespace->process_groups.contains(group.id()))
    return std::unexpected(Errno{EPERM});
  start_session(group);
  return group.id();
}

void Kernel::start_session(ThreadGroup& group) {
  auto session = make_ref<Session>(group.ids, group.pid_namespace);
  session->leader = &group;
  group.join(make_ref<ProcessGroup>(group.ids, group.pid_namespace, std::move(session)));
}

}  // namespace caisson::sandbox::kernel
