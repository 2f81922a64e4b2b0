#include "sandbox/fs/host/mount_point.h"

#include <dirent.h>

#include <vector>

#include "sandbox/fs/listing.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {
namespace {

class EmptyFile final : public vfs::File {
 public:
  using File::File;
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& /*to*/, std::uint64_t /*offset*/,
                               vfs::Caller& /*caller*/) override {
    return 0;
  }
};

}  // namespace

MountPoint::MountPoint(HostFilesystem& filesystem, std::uint32_t type)
    : HostNode(filesystem, type, true) {
  attributes_.mode = type | (type == S_IFDIR ? 0755 : 0644);
  attributes_.links = type == S_IFDIR ? 2 : 1;
  attributes_.inode = filesystem.new_inode_number();
  attributes_.device = filesystem.device();
  attributes_.accessed = attributes_.modified = attributes_.changed = vfs::Timestamp::now();
}

ErrnoOr<vfs::Attributes> MountPoint::attributes() { return attributes_; }

ErrnoOr<> MountPoint::change(const vfs::AttributeChange& /*change*/) {
  return std::unexpected(Errno{EPERM});
}

ErrnoOr<Ref<vfs::Inode>> MountPoint::lookup(std::string_view name) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  Locked lock(mutex_);
  auto found = children_.find(name);
  if (found == children_.end()) return std::unexpected(Errno{ENOENT});
  return Ref<vfs::Inode>(found->second);
}

bool MountPoint::still_named(std::string_view name, vfs::Inode& target) {
  auto found = lookup(name);
  return found && found->get() == &target;
}

ErrnoOr<Ref<vfs::File>> MountPoint::open(const vfs::Path& path, vfs::OpenFlags flags,
                                         vfs::Caller& /*caller*/) {
  auto self = Ref<vfs::Inode>::share(this);
  if (!is_directory()) {
    if (flags.writable()) return std::unexpected(Errno{EPERM});
    return Ref<vfs::File>(make_ref<EmptyFile>(path, std::move(self), flags.flags));
  }
  Listing listing;
  listing.add(".", attributes_.inode, DT_DIR);
  listing.add("..", attributes_.inode, DT_DIR);
  for (const auto& [name, child] : children())
    listing.add(name, TRY(child->attributes()).inode, IFTODT(child->type()));
  return Ref<vfs::File>(
      make_ref<ListedDirectory>(path, std::move(self), flags.flags, std::move(listing)));
}

ErrnoOr<Ref<vfs::Inode>> MountPoint::make_mount_point(std::string_view name, std::uint32_t type) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  Ref<HostNode> made = make_ref<MountPoint>(host(), type);
  Locked lock(mutex_);
  if (!children_.try_emplace(std::string(name), made).second) return std::unexpected(Errno{EEXIST});
  return Ref<vfs::Inode>(made);
}

ErrnoOr<> MountPoint::remove_directory(std::string_view name, vfs::Inode& target) {
  if (!static_cast<MountPoint&>(target).children().empty())
    return std::unexpected(Errno{ENOTEMPTY});
  return unlink(name, target);
}

ErrnoOr<> MountPoint::unlink(std::string_view name, vfs::Inode& /*target*/) {
  Locked lock(mutex_);
  auto found = children_.find(name);
  if (found == children_.end()) return std::unexpected(Errno{ENOENT});
  children_.erase(found);
  return {};
}

MountPoints MountPoint::children() {
  Locked lock(mutex_);
  return children_;
}

}  // namespace caisson::sandbox::fs
