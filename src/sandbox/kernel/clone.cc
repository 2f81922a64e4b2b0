// clone(2), fork(2), vfork(2), clone3(2): copy_process() and kernel_clone() of Linux.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/namespace_copies.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/kernel/semaphores.h"
#include "sandbox/kernel/syscall_filter.h"
#include "sandbox/kernel/task_runner.h"
#include "sandbox/kernel/tracing.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint64_t kClearHandlers = 1ULL << 32;  // CLONE_CLEAR_SIGHAND

bool has_all(std::uint64_t flags, std::uint64_t wanted) { return (flags & wanted) == wanted; }

ErrnoOr<> check_flags(const Task& caller, const CloneRequest& request) {
  std::uint64_t flags = request.flags;
  bool wrong = has_all(flags, CLONE_NEWNS | CLONE_FS) ||
               ((flags & CLONE_THREAD) != 0 && (flags & CLONE_SIGHAND) == 0) ||
               ((flags & CLONE_SIGHAND) != 0 && (flags & CLONE_VM) == 0) ||
               has_all(flags, CLONE_SIGHAND | kClearHandlers) ||
               has_all(flags, CLONE_THREAD | CLONE_PIDFD);
  if ((flags & CLONE_PARENT) != 0 && caller.group().is_init) wrong = true;
  bool other_pids = caller.children_pids && caller.children_pids != caller.group().pid_namespace;
  if ((flags & CLONE_THREAD) != 0 && ((flags & CLONE_NEWPID) != 0 || other_pids)) wrong = true;
  if (wrong) return std::unexpected(Errno{EINVAL});
  return check_namespace_flags(caller, flags);
}

}  // namespace

Ref<ThreadGroup> Kernel::copy_group(Task& caller, const CloneRequest& request) {
  ThreadGroup& own = caller.group();
  auto group = make_ref<ThreadGroup>(*this, own.container);
  group->start_time_ns = boottime_ns();
  group->pid_namespace = caller.children_pids ? caller.children_pids : own.pid_namespace;
  if ((request.flags & CLONE_NEWPID) != 0)
    group->pid_namespace = make_ref<PidNamespace>(group->pid_namespace);
  group->exit_signal = request.exit_signal;
  Locked locked(own.signal_mutex);
  group->actions = own.actions;
  if ((request.flags & kClearHandlers) != 0)
    for (SignalAction& action : group->actions)
      if (action.handler != 1) action = SignalAction{};
  group->limits = own.limits;
  group->oom_score_adj = own.oom_score_adj;
  group->dumpable = own.dumpable;
  group->huge_pages_off = own.huge_pages_off;
  return group;
}

ErrnoOr<> Kernel::copy_parts(Task& caller, Task& child, const CloneRequest& request) {
  std::uint64_t flags = request.flags;
  child.set_credentials(caller.credentials_ref());
  child.set_files((flags & CLONE_FILES) != 0 ? caller.files_ref() : caller.files().copy());
  child.set_fs((flags & CLONE_FS) != 0 ? caller.fs_ref() : caller.fs().copy());
  copy_namespaces(caller, child, flags);
  child.set_name(caller.name());
  child.blocked = caller.blocked;
  if ((flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM)
    child.alternate_stack = caller.alternate_stack;
  if ((flags & CLONE_CHILD_CLEARTID) != 0) child.clear_child_tid = request.child_tid;
  if ((flags & CLONE_CHILD_SETTID) != 0) child.tid_address = request.child_tid;
  child.timer_slack_ns = caller.timer_slack_ns;
  child.personality = caller.personality;
  child.nice = caller.nice;
  child.scheduler_policy = caller.scheduler_policy;
  child.scheduler_priority = caller.scheduler_priority;
  child.io_priority = caller.io_priority;
  child.affinity = caller.affinity;
  child.start_time_ns = child.kernel().boottime_ns();
  child.set_filter(caller.filter_ref());
  child.seccomp_mode = caller.seccomp_mode.load();
  if ((flags & CLONE_SYSVSEM) != 0) child.semaphore_undo = semaphore_undo_of(caller);
  if ((flags & CLONE_VFORK) != 0) child.vfork_done = make_ref<VforkDone>();
  return {};
}

ErrnoOr<> Kernel::copy_guest(Task& caller, Task& child, const CloneRequest& request) {
  platform::Registers registers = caller.registers();
  registers.set_result(0);
  if (request.stack != 0) registers.set_stack_pointer(request.stack + request.stack_size);
  if ((request.flags & CLONE_SETTLS) != 0) registers.set_thread_pointer(request.tls);
  bool shares = (request.flags & CLONE_VM) != 0;
  child.set_memory(shares ? caller.memory_ref() : TRY(caller.memory().fork(caller.thread())));
  child.thread_ = TRY(child.memory().space().new_thread(registers, &caller.thread()));
  return {};
}

ErrnoOr<> Kernel::link_thread(Task& child) {
  ThreadGroup& group = child.group();
  if (!allocate_ids(group.pid_namespace, child.ids)) return std::unexpected(Errno{EAGAIN});
  Locked locked(group.signal_mutex);
  if (group.exiting || group.executing != nullptr || group.stopping)
    return std::unexpected(kRestartAlways);
  group.tasks.push_back(&child);
  enter_tables(child);
  return {};
}

ErrnoOr<> Kernel::link_group(Task& caller, Task& child, const CloneRequest& request) {
  ThreadGroup& group = child.group();
  ThreadGroup& own = caller.group();
  std::uint32_t uid = caller.credentials().uid;
  auto counted = process_counts_.find(uid);
  auto count = static_cast<std::uint64_t>(counted == process_counts_.end() ? 0 : counted->second);
  bool is_free = uid == 0 || caller.credentials().has(CAP_SYS_RESOURCE) ||
                 caller.credentials().has(CAP_SYS_ADMIN);
  if (!is_free && count >= own.limit(RLIMIT_NPROC).soft) return std::unexpected(Errno{EAGAIN});
  if (!allocate_ids(group.pid_namespace, child.ids)) return std::unexpected(Errno{EAGAIN});
  group.ids = child.ids;
  group.leader = &child;
  group.leader_kept = Ref<Task>::share(&child);
  group.tasks.push_back(&child);
  ThreadGroup* parent = &own;
  if ((request.flags & CLONE_PARENT) != 0) {
    parent = own.parent;
    group.exit_signal = own.exit_signal;
  }
  group.parent = parent;
  if (parent != nullptr) parent->children.push_back(Ref<ThreadGroup>::share(&group));
  group.is_init = group.pid_namespace->init == nullptr && child.id() == 1;
  group.unkillable = group.is_init;
  if (group.is_init) group.pid_namespace->init = &group;
  group.join(own.process_group);
  count_process(group, uid);
  ++group.container.processes;
  enter_tables(child);
  return {};
}

ErrnoOr<> Kernel::link_child(Task& caller, Task& child, const CloneRequest& request) {
  Locked tree(task_lock_);
  PidNamespace& ns = *child.group().pid_namespace;
  bool is_first = ns.tasks.empty() && ns.last == 0 && (request.flags & CLONE_NEWPID) != 0;
  if (ns.ending || (ns.init == nullptr && !is_first && ns.last != 0))
    return std::unexpected(Errno{ENOMEM});
  return (request.flags & CLONE_THREAD) != 0 ? link_thread(child)
                                             : link_group(caller, child, request);
}

// A child that never ran: as if it had not been there.
void Kernel::unlink_child(Task& child) {
  Garbage garbage;
  ThreadGroup& group = child.group();
  std::unique_ptr<platform::Thread> thread;
  {
    Locked locked(child.mutex_);
    thread = std::move(child.thread_);
  }
  child.set_files(nullptr);
  Locked tree(task_lock_);
  {
    Locked locked(group.signal_mutex);
    std::erase(group.tasks, &child);
  }
  child.ended_ = true;
  if (child.tracing) Tracing::end(child, 0);
  if (group.leader == &child)
    reap(group, garbage);
  else
    leave_tables(child);
}

ErrnoOr<Ref<Task>> Kernel::copy_task(Task& caller, const CloneRequest& request) {
  bool is_thread = (request.flags & CLONE_THREAD) != 0;
  Ref<ThreadGroup> group =
      is_thread ? Ref<ThreadGroup>::share(&caller.group()) : copy_group(caller, request);
  auto child = make_ref<Task>(*this, std::move(group));
  TRY(copy_parts(caller, *child, request));
  TRY(copy_guest(caller, *child, request));
  TRY(link_child(caller, *child, request));
  return child;
}

namespace {

// CLONE_PIDFD: the descriptor stands in the caller's table and its number in the caller's memory.
ErrnoOr<> give_pidfd(Task& caller, Task& child, std::uint64_t address) {
  int fd = TRY(caller.add_file(
      make_ref<PidFile>(Ref<ThreadGroup>::share(&child.group()), std::uint32_t{O_RDWR}), true));
  auto stored = mm::UserPtr<int>(address).store(caller.memory(), fd);
  if (!stored) (void)caller.files().close(fd, &caller);  // it was just opened
  return stored;
}

}  // namespace

int Kernel::wait_for_vfork(Task& caller, VforkDone& done, int id) {
  TaskWaiter waiter(caller);
  done.queue.add(waiter);
  while (!done.done.load(std::memory_order_acquire) &&
         sleep_killable(caller, std::nullopt) == WakeReason::kNotified) {
  }
  done.queue.remove(waiter);
  return id;
}

ErrnoOr<int> Kernel::clone(Task& caller, const CloneRequest& request) {
  TRY(check_flags(caller, request));
  // A signal that is to reach parent and child, or none of them, comes first.
  if (caller.interrupted()) return std::unexpected(kRestartAlways);
  Ref<Task> child = TRY(copy_task(caller, request));
  int id = child->id_in(*caller.group().pid_namespace);
  if ((request.flags & CLONE_PIDFD) != 0) {
    auto given = give_pidfd(caller, *child, request.pidfd);
    if (!given) {
      unlink_child(*child);
      return std::unexpected(given.error());
    }
  }
  if ((request.flags & CLONE_PARENT_SETTID) != 0)
    (void)mm::UserPtr<int>(request.parent_tid).store(caller.memory(), id);  // as Linux: no error
  int event = Tracing::inherit(caller, *child, request.flags, request.exit_signal);
  Ref<VforkDone> done = child->vfork_done;
  if (auto started = TaskRunner::start(*child); !started) {
    unlink_child(*child);
    return std::unexpected(started.error());
  }
  auto message = static_cast<std::uint64_t>(id);
  if (Ref<Tracing> tracing = caller.tracing_ref(); tracing && event != 0)
    (void)tracing->event(caller, event, message);
  if (done) (void)wait_for_vfork(caller, *done, id);
  if (Ref<Tracing> tracing = caller.tracing_ref(); tracing && done)
    (void)tracing->event(caller, PTRACE_EVENT_VFORK_DONE, message);
  return id;
}

}  // namespace caisson::sandbox::kernel
