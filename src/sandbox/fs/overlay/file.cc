#include "sandbox/fs/overlay/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {

ErrnoOr<std::size_t> OverlayCaller::None::read(std::uint64_t, std::span<std::byte>) {
  return std::unexpected(Errno{EFAULT});
}
ErrnoOr<std::size_t> OverlayCaller::None::write(std::uint64_t, std::span<const std::byte>) {
  return std::unexpected(Errno{EFAULT});
}

ErrnoOr<Ref<vfs::File>> OverlayFile::open(const vfs::Path& path, OverlayInode& inode,
                                          std::uint32_t flags, vfs::Caller& /*caller*/) {
  auto file = make_ref<OverlayFile>(path, inode, flags);
  TRY(file->real(false));  // what the layer says about it is said now
  return Ref<vfs::File>(std::move(file));
}

OverlayFile::OverlayFile(vfs::Path path, OverlayInode& inode, std::uint32_t flags)
    : File(std::move(path), Ref<vfs::Inode>::share(&inode), flags) {
  inode.opened();
}

OverlayFile::~OverlayFile() { overlay_inode().closed(); }

OverlayInode& OverlayFile::overlay_inode() const { return static_cast<OverlayInode&>(*inode()); }

ErrnoOr<Ref<vfs::File>> OverlayFile::real(bool write) {
  OverlayInode& inode = overlay_inode();
  if (write) TRY(inode.copy_up());
  Locked lock(real_mutex_);
  vfs::Inode* upper = inode.upper();
  if (real_ && (on_upper_ || upper == nullptr)) return real_;
  constexpr std::uint32_t kAccess = O_ACCMODE;
  std::uint32_t wanted = upper != nullptr ? flags() : flags() & ~kAccess;
  OverlayCaller caller;
  auto opened = TRY(inode.real().open(path(), vfs::OpenFlags{wanted}, caller));
  before_ = std::move(real_);
  real_ = std::move(opened);
  on_upper_ = upper != nullptr;
  return real_;
}

ErrnoOr<std::size_t> OverlayFile::read_at(vfs::IoBuffer& to, std::uint64_t offset,
                                          vfs::Caller& caller) {
  return TRY(real(false))->read_at(to, offset, caller);
}

ErrnoOr<std::size_t> OverlayFile::write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                           vfs::Caller& caller) {
  return TRY(real(true))->write_at(from, offset, caller);
}

ErrnoOr<std::uint64_t> OverlayFile::seek(std::int64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return File::seek(offset, whence);
  auto file = TRY(real(false));
  Locked lock(position_mutex_);
  position_ = TRY(file->seek(offset, whence));
  return position_;
}

ErrnoOr<> OverlayFile::sync(bool data_only) {
  if (overlay_inode().upper() == nullptr) return {};  // nothing was written
  return TRY(real(false))->sync(data_only);
}

ErrnoOr<> OverlayFile::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
  return TRY(real(true))->allocate(mode, offset, length);
}

ErrnoOr<vfs::MapSource> OverlayFile::map_source(std::uint64_t offset, std::uint64_t length,
                                                int protection, bool shared) {
  // A mapping that may be made writable later must show the copy from its beginning.
  bool may_write = shared && writable();
  auto file = TRY(real(may_write));
  return file->map_source(offset, length, protection, shared);
}

OverlayDirectory::OverlayDirectory(vfs::Path path, OverlayInode& inode, std::uint32_t flags)
    : File(std::move(path), Ref<vfs::Inode>::share(&inode), flags) {}

ErrnoOr<> OverlayDirectory::read_directory(vfs::DirectorySink& sink, vfs::Caller& /*caller*/) {
  Locked lock(position_mutex_);
  if (!list_ || position_ == 0) list_ = TRY(static_cast<OverlayInode&>(*inode()).list());
  list_->read(position_, sink);
  return {};
}

}  // namespace caisson::sandbox::fs
