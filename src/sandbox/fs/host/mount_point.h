// MountPoint: a directory or file that a mount needs and the host's tree lacks. It is in memory
// only, empty, root's and unchangeable, and may hold further mount points.
#pragma once

#include <string_view>

#include "base/mutex.h"
#include "sandbox/fs/host/node.h"

namespace caisson::sandbox::fs {

class MountPoint final : public HostNode {
 public:
  MountPoint(HostFilesystem& filesystem, std::uint32_t type);
  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override;
  bool still_named(std::string_view name, vfs::Inode& target) override;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;
  ErrnoOr<Ref<vfs::Inode>> make_mount_point(std::string_view name, std::uint32_t type) override;
  ErrnoOr<> remove_directory(std::string_view name, vfs::Inode& target) override;
  ErrnoOr<> unlink(std::string_view name, vfs::Inode& target) override;
  MountPoints children();

 private:
  Mutex mutex_;
  vfs::Attributes attributes_;
  MountPoints children_;
};

}  // namespace caisson::sandbox::fs
