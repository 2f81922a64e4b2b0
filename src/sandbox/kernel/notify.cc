// What a parent is told of its children: SIGCHLD and the wake-up of wait4(2); hang-ups of orphaned
// process groups. All under the task lock.
#include <poll.h>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {
namespace {

SignalInfo child_info(const ThreadGroup& child, const ThreadGroup& parent) {
  SignalInfo info;
  info.signal = SIGCHLD;
  info.pid = child.id_in(*parent.pid_namespace);
  if (Ref<vfs::Credentials> credentials = child.leader->credentials_ref())
    info.uid = credentials->uid;
  ResourceUsage usage = child.usage;
  info.user_time = usage.user_ns;
  info.system_time = usage.system_ns;
  return info;
}

}  // namespace

bool Kernel::tell_parent_of_end(ThreadGroup& group) {
  ThreadGroup* parent = group.parent;
  if (parent == nullptr) return true;
  SignalInfo info = child_info(group, *parent);
  info.signal = group.exit_signal;
  int status = group.exit_status;
  info.code = (status & 0x7f) == 0 ? CLD_EXITED : (status & 0x80) != 0 ? CLD_DUMPED : CLD_KILLED;
  info.status = info.code == CLD_EXITED ? (status >> 8) & 0xff : status & 0x7f;
  bool nobody_waits = false;
  {
    Locked locked(parent->signal_mutex);
    bool sends = group.exit_signal != 0;
    const SignalAction& action = parent->actions[SIGCHLD];
    if (group.exit_signal == SIGCHLD) {
      nobody_waits = action.handler == 1 || (action.flags & SA_NOCLDWAIT) != 0;
      sends = action.handler != 1;
    }
    if (sends) (void)send(*parent, nullptr, info);  // a standard signal needs no room
  }
  parent->child_changes.notify(POLLIN);
  return nobody_waits;
}

void Kernel::tell_parent_of_change(ThreadGroup& group, int code) {
  ThreadGroup* parent = group.parent;
  if (parent == nullptr) return;
  SignalInfo info = child_info(group, *parent);
  info.code = code;
  info.status = code == CLD_CONTINUED ? SIGCONT : group.stop_signal;
  {
    Locked locked(parent->signal_mutex);
    const SignalAction& action = parent->actions[SIGCHLD];
    if (action.handler != 1 && (action.flags & SA_NOCLDSTOP) == 0)
      (void)send(*parent, nullptr, info);  // a standard signal needs no room
  }
  parent->child_changes.notify(POLLIN);
}

// POSIX: a process group that becomes orphaned while a member is stopped gets SIGHUP and SIGCONT.
void Kernel::hang_up_if_orphaned(ProcessGroup& group, const ThreadGroup* leaving) {
  if (!group.is_orphaned(leaving) || !group.has_stopped_members()) return;
  signal_members(group, SignalInfo::kernel(SIGHUP));
  signal_members(group, SignalInfo::kernel(SIGCONT));
}

}  // namespace caisson::sandbox::kernel
