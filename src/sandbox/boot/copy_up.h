// Copies of directories within the VFS, for mounts that begin with what they hide (tmpcopyup).
#pragma once

#include "base/result.h"
#include "sandbox/boot/boot_caller.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::boot {

bool directory_is_empty(const vfs::Path& directory, BootCaller& caller);

// What is in the directory and mounted there, into the empty root of `to`: directories, regular
// files, links, nodes, with owners, modes, times.
ErrnoOr<> copy_tree(const vfs::Path& from, vfs::MountNamespace& mounts, vfs::Filesystem& to,
                    BootCaller& caller);

}  // namespace caisson::sandbox::boot
