// chmod(2), chown(2), utimensat(2), truncate(2): Linux' setattr_prepare() and notify_change().
#include <linux/capability.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/walk.h"
#include "sandbox/vfs/walker.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

bool may_set_group_id(const Credentials& credentials, Gid group) {
  return credentials.in_group(group) || credentials.has(CAP_FSETID);
}

ErrnoOr<> may_chown(const Attributes& now, const Credentials& credentials,
                    const AttributeChange& change) {
  if (credentials.has(CAP_CHOWN)) return {};
  bool owner = now.uid == credentials.fsuid;
  if (change.uid && !(owner && *change.uid == now.uid)) return failed(EPERM);
  bool own_group = change.gid && (*change.gid == now.gid || credentials.in_group(*change.gid));
  if (change.gid && !(owner && own_group)) return failed(EPERM);
  return {};
}

// The set-id bits that go when the file gets another owner or other bytes.
std::uint32_t without_set_ids(std::uint32_t mode, const Attributes& now,
                              const Credentials& credentials) {
  if (S_ISDIR(now.mode)) return mode;
  mode &= ~std::uint32_t{S_ISUID};
  // Without S_IXGRP, S_ISGID once meant mandatory locking and was kept for the file's group.
  if ((mode & S_IXGRP) != 0 || !may_set_group_id(credentials, now.gid))
    mode &= ~std::uint32_t{S_ISGID};
  return mode;
}

ErrnoOr<> may_set_times(Inode& inode, const Attributes& now, const Credentials& credentials,
                        const AttributeChange& change) {
  if (!change.accessed && !change.modified) return {};
  if (owns(now, credentials)) return {};
  if (!change.times_are_now) return failed(EPERM);
  return may_access(inode, credentials, W_OK);
}

// fsnotify_change() of Linux.
std::uint32_t event_of(const AttributeChange& change) {
  std::uint32_t mask = 0;
  if (change.uid || change.gid || change.mode) mask |= IN_ATTRIB;
  if (change.accessed && change.modified) return mask | IN_ATTRIB;
  if (change.accessed) mask |= IN_ACCESS;
  if (change.modified) mask |= IN_MODIFY;
  return mask;
}

ErrnoOr<AttributeChange> change_quietly(const Path& path, const Credentials& credentials,
                                        AttributeChange change) {
  TRY(may_write(path));
  Inode& inode = *path.inode();
  Locked lock(inode.data_inode().write_lock());
  Attributes now = TRY(inode.attributes());
  TRY(may_chown(now, credentials, change));
  if (change.mode) {
    if (!owns(now, credentials)) return failed(EPERM);
    change.mode = *change.mode & 07777U;
    if (!may_set_group_id(credentials, change.gid.value_or(now.gid)))
      change.mode = *change.mode & ~std::uint32_t{S_ISGID};
  }
  TRY(may_set_times(inode, now, credentials, change));
  bool chowns = change.uid || change.gid || change.drops_set_ids;
  if (chowns && !change.mode) {
    std::uint32_t mode = without_set_ids(now.mode, now, credentials);
    if (mode != now.mode) change.mode = mode & 07777U;
  }
  TRY(inode.change(change));
  return change;
}

}  // namespace

ErrnoOr<> change(const Path& path, const Credentials& credentials, AttributeChange change) {
  tell_of(path, event_of(TRY(change_quietly(path, credentials, change))));
  return {};
}

ErrnoOr<> truncate_opened(Inode& inode, const Credentials& credentials, std::uint64_t size) {
  if (static_cast<std::int64_t>(size) < 0) return failed(EINVAL);
  AttributeChange change;
  change.size = size;
  Locked lock(inode.data_inode().write_lock());
  if (!credentials.has(CAP_FSETID)) {
    Attributes now = TRY(inode.attributes());
    std::uint32_t mode = without_set_ids(now.mode, now, credentials);
    if (mode != now.mode) change.mode = mode & 07777U;
  }
  return inode.change(change);
}

ErrnoOr<> truncate(const Path& path, const Credentials& credentials, std::uint64_t size) {
  Inode& inode = *path.inode();
  if (inode.is_directory()) return failed(EISDIR);
  if (!S_ISREG(inode.type())) return failed(EINVAL);
  TRY(may_write(path));
  TRY(may_access(inode, credentials, W_OK));
  // As an open file would have it: no program runs of it.
  TRY(inode.data_inode().begin_writing());
  auto truncated = truncate_opened(inode, credentials, size);
  inode.data_inode().end_writing();
  TRY(truncated);
  tell_of(path, IN_MODIFY);
  return {};
}

ErrnoOr<> drop_set_ids(Inode& inode, const Credentials& credentials) {
  if (credentials.has(CAP_FSETID) || !S_ISREG(inode.type())) return {};
  constexpr std::uint32_t kSetIds = S_ISUID | S_ISGID;
  if ((TRY(inode.ownership()).mode & kSetIds) == 0) return {};
  Locked lock(inode.data_inode().write_lock());
  Attributes now = TRY(inode.attributes());
  std::uint32_t mode = without_set_ids(now.mode, now, credentials);
  if (mode == now.mode) return {};
  AttributeChange change;
  change.mode = mode & 07777U;
  return inode.change(change);
}

}  // namespace caisson::sandbox::vfs
