#include "sandbox/kernel/namespace_copies.h"

#include <linux/capability.h>
#include <sched.h>

#include <utility>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint64_t kKnown =
    CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
constexpr std::uint64_t kUnknown = CLONE_NEWUSER;

Ref<OpaqueNamespace> another(const Ref<OpaqueNamespace>& current, bool is_new) {
  if (!is_new) return current;
  return current ? current->make_another() : make_ref<OpaqueNamespace>();
}

// The copy of the mount tree, and where root and working directory are in it.
void copy_mounts(Task& caller, Task& to) {
  Ref<vfs::MountNamespace> copy = caller.mounts().copy();
  to.fs().set_root(copy->translate(caller.mounts(), caller.fs().root()));
  to.fs().set_cwd(copy->translate(caller.mounts(), caller.fs().cwd()));
  to.set_mounts(std::move(copy));
}

}  // namespace

ErrnoOr<> check_namespace_flags(const Task& caller, std::uint64_t flags) {
  if ((flags & kUnknown) != 0) return std::unexpected(Errno{EINVAL});
  if ((flags & kKnown) != 0 && !caller.credentials().has(CAP_SYS_ADMIN))
    return std::unexpected(Errno{EPERM});
  return {};
}

void copy_namespaces(Task& caller, Task& to, std::uint64_t flags) {
  if ((flags & CLONE_NEWNS) != 0)
    copy_mounts(caller, to);
  else if (&caller != &to)
    to.set_mounts(caller.mounts_ref());
  if ((flags & CLONE_NEWUTS) != 0)
    to.set_uts(caller.uts().copy());
  else if (&caller != &to)
    to.set_uts(caller.uts_ref());
  to.ipc = another(caller.ipc, (flags & CLONE_NEWIPC) != 0);
  to.network = another(caller.network, (flags & CLONE_NEWNET) != 0);
  to.cgroup = another(caller.cgroup, (flags & CLONE_NEWCGROUP) != 0);
}

ErrnoOr<> unshare(Task& caller, std::uint64_t flags) {
  constexpr std::uint64_t kSharing = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
  constexpr std::uint64_t kThreads = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  if ((flags & ~(kKnown | kUnknown | kSharing | kThreads | CLONE_NEWTIME)) != 0)
    return std::unexpected(Errno{EINVAL});
  if ((flags & (CLONE_NEWTIME)) != 0) return std::unexpected(Errno{EINVAL});
  if ((flags & kThreads) != 0) {
    // What a process shares with its own threads cannot be taken apart.
    Locked tree(caller.kernel().task_lock());
    if (caller.group().tasks.size() > 1) return std::unexpected(Errno{EINVAL});
  }
  TRY(check_namespace_flags(caller, flags));
  if ((flags & (CLONE_FS | CLONE_NEWNS)) != 0) caller.set_fs(caller.fs().copy());
  if ((flags & CLONE_FILES) != 0 && caller.files().is_shared())
    caller.set_files(caller.files().copy());
  copy_namespaces(caller, caller, flags);
  if ((flags & CLONE_NEWPID) != 0)
    caller.children_pids = make_ref<PidNamespace>(
        caller.children_pids ? caller.children_pids : caller.group().pid_namespace);
  return {};
}

}  // namespace caisson::sandbox::kernel
