// What the calls on System V objects have in common.
#pragma once

#include <sys/ipc.h>

#include "sandbox/kernel/ipc_namespace.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::syscalls {

// ENOSYS: the task has no IPC namespace.
inline ErrnoOr<Ref<kernel::IpcNamespace>> ipc_of(Task& task) {
  kernel::IpcNamespace* ipc = task.ipc ? task.ipc->ipc() : nullptr;
  if (ipc == nullptr) return fail(ENOSYS);
  return Ref<kernel::IpcNamespace>::share(ipc);
}

inline std::int64_t now_seconds() { return vfs::Timestamp::now().seconds; }

inline void begin_permission(kernel::IpcPermission& permission, const Task& task,
                             const kernel::IpcRequest& request) {
  const vfs::Credentials& maker = task.credentials();
  permission.key = request.key;
  permission.uid = permission.creator_uid = maker.euid;
  permission.gid = permission.creator_gid = maker.egid;
  permission.mode = request.flags & 0777U;
}

// What stands for a key, or nothing if one is to be made. EEXIST, ENOENT, EACCES. Under the
// namespace's lock.
template <typename T>
ErrnoOr<Ref<T>> find_by_key(const kernel::IpcNamespace& ipc, const kernel::IpcTable<T>& table,
                            const Task& task, const kernel::IpcRequest& request) {
  Ref<T> known = table.by_key(request.key);
  if (!known) {
    bool makes = request.key == IPC_PRIVATE || (request.flags & IPC_CREAT) != 0;
    if (!makes) return fail(ENOENT);
    return known;
  }
  if ((request.flags & IPC_CREAT) != 0 && (request.flags & IPC_EXCL) != 0) return fail(EEXIST);
  TRY(known->permission.check(task.credentials(), ipc.owner.get(), request.flags & 0777U));
  return known;
}

// IPC_SET and IPC_RMID are the owner's. EPERM.
inline ErrnoOr<> may_control(const kernel::IpcNamespace& ipc,
                             const kernel::IpcPermission& permission, const Task& task) {
  constexpr int kSysAdmin = 21;  // CAP_SYS_ADMIN
  if (permission.owned_by(task.credentials()) ||
      task.credentials().has_in(ipc.owner.get(), kSysAdmin))
    return {};
  return fail(EPERM);
}

inline void tell_permission(const kernel::IpcPermission& from, ipc_perm& to) {
  to.__key = from.key;
  to.uid = from.uid;
  to.gid = from.gid;
  to.cuid = from.creator_uid;
  to.cgid = from.creator_gid;
  to.mode = from.mode;
  to.__seq = from.sequence;
}

inline void take_permission(const ipc_perm& from, kernel::IpcPermission& to) {
  to.uid = from.uid;
  to.gid = from.gid;
  to.mode = (to.mode & ~0777U) | (from.mode & 0777U);
}

// The bit that C libraries for 64-bit machines may set in commands.
constexpr int kNewLayout = 0x100;  // IPC_64

}  // namespace caisson::sandbox::syscalls
