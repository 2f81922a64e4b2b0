// wait4(2), waitid(2): do_wait() of Linux.
#include <sys/wait.h>

#include <algorithm>
#include <optional>

#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::kernel {
namespace {

class Waiting {
 public:
  Waiting(Task& caller, const WaitRequest& request) : caller_(caller), request_(request) {}

  // Under the task lock. EAGAIN: nothing yet; ECHILD: nobody who could change.
  template <typename Reap>
  ErrnoOr<WaitResult> look(Reap reap) {
    bool any = false;
    for (const Ref<ThreadGroup>& child : caller_.group().children) {
      if (!is_meant(*child)) continue;
      any = true;
      if (std::optional<WaitResult> found = changed(*child)) {
        if (!has(WNOWAIT) && child->zombie && found->info.code != CLD_STOPPED) reap(*child);
        return *found;
      }
    }
    if (std::optional<WaitResult> found = look_at_tracees(any)) return *found;
    return std::unexpected(Errno{any ? EAGAIN : ECHILD});
  }

 private:
  bool is_meant(int id, int group_id) const {
    switch (request_.id_type) {
      case P_PID: return id == request_.id;
      case P_PGID: return group_id == request_.id;
      case P_PIDFD: return false;
      default: return true;
    }
  }

  // Tasks that are traced are waited for one by one, whatever the options say of kinds of children.
  std::optional<WaitResult> look_at_tracees(bool& any) {
    ThreadGroup& own = caller_.group();
    const PidNamespace& ns = *own.pid_namespace;
    for (Task* task : own.tracees) {
      if (!is_meant(task->id_in(ns), task->group().process_group->id_in(ns))) continue;
      any = true;
      std::optional<TraceStop> stop = task->tracing->changed(has(WNOWAIT));
      if (!stop) continue;
      WaitResult found = result(task->group(), CLD_TRAPPED, stop->status, stop->status << 8 | 0x7f);
      found.pid = found.info.pid = task->id_in(ns);
      return found;
    }
    for (auto ended = own.ended_tracees.begin(); ended != own.ended_tracees.end(); ++ended) {
      if (!is_meant(ended->id, 0)) continue;
      any = true;
      if (!has(WEXITED)) continue;
      WaitResult found = of_ended(*ended);
      if (!has(WNOWAIT)) own.ended_tracees.erase(ended);
      return found;
    }
    return std::nullopt;
  }

  static int code_of(int status) {
    if ((status & 0x7f) == 0) return CLD_EXITED;
    return (status & 0x80) != 0 ? CLD_DUMPED : CLD_KILLED;
  }

  static WaitResult of_ended(const EndedTracee& ended) {
    WaitResult found;
    found.pid = found.info.pid = ended.id;
    found.status = ended.status;
    found.info.signal = SIGCHLD;
    found.info.code = code_of(ended.status);
    found.info.uid = ended.uid;
    found.info.status =
        found.info.code == CLD_EXITED ? ended.status >> 8 & 0xff : ended.status & 0x7f;
    found.usage = ended.usage;
    return found;
  }

  bool has(unsigned option) const {
    return (static_cast<unsigned>(request_.options) & option) != 0;
  }
  bool is_meant(const ThreadGroup& child) const {
    const PidNamespace& ns = *caller_.group().pid_namespace;
    bool is_clone = child.exit_signal != SIGCHLD;
    if (!has(__WALL) && is_clone != has(__WCLONE)) return false;
    switch (request_.id_type) {
      case P_PID: return child.id_in(ns) == request_.id;
      case P_PGID: return child.process_group->id_in(ns) == request_.id;
      case P_PIDFD: return &child == request_.group.get();
      default: return true;
    }
  }

  std::optional<WaitResult> changed(ThreadGroup& child) {
    if (child.zombie) {
      if (!has(WEXITED)) return std::nullopt;
      int status = child.exit_status;
      int code = code_of(status);
      return result(child, code, code == CLD_EXITED ? (status >> 8) & 0xff : status & 0x7f, status);
    }
    Locked locked(child.signal_mutex);
    bool keeps = has(WNOWAIT);
    if (has(WSTOPPED) && child.stopped && !child.stop_reported) {
      child.stop_reported = !keeps;
      return result(child, CLD_STOPPED, child.stop_signal, (child.stop_signal << 8) | 0x7f);
    }
    if (has(WCONTINUED) && !child.continue_reported) {
      child.continue_reported = !keeps;
      return result(child, CLD_CONTINUED, SIGCONT, 0xffff);
    }
    return std::nullopt;
  }

  WaitResult result(const ThreadGroup& child, int code, int info_status, int status) const {
    WaitResult found;
    found.pid = child.id_in(*caller_.group().pid_namespace);
    found.status = status;
    found.info.signal = SIGCHLD;
    found.info.code = code;
    found.info.pid = found.pid;
    if (Ref<vfs::Credentials> credentials = child.leader->credentials_ref())
      found.info.uid = credentials->uid;
    found.info.status = info_status;
    found.usage = child.total_usage();
    found.usage.add(child.children_usage);
    return found;
  }

  Task& caller_;
  const WaitRequest& request_;
};

}  // namespace

ErrnoOr<WaitResult> Kernel::wait(Task& caller, const WaitRequest& request) {
  ThreadGroup& own = caller.group();
  Waiting waiting(caller, request);
  auto attempt = [&]() -> ErrnoOr<WaitResult> {
    Garbage garbage;
    Locked tree(task_lock_);
    return waiting.look([&](ThreadGroup& child) {
      own.children_usage.add(child.total_usage());
      own.children_usage.add(child.children_usage);
      reap(child, garbage);
    });
  };
  if ((request.options & WNOHANG) != 0) {
    ErrnoOr<WaitResult> found = attempt();
    if (!found && found.error().value == EAGAIN) return WaitResult{};
    return found;
  }
  return wait_until_done(caller, own.child_changes, ~vfs::ReadyMask{0}, std::nullopt, attempt);
}

}  // namespace caisson::sandbox::kernel
