// HostNode: what is common to the inodes of a HostFilesystem.
#pragma once

#include <map>
#include <string>

#include "sandbox/fs/host/filesystem.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class HostNode : public vfs::Inode {
 public:
  HostFilesystem& host() const { return static_cast<HostFilesystem&>(filesystem()); }
  // It has nothing on the host: a MountPoint. Else it is a HostInode.
  bool in_memory() const { return in_memory_; }
  // A mount point that the host lacks: a directory or regular file (`type`) in memory only. EEXIST.
  ErrnoOr<Ref<vfs::Inode>> make_mount_point(std::string_view name, std::uint32_t type) override = 0;

 protected:
  HostNode(HostFilesystem& filesystem, std::uint32_t type, bool in_memory)
      : Inode(filesystem, type), in_memory_(in_memory) {}

 private:
  bool in_memory_;
};

using MountPoints = std::map<std::string, Ref<HostNode>, std::less<>>;

}  // namespace caisson::sandbox::fs
