// The new mount API (Linux 5.2 to 5.12): detached trees, attributes by descriptor, pivot_root.
#pragma once

#include <fcntl.h>
#include <linux/mount.h>

#include <cstdint>
#include <string>

#include "sys/call.h"

// <sys/mount.h> of glibc clashes with <linux/mount.h>; the one flag that we need from it:
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

namespace caisson::sys {

inline ErrnoOr<Fd> fsopen(const char* type) { return call_fd(SYS_fsopen, type, FSOPEN_CLOEXEC); }
inline ErrnoOr<> fsconfig_string(FdRef context, const char* key, const char* value) {
  return call_void(SYS_fsconfig, context.number(), FSCONFIG_SET_STRING, key, value, 0);
}
inline ErrnoOr<> fsconfig_flag(FdRef context, const char* key) {
  return call_void(SYS_fsconfig, context.number(), FSCONFIG_SET_FLAG, key, nullptr, 0);
}
inline ErrnoOr<> fsconfig_create(FdRef context) {
  return call_void(SYS_fsconfig, context.number(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
}
inline ErrnoOr<Fd> fsmount(FdRef context, std::uint64_t attributes) {
  return call_fd(SYS_fsmount, context.number(), FSMOUNT_CLOEXEC, attributes);
}
// open_tree(2): flags OPEN_TREE_CLONE, AT_RECURSIVE, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW.
inline ErrnoOr<Fd> open_tree(FdRef dir, const char* path, unsigned flags) {
  return call_fd(SYS_open_tree, dir.number(), path, flags | OPEN_TREE_CLOEXEC);
}
// Attaches the tree behind `tree` on the directory or file behind `target`.
inline ErrnoOr<> move_mount(FdRef tree, FdRef target) {
  return call_void(SYS_move_mount, tree.number(), "", target.number(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
inline ErrnoOr<> move_mount_at(FdRef tree, FdRef dir, const char* path) {
  return call_void(SYS_move_mount, tree.number(), "", dir.number(), path, MOVE_MOUNT_F_EMPTY_PATH);
}
// `flags`: AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW.
inline ErrnoOr<> mount_setattr(FdRef dir, const char* path, unsigned flags,
                               const mount_attr& attributes) {
  return call_void(SYS_mount_setattr, dir.number(), path, flags, &attributes, sizeof attributes);
}
inline ErrnoOr<> umount(const char* path, int flags) { return call_void(SYS_umount2, path, flags); }
inline ErrnoOr<> pivot_root(const char* new_root, const char* put_old) {
  return call_void(SYS_pivot_root, new_root, put_old);
}
// mount(2), for propagation changes and remounts that have no newer form.
inline ErrnoOr<> mount(const char* source, const char* target, const char* type,
                       unsigned long flags, const char* data) {
  return call_void(SYS_mount, source, target, type, flags, data);
}

struct MountPlace {
  std::uint64_t id = 0;  // as in mountinfo
  bool is_root = false;  // what is open is the mount's root
};
// The mount that an open file is on (statx(2), Linux 5.8).
ErrnoOr<MountPlace> mount_of(FdRef file);

// What the kernel logged on a file system context (fscontext read): "tmpfs: Unknown parameter 'x'".
// Empty when it has nothing to say.
std::string mount_log(FdRef context);

}  // namespace caisson::sys
