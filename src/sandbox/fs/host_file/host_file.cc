#include "sandbox/fs/host_file/host_file.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/text.h"
#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/fs/host_file/terminal_requests.h"
#include "sandbox/vfs/caller.h"
#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kPiece = 64 * 1024;  // copied at a time

using Bytes = std::unique_ptr<std::byte[]>;

vfs::Timestamp timestamp(const struct timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

}  // namespace

InheritedFile::InheritedFile(Ref<HostDescriptor> host, std::uint32_t flags)
    : File({}, {}, flags), host_(std::move(host)) {}

ErrnoOr<std::size_t> InheritedFile::read(vfs::IoBuffer& to, vfs::Caller&) {
  std::size_t size = std::min<std::uint64_t>(to.remaining(), kPiece);
  Bytes bytes(new std::byte[size]);
  std::size_t got = TRY(host_->read({bytes.get(), size}));
  if (got == 0) return 0;
  return to.put({bytes.get(), got});
}

ErrnoOr<std::size_t> InheritedFile::write(vfs::IoBuffer& from, vfs::Caller&) {
  std::size_t size = std::min<std::uint64_t>(from.remaining(), kPiece);
  Bytes bytes(new std::byte[size]);
  std::size_t copied = TRY(from.peek({bytes.get(), size}));
  std::size_t put = TRY(host_->write({bytes.get(), copied}));
  from.skip(put);
  return put;
}

ErrnoOr<std::size_t> InheritedFile::read_at(vfs::IoBuffer& to, std::uint64_t offset, vfs::Caller&) {
  std::size_t size = std::min<std::uint64_t>(to.remaining(), kPiece);
  Bytes bytes(new std::byte[size]);
  auto got = static_cast<std::size_t>(
      TRY(sys::call_retry(SYS_pread64, host_->fd().number(), bytes.get(), size, offset)));
  return to.put({bytes.get(), got});
}

ErrnoOr<std::size_t> InheritedFile::write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                             vfs::Caller&) {
  std::size_t size = std::min<std::uint64_t>(from.remaining(), kPiece);
  Bytes bytes(new std::byte[size]);
  std::size_t copied = TRY(from.peek({bytes.get(), size}));
  auto put = static_cast<std::size_t>(
      TRY(sys::call_retry(SYS_pwrite64, host_->fd().number(), bytes.get(), copied, offset)));
  from.skip(put);
  return put;
}

// The position is the host's: other processes there may share it.
ErrnoOr<std::uint64_t> InheritedFile::seek(std::int64_t offset, int whence) {
  return static_cast<std::uint64_t>(
      TRY(sys::call(SYS_lseek, host_->fd().number(), offset, whence)));
}

ErrnoOr<std::uint64_t> InheritedFile::size() {
  return static_cast<std::uint64_t>(TRY(sys::fstat(host_->fd())).st_size);
}

ErrnoOr<vfs::Attributes> InheritedFile::attributes() {
  struct stat now = TRY(sys::fstat(host_->fd()));
  vfs::Attributes attributes;
  attributes.mode = now.st_mode;
  attributes.uid = now.st_uid;
  attributes.gid = now.st_gid;
  attributes.links = now.st_nlink;
  attributes.inode = now.st_ino;
  attributes.device = S_ISFIFO(now.st_mode) ? pipe_device() : now.st_dev;
  attributes.special_device = now.st_rdev;
  attributes.size = static_cast<std::uint64_t>(now.st_size);
  attributes.blocks = static_cast<std::uint64_t>(now.st_blocks);
  attributes.block_size = static_cast<std::uint32_t>(now.st_blksize);
  attributes.accessed = timestamp(now.st_atim);
  attributes.modified = timestamp(now.st_mtim);
  attributes.changed = timestamp(now.st_ctim);
  Locked lock(owner_mutex_);
  if (mode_) attributes.mode = (now.st_mode & S_IFMT) | *mode_;
  attributes.uid = uid_.value_or(attributes.uid);
  attributes.gid = gid_.value_or(attributes.gid);
  return attributes;
}

ErrnoOr<> InheritedFile::change(const vfs::AttributeChange& change) {
  if (change.size) {
    if (!S_ISREG(host_->facts().st_mode)) return std::unexpected(Errno{EINVAL});
    TRY(sys::ftruncate(host_->fd(), static_cast<std::int64_t>(*change.size)));
  }
  Locked lock(owner_mutex_);
  if (change.mode) mode_ = change.mode;
  if (change.uid) uid_ = change.uid;
  if (change.gid) gid_ = change.gid;
  return {};
}

ErrnoOr<std::int64_t> InheritedFile::ioctl(vfs::Caller& caller, std::uint32_t request,
                                           std::uint64_t argument) {
  return forward_request(*host_, caller, request, argument);
}

ErrnoOr<> InheritedFile::sync(bool data_only) {
  return sys::call_void(data_only ? SYS_fdatasync : SYS_fsync, host_->fd().number());
}

ErrnoOr<vfs::MapSource> InheritedFile::map_source(std::uint64_t offset, std::uint64_t, int, bool) {
  if (!S_ISREG(host_->facts().st_mode)) return std::unexpected(Errno{ENODEV});
  return vfs::MapSource{.fd = host_->fd().number(), .offset = offset};
}

// Shares the host's open file description: its position too.
ErrnoOr<Ref<vfs::File>> InheritedFile::reopen(std::uint32_t flags, vfs::Caller&) {
  std::uint32_t wanted = flags & O_ACCMODE;
  if (host_->access() != O_RDWR && wanted != host_->access()) return std::unexpected(Errno{EACCES});
  if (S_ISSOCK(host_->facts().st_mode)) return std::unexpected(Errno{ENXIO});
  if ((flags & O_TRUNC) != 0 && S_ISREG(host_->facts().st_mode) && wanted != O_RDONLY)
    TRY(sys::ftruncate(host_->fd(), 0));
  return Ref<vfs::File>(make_ref<InheritedFile>(host_, flags & ~std::uint32_t{O_TRUNC | O_CREAT}));
}

std::string InheritedFile::link_text(const vfs::Path&) {
  const struct stat& facts = host_->facts();
  if (S_ISFIFO(facts.st_mode)) return cat("pipe:[", facts.st_ino, "]");
  if (S_ISSOCK(facts.st_mode)) return cat("socket:[", facts.st_ino, "]");
  if (S_ISCHR(facts.st_mode) && facts.st_rdev == gnu_dev_makedev(1, 3)) return "/dev/null";
  return cat("host:[", facts.st_ino, "]");
}

}  // namespace caisson::sandbox::fs
