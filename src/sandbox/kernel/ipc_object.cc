#include "sandbox/kernel/ipc_object.h"

#include <linux/capability.h>

namespace caisson::sandbox::kernel {

bool IpcPermission::owned_by(const vfs::Credentials& who) const {
  return who.euid == uid || who.euid == creator_uid;
}

// ipcperms() of Linux.
ErrnoOr<> IpcPermission::check(const vfs::Credentials& who, const vfs::UserNamespace* owner,
                               std::uint32_t wanted) const {
  std::uint32_t asked = (wanted >> 6 | wanted >> 3 | wanted) & 7;
  std::uint32_t granted = mode;
  if (owned_by(who))
    granted >>= 6;
  else if (who.egid == gid || who.egid == creator_gid || who.in_group(gid) ||
           who.in_group(creator_gid))
    granted >>= 3;
  if ((asked & ~granted) == 0 || who.has_in(owner, CAP_IPC_OWNER)) return {};
  return std::unexpected(Errno{EACCES});
}

}  // namespace caisson::sandbox::kernel
