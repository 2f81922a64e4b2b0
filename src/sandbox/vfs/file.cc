#include "sandbox/vfs/file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file_locks.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::vfs {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

class PathFile final : public File {
 public:
  using File::File;
  ErrnoOr<std::size_t> read(IoBuffer&, Caller&) override { return failed(EBADF); }
  ErrnoOr<std::size_t> write(IoBuffer&, Caller&) override { return failed(EBADF); }
  ErrnoOr<std::size_t> read_at(IoBuffer&, std::uint64_t, Caller&) override { return failed(EBADF); }
  ErrnoOr<std::size_t> write_at(IoBuffer&, std::uint64_t, Caller&) override {
    return failed(EBADF);
  }
  ErrnoOr<std::uint64_t> seek(std::int64_t, int) override { return failed(EBADF); }
  ErrnoOr<> read_directory(DirectorySink&, Caller&) override { return failed(EBADF); }
  ErrnoOr<> change(const AttributeChange&) override { return failed(EBADF); }
  ErrnoOr<std::int64_t> ioctl(Caller&, std::uint32_t, std::uint64_t) override {
    return failed(EBADF);
  }
  ErrnoOr<> sync(bool) override { return failed(EBADF); }
  ErrnoOr<> allocate(int, std::uint64_t, std::uint64_t) override { return failed(EBADF); }
  ErrnoOr<MapSource> map_source(std::uint64_t, std::uint64_t, int, bool) override {
    return failed(EBADF);
  }
  state::Tag save_tag() const override { return state::Tag::kPathFile; }
  Result<> save(state::Writer& to) override {
    save_place(to);
    return {};
  }
};

}  // namespace

File::File(Path path, Ref<Inode> inode, std::uint32_t flags)
    : path_(std::move(path)), inode_(std::move(inode)), flags_(flags) {}
File::~File() = default;

bool File::readable() const { return OpenFlags{flags()}.readable() && (flags() & O_PATH) == 0; }
bool File::writable() const { return OpenFlags{flags()}.writable() && (flags() & O_PATH) == 0; }
bool File::nonblocking() const { return (flags() & O_NONBLOCK) != 0; }

ErrnoOr<std::size_t> File::read(IoBuffer& to, Caller& caller) {
  Locked lock(position_mutex_);
  std::size_t done = TRY(read_at(to, position_, caller));
  position_ += done;
  return done;
}

ErrnoOr<std::size_t> File::write(IoBuffer& from, Caller& caller) {
  Locked lock(position_mutex_);
  if ((flags() & O_APPEND) != 0) return append(from, position_, caller);
  std::size_t done = TRY(write_at(from, position_, caller));
  position_ += done;
  return done;
}

ErrnoOr<std::size_t> File::append(IoBuffer& from, std::uint64_t& end, Caller& caller) {
  if (inode_ == nullptr) return write_at(from, 0, caller);
  Locked lock(inode_->data_inode().write_lock());
  std::uint64_t at = TRY(size());
  std::size_t done = TRY(write_at(from, at, caller));
  end = at + done;
  return done;
}

ErrnoOr<std::size_t> File::read_at(IoBuffer&, std::uint64_t, Caller&) {
  return failed(inode_ && inode_->is_directory() ? EISDIR : EINVAL);
}
ErrnoOr<std::size_t> File::write_at(IoBuffer&, std::uint64_t, Caller&) { return failed(EINVAL); }

ErrnoOr<std::uint64_t> File::seek(std::int64_t offset, int whence) {
  Locked lock(position_mutex_);
  std::int64_t base = 0;
  if (whence == SEEK_CUR) {
    base = static_cast<std::int64_t>(position_);
  } else if (whence == SEEK_END) {
    base = static_cast<std::int64_t>(TRY(size()));
  } else if (whence == SEEK_DATA || whence == SEEK_HOLE) {
    // One piece of data with the hole that each file has at its end.
    std::uint64_t end = TRY(size());
    if (offset < 0 || static_cast<std::uint64_t>(offset) >= end) return failed(ENXIO);
    if (whence == SEEK_HOLE) base = static_cast<std::int64_t>(end), offset = 0;
  } else if (whence != SEEK_SET) {
    return failed(EINVAL);
  }
  std::int64_t position = 0;
  if (__builtin_add_overflow(base, offset, &position) || position < 0) return failed(EINVAL);
  position_ = static_cast<std::uint64_t>(position);
  return position_;
}

ErrnoOr<std::uint64_t> File::size() {
  if (inode_ == nullptr) return failed(ESPIPE);
  return TRY(inode_->attributes()).size;
}

ErrnoOr<> File::read_directory(DirectorySink&, Caller&) { return failed(ENOTDIR); }

ReadyMask File::ready() { return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM; }

ErrnoOr<Attributes> File::attributes() {
  if (inode_ != nullptr) return inode_->attributes();
  // Files without an inode share one of Linux' anon_inode file system: no type, 0600.
  Attributes none;
  none.mode = 0600;
  return none;
}

ErrnoOr<> File::change(const AttributeChange& change) {
  if (inode_ == nullptr) return failed(EINVAL);
  return inode_->change(change);
}

ErrnoOr<std::int64_t> File::ioctl(Caller&, std::uint32_t, std::uint64_t) { return failed(ENOTTY); }
ErrnoOr<> File::sync(bool) {
  if (inode_ == nullptr || !(S_ISREG(inode_->type()) || inode_->is_directory()))
    return failed(EINVAL);
  return {};
}
ErrnoOr<> File::allocate(int, std::uint64_t, std::uint64_t) {
  if (inode_ == nullptr || inode_->type() == S_IFIFO) return failed(ESPIPE);
  return failed(inode_->is_directory() ? EISDIR : ENODEV);
}
ErrnoOr<MapSource> File::map_source(std::uint64_t, std::uint64_t, int, bool) {
  return failed(ENODEV);
}
// A process loses its locks on a file with any descriptor that it closes (fcntl(2)).
void File::descriptor_closed(Caller* owner) {
  if (inode_ == nullptr || owner == nullptr) return;
  Inode& inode = inode_->data_inode();
  if (inode.known_locks() != nullptr) inode.known_locks()->release(owner->lock_owner());
}

std::string File::link_text(const Path& root) {
  if (path_.mount) return path_text(path_, root);
  return path_.dentry ? path_.dentry->name() : "anon_inode:[file]";
}

Ref<File> make_path_file(Path path, std::uint32_t flags) {
  auto inode = Ref<Inode>::share(path.inode());
  return make_ref<PathFile>(std::move(path), std::move(inode), flags | O_PATH);
}

bool wants_access_time(const File& file, const Attributes& attributes, Timestamp now) {
  if ((file.flags() & O_NOATIME) != 0 || !file.path().mount) return false;
  std::uint64_t flags = file.path().mount->flags();
  if ((flags & (MS_NOATIME | MS_RDONLY)) != 0) return false;
  if (S_ISDIR(attributes.mode) && (flags & MS_NODIRATIME) != 0) return false;
  if ((flags & MS_RELATIME) == 0) return attributes.accessed < now;
  constexpr std::int64_t kDay = 24LL * 60 * 60;
  return attributes.accessed <= attributes.modified || attributes.accessed <= attributes.changed ||
         now.seconds - attributes.accessed.seconds >= kDay;
}

}  // namespace caisson::sandbox::vfs
