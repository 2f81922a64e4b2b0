#include "sandbox/fs/host/filesystem.h"

#include <sys/sysmacros.h>

#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {
namespace {

vfs::Timestamp timestamp(const struct statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

std::uint64_t device_number(std::uint32_t high, std::uint32_t low) { return makedev(high, low); }

// What a file that was handed over open is open for.
ErrnoOr<Access> access_of(FdRef file) {
  long flags = TRY(sys::call(SYS_fcntl, file.number(), F_GETFL));
  if ((flags & O_ACCMODE) == O_RDWR) return Access::kReadWrite;
  return (flags & O_ACCMODE) == O_WRONLY ? Access::kWrite : Access::kRead;
}

bool is_path_only(FdRef file) {
  auto flags = sys::call(SYS_fcntl, file.number(), F_GETFL);
  return flags && (*flags & O_PATH) != 0;
}

}  // namespace

int Place::flags() const { return name.empty() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW; }

HostFilesystem::HostFilesystem(Fd root, HostOptions options, std::uint64_t device)
    : Filesystem(options.type),
      options_(std::move(options)),
      root_device_(device),
      root_handle_(make_ref<Handle>(std::move(root))) {}

HostFilesystem::~HostFilesystem() { root_ = nullptr; }

ErrnoOr<Ref<HostFilesystem>> HostFilesystem::create(Fd root, HostOptions options) {
  struct statx info = TRY(sys::statx(root));
  std::uint32_t type = info.stx_mode & S_IFMT;
  if (type != S_IFDIR && type != S_IFREG) return std::unexpected(Errno{ENOTSUP});
  (void)sys::umask(0);
  auto device = device_number(info.stx_dev_major, info.stx_dev_minor);
  auto filesystem =
      Ref<HostFilesystem>::adopt(new HostFilesystem(std::move(root), std::move(options), device));
  filesystem->root_ = filesystem->inode_of(filesystem->seen(info));
  filesystem->root_->pinned_ = true;
  FdRef fd = filesystem->root_handle_->fd();
  if (type == S_IFREG && !is_path_only(fd))
    filesystem->keep_handle(*filesystem->root_, TRY(access_of(fd)), filesystem->root_handle_);
  return filesystem;
}

Ref<vfs::Inode> HostFilesystem::root() { return root_; }

ErrnoOr<vfs::FilesystemStatus> HostFilesystem::status() {
  struct statfs info = TRY(sys::fstatfs(root_handle_->fd()));
  vfs::FilesystemStatus status;
  status.type = info.f_type;
  status.block_size = static_cast<std::uint64_t>(info.f_bsize);
  status.blocks = info.f_blocks;
  status.free_blocks = info.f_bfree;
  status.available_blocks = info.f_bavail;
  status.files = info.f_files;
  status.free_files = info.f_ffree;
  status.name_length = static_cast<std::uint64_t>(info.f_namelen);
  return status;
}

ErrnoOr<> HostFilesystem::sync() {
  if (!is_path_only(root_handle_->fd())) return sys::syncfs(root_handle_->fd());
  Fd root = TRY(sys::openat2(root_handle_->fd(), ".", O_RDONLY | O_DIRECTORY, sys::kBeneath));
  return sys::syncfs(root);
}

Seen HostFilesystem::seen(const struct statx& info) {
  Seen seen;
  std::uint64_t device = device_number(info.stx_dev_major, info.stx_dev_minor);
  seen.identity.device = device;
  seen.identity.inode = info.stx_ino;
  if ((info.stx_mask & STATX_BTIME) != 0)
    seen.identity.born = info.stx_btime.tv_sec * 1'000'000'000 + info.stx_btime.tv_nsec;
  vfs::Attributes& out = seen.attributes;
  out.mode = info.stx_mode;
  out.uid = options_.uids.to_guest(info.stx_uid);
  out.gid = options_.gids.to_guest(info.stx_gid);
  out.links = info.stx_nlink;
  out.inode = inode_number(device, info.stx_ino);
  out.device = this->device();
  out.special_device = device_number(info.stx_rdev_major, info.stx_rdev_minor);
  out.size = info.stx_size;
  out.blocks = info.stx_blocks;
  out.block_size = info.stx_blksize;
  out.accessed = timestamp(info.stx_atime);
  out.modified = timestamp(info.stx_mtime);
  out.changed = timestamp(info.stx_ctime);
  if ((info.stx_mask & STATX_BTIME) != 0) out.born = timestamp(info.stx_btime);
  return seen;
}

// File systems that the host has mounted below the root number their inodes by themselves; numbers
// stay below 2^53, which is what programs that keep them as doubles can tell apart.
std::uint64_t HostFilesystem::inode_number(std::uint64_t device, std::uint64_t inode) {
  if (device == root_device_) return inode;
  Locked lock(mutex_);
  std::size_t index = 0;
  while (index < other_devices_.size() && other_devices_[index] != device) ++index;
  if (index == other_devices_.size()) other_devices_.push_back(device);
  return inode ^ (static_cast<std::uint64_t>(index % 15 + 1) << 49);
}

std::uint64_t HostFilesystem::new_inode_number() {
  Locked lock(mutex_);
  return std::uint64_t{1} << 53 | ++made_numbers_;
}

Ref<HostInode> HostFilesystem::known_inode(const Seen& seen) {
  Locked lock(mutex_);
  auto found = inodes_.find(Key{seen.identity.device, seen.identity.inode});
  if (found == inodes_.end()) return nullptr;
  HostInode* inode = found->second;
  bool same = inode->identity_ == seen.identity && inode->type() == (seen.attributes.mode & S_IFMT);
  return same && inode->try_add_ref() ? Ref<HostInode>::adopt(inode) : nullptr;
}

Ref<HostInode> HostFilesystem::inode_of(const Seen& seen) {
  if (auto known = known_inode(seen)) {
    known->found_again(seen);
    return known;
  }
  auto inode = make_ref<HostInode>(*this, seen);
  if (auto known = known_inode(seen)) return known;  // another thread was first
  Locked lock(mutex_);
  inodes_[Key{seen.identity.device, seen.identity.inode}] = inode.get();
  return inode;
}

Ref<HostInode> HostFilesystem::inode_at(HostInode& directory, std::string_view name,
                                        const Seen& seen) {
  auto inode = inode_of(seen);
  named(*inode, directory, name);
  return inode;
}

ErrnoOr<Ref<Handle>> HostFilesystem::file_handle(HostInode& file, Access access) {
  if (auto handle = cached_handle(file, access)) return handle;
  int flags = access == Access::kReadWrite ? O_RDWR
              : access == Access::kWrite   ? O_WRONLY
                                           : O_RDONLY;
  Fd fd = TRY(steadily(*this, [&] { return open_file(file, flags); }));
  auto handle = make_ref<Handle>(std::move(fd));
  keep_handle(file, access, handle);
  return handle;
}

// Nonblocking: should another have put a FIFO there, nobody waits for its other end.
ErrnoOr<Fd> HostFilesystem::open_file(HostInode& file, int flags) {
  Place place = TRY(place_of(file));
  int all = flags | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
  ErrnoOr<Fd> fd = std::unexpected(Errno{EACCES});
  if (!place.name.empty()) fd = sys::openat2(place.fd(), place.path(), all, sys::kBeneath);
  if (!fd && is_denied(fd.error()) && gofer() != nullptr)
    fd = gofer()->open(TRY(path_of(file)), flags);
  if (!fd || exclusive()) return fd;
  Seen found = seen(TRY(sys::statx(*fd)));
  if (!(found.identity == file.identity_)) return std::unexpected(Errno{ESTALE});
  return fd;
}

ErrnoOr<Fd> HostFilesystem::open_directory(HostInode& directory) {
  Way way = TRY(way_to(directory));
  if (!way.handle) way.handle = TRY(directory_handle(*way.from));
  ErrnoOr<Fd> fd =
      sys::openat2(way.handle->fd(), way.path.c_str(), O_PATH | O_DIRECTORY, sys::kBeneath);
  if (!fd && is_denied(fd.error()) && gofer() != nullptr)
    fd = gofer()->open(TRY(path_of(directory)), O_PATH | O_DIRECTORY);
  if (!fd || exclusive()) return fd;
  Seen found = seen(TRY(sys::statx(*fd)));
  if (!(found.identity == directory.identity_)) return std::unexpected(Errno{ENOENT});
  return fd;
}

ErrnoOr<Ref<Handle>> HostFilesystem::directory_handle(HostInode& directory) {
  if (&directory == root_.get()) return root_handle_;
  if (auto handle = cached_handle(directory, Access::kRead)) return handle;
  Fd fd = TRY(steadily(*this, [&] { return open_directory(directory); }));
  auto handle = make_ref<Handle>(std::move(fd));
  keep_handle(directory, Access::kRead, handle);
  return handle;
}

ErrnoOr<Place> HostFilesystem::place_in(HostInode& directory, std::string_view name) {
  if (name.size() > NAME_MAX) return std::unexpected(Errno{ENAMETOOLONG});
  auto handle = TRY(directory_handle(directory));
  return Place{Ref<HostInode>::share(&directory), std::move(handle), std::string(name)};
}

ErrnoOr<Place> HostFilesystem::place_of(HostInode& inode) {
  if (&inode == root_.get()) return Place{nullptr, root_handle_, {}};
  HostInode::Name name;
  {
    Locked lock(mutex_);
    if (inode.names_.empty()) {
      for (const auto& handle : inode.handles_)
        if (handle) return Place{nullptr, handle, {}};
      return std::unexpected(Errno{ENOENT});
    }
    name = inode.names_.front();
  }
  auto handle = TRY(directory_handle(*name.directory));
  return Place{std::move(name.directory), std::move(handle), std::move(name.text)};
}

ErrnoOr<HostCreation> HostFilesystem::on_host(const vfs::Creation& creation) const {
  auto uid = options_.uids.to_host(creation.uid);
  auto gid = options_.gids.to_host(creation.gid);
  if (!uid || !gid) return std::unexpected(Errno{EOVERFLOW});
  return HostCreation{creation.mode, *uid, *gid};
}

// Waits while one is under way.
std::uint32_t HostFilesystem::steady_names() {
  for (;;) {
    std::uint32_t count = name_changes_.load(std::memory_order_acquire);
    if (count % 2 == 0) return count;
    Locked lock(names_mutex_);
  }
}

}  // namespace caisson::sandbox::fs
