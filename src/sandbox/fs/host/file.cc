#include "sandbox/fs/host/file.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <memory>

#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {
namespace {

// Where bytes stay between the host's file and the guest: small ones on the stack.
constexpr std::size_t kSmall = 4096;
constexpr std::size_t kLarge = std::size_t{64} << 10;

class Bounce {
 public:
  explicit Bounce(std::uint64_t wanted) {
    if (wanted <= kSmall) return;
    size_ = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, kLarge));
    large_ = std::unique_ptr<std::byte[]>(new std::byte[size_]);
  }
  std::span<std::byte> first(std::uint64_t wanted) {
    std::byte* begin = large_ ? large_.get() : small_.data();
    return {begin, static_cast<std::size_t>(std::min<std::uint64_t>(wanted, size_))};
  }

 private:
  std::size_t size_ = kSmall;
  std::unique_ptr<std::byte[]> large_;
  std::array<std::byte, kSmall> small_;
};

Access access_for(vfs::OpenFlags flags) {
  if (!flags.writable()) return Access::kRead;
  return flags.readable() ? Access::kReadWrite : Access::kWrite;
}

}  // namespace

ErrnoOr<Ref<vfs::File>> HostFile::open(const vfs::Path& path, HostInode& inode,
                                       vfs::OpenFlags flags) {
  auto handle = TRY(inode.host().file_handle(inode, access_for(flags)));
  return Ref<vfs::File>(make_ref<HostFile>(path, inode, flags.flags, std::move(handle)));
}

HostFile::HostFile(vfs::Path path, HostInode& inode, std::uint32_t flags, Ref<Handle> handle)
    : File(std::move(path), Ref<vfs::Inode>::share(&inode), flags), handle_(std::move(handle)) {}

// What others may remove or run is not kept open for nobody.
HostFile::~HostFile() {
  HostFilesystem& host = host_inode().host();
  handle_ = nullptr;
  if (!host.exclusive()) host.drop_unused_handles(host_inode());
}

HostInode& HostFile::host_inode() const { return static_cast<HostInode&>(*inode()); }

ErrnoOr<std::size_t> HostFile::read_at(vfs::IoBuffer& to, std::uint64_t offset,
                                       vfs::Caller& /*caller*/) {
  [[gnu::uninitialized]] Bounce bounce(to.remaining());
  std::size_t done = 0;
  while (to.remaining() != 0) {
    auto room = bounce.first(to.remaining());
    auto got = sys::pread(fd(), room, offset + done);
    if (!got && done == 0) return got;
    if (!got || *got == 0) break;
    auto put = to.put(room.first(*got));
    if (!put && done == 0) return put;
    if (!put) break;
    done += *put;
    if (*put < *got || *got < room.size()) break;
  }
  if (done != 0) host_inode().was_read();
  return done;
}

int HostFile::how_to_write() const {
  if ((flags() & O_SYNC) == O_SYNC) return RWF_SYNC;
  return (flags() & O_DSYNC) != 0 ? RWF_DSYNC : 0;
}

ErrnoOr<std::size_t> HostFile::write_some(vfs::IoBuffer& from, std::uint64_t offset, int how) {
  [[gnu::uninitialized]] Bounce bounce(from.remaining());
  std::size_t done = 0;
  while (from.remaining() != 0) {
    auto room = bounce.first(from.remaining());
    auto got = from.get(room);
    if (!got && done == 0) return got;
    if (!got) break;
    auto written = sys::pwrite(fd(), room.first(*got), offset + done, how);
    if (!written && done == 0) return written;
    if (!written) break;
    done += *written;
    if (*written < *got || *got < room.size()) break;
  }
  return done;
}

ErrnoOr<std::size_t> HostFile::write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                        vfs::Caller& /*caller*/) {
  auto done = write_some(from, offset, how_to_write());
  host_inode().attributes_changed();
  return done;
}

// The host appends: others may, too.
ErrnoOr<std::size_t> HostFile::append(vfs::IoBuffer& from, std::uint64_t& end,
                                      vfs::Caller& caller) {
  if (host_inode().host().exclusive()) return File::append(from, end, caller);
  auto done = write_some(from, 0, how_to_write() | RWF_APPEND);
  host_inode().attributes_changed();
  if (!done) return done;
  end = TRY(size());
  return done;
}

ErrnoOr<std::size_t> HostFile::copy_from(HostFile& source, std::uint64_t offset,
                                         std::size_t length) {
  auto done = sys::copy_file_range(source.fd(), offset, fd(), offset, length);
  host_inode().attributes_changed();
  return done;
}

ErrnoOr<std::uint64_t> HostFile::seek(std::int64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return File::seek(offset, whence);
  Locked lock(position_mutex_);
  position_ = TRY(sys::lseek(fd(), offset, whence));
  return position_;
}

ErrnoOr<> HostFile::sync(bool data_only) {
  return data_only ? sys::fdatasync(fd()) : sys::fsync(fd());
}

ErrnoOr<> HostFile::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
  auto done = sys::fallocate(fd(), mode, offset, length);
  host_inode().attributes_changed();
  return done;
}

ErrnoOr<vfs::MapSource> HostFile::map_source(std::uint64_t offset, std::uint64_t /*length*/,
                                             int /*protection*/, bool shared) {
  // It may be made writable later.
  if (shared && writable()) host_inode().mapped_for_writing();
  return vfs::MapSource{.fd = fd().number(), .offset = offset};
}

}  // namespace caisson::sandbox::fs
