#include "sandbox/fs/pipe/pipe_file.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <span>

#include "base/text.h"
#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/fs/special.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"
#include "sandbox/vfs/caller.h"

namespace caisson::sandbox::fs {

PipeFile::PipeFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags, Ref<Pipe> pipe,
                   std::uint64_t anonymous_inode)
    : File(std::move(path), std::move(inode), flags),
      pipe_(std::move(pipe)),
      anonymous_inode_(anonymous_inode) {
  Pipe::Ends before = pipe_->open_end(readable(), writable());
  if (this->inode() == nullptr) return;
  readers_before_ = before.readers_ever;
  writers_before_ = before.writers_ever;
  had_partner_ = readable() ? before.writers > 0 : before.readers > 0;
  if (readable() && before.writers > 0) --writers_before_;  // its end will be one that was seen
}

PipeFile::~PipeFile() { pipe_->close_end(readable(), writable()); }

ErrnoOr<std::size_t> PipeFile::read(vfs::IoBuffer& to, vfs::Caller&) { return pipe_->read(to); }

ErrnoOr<std::size_t> PipeFile::write(vfs::IoBuffer& from, vfs::Caller&) {
  return pipe_->write(from, (flags() & O_DIRECT) != 0);
}

ErrnoOr<std::size_t> PipeFile::read_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::size_t> PipeFile::write_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::uint64_t> PipeFile::seek(std::int64_t, int) { return std::unexpected(Errno{ESPIPE}); }

vfs::ReadyMask PipeFile::ready() { return pipe_->ready(readable(), writable(), writers_before_); }

// fifo(7): an open for one side waits for the other; O_RDWR and O_NONBLOCK do not.
ErrnoOr<> PipeFile::finish_open() {
  if (had_partner_ || nonblocking() || (readable() && writable())) return {};
  Pipe::Ends now = pipe_->ends();
  bool came =
      readable() ? now.writers_ever != writers_before_ : now.readers_ever != readers_before_;
  if (!came) return std::unexpected(Errno{EAGAIN});
  return {};
}

ErrnoOr<vfs::Attributes> PipeFile::attributes() {
  if (inode() != nullptr) return inode()->attributes();
  Pipe::Owner owner = pipe_->owner();
  vfs::Attributes attributes;
  attributes.mode = S_IFIFO | owner.mode;
  attributes.uid = owner.uid;
  attributes.gid = owner.gid;
  attributes.inode = anonymous_inode_;
  attributes.device = pipe_device();
  return attributes;
}

ErrnoOr<> PipeFile::change(const vfs::AttributeChange& change) {
  if (inode() != nullptr) return inode()->change(change);
  if (change.size) return std::unexpected(Errno{EINVAL});
  Pipe::Owner owner = pipe_->owner();
  owner.mode = change.mode.value_or(owner.mode);
  owner.uid = change.uid.value_or(owner.uid);
  owner.gid = change.gid.value_or(owner.gid);
  pipe_->set_owner(owner);
  return {};
}

ErrnoOr<std::int64_t> PipeFile::ioctl(vfs::Caller& caller, std::uint32_t request,
                                      std::uint64_t argument) {
  if (request != FIONREAD) return std::unexpected(Errno{ENOTTY});
  auto bytes = static_cast<int>(std::min<std::size_t>(pipe_->available(), INT_MAX));
  vfs::IoBuffer to(caller.memory(), argument, sizeof bytes);
  if (TRY(to.put(std::as_bytes(std::span(&bytes, 1)))) != sizeof bytes)
    return std::unexpected(Errno{EFAULT});
  return 0;
}

ErrnoOr<std::int64_t> PipeFile::control(vfs::Caller& caller, int command, std::uint64_t argument) {
  if (command == F_GETPIPE_SZ) return static_cast<std::int64_t>(pipe_->capacity());
  if (command != F_SETPIPE_SZ) return File::control(caller, command, argument);
  bool privileged = caller.credentials().has(CAP_SYS_RESOURCE);
  auto wanted = static_cast<std::uint32_t>(argument);
  return static_cast<std::int64_t>(TRY(pipe_->set_capacity(wanted, privileged)));
}

ErrnoOr<> PipeFile::sync(bool) { return std::unexpected(Errno{EINVAL}); }

// fifo_open() of Linux for a pipe: nobody waits, either end can be had.
ErrnoOr<Ref<vfs::File>> PipeFile::reopen(std::uint32_t flags, vfs::Caller&) {
  return Ref<vfs::File>(
      make_ref<PipeFile>(vfs::Path{}, Ref<vfs::Inode>{}, flags, pipe_, anonymous_inode_));
}

std::string PipeFile::link_text(const vfs::Path& root) {
  if (inode() != nullptr) return File::link_text(root);
  return cat("pipe:[", anonymous_inode_, "]");
}

PipePair PipePair::create(std::uint32_t flags, const vfs::Credentials& owner) {
  Ref<Pipe> pipe = make_ref<Pipe>();
  std::uint64_t number = next_anonymous_inode();
  flags &= O_NONBLOCK | O_DIRECT;
  auto reader = make_ref<PipeFile>(vfs::Path{}, Ref<vfs::Inode>{}, O_RDONLY | (flags & O_NONBLOCK),
                                   pipe, number);
  auto writer = make_ref<PipeFile>(vfs::Path{}, Ref<vfs::Inode>{}, O_WRONLY | flags, pipe, number);
  pipe->set_owner({0600, owner.fsuid, owner.fsgid});
  return {reader, writer};
}

namespace {

class Fifo final : public FifoNode {
 public:
  explicit Fifo(Ref<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode,
                               std::uint32_t flags) override {
    bool write_only = (flags & O_ACCMODE) == O_WRONLY;
    if (write_only && (flags & O_NONBLOCK) != 0 && pipe_->ends().readers == 0)
      return std::unexpected(Errno{ENXIO});
    return Ref<vfs::File>(
        make_ref<PipeFile>(path, std::move(inode), flags, pipe_, std::uint64_t{0}));
  }
  Result<> save(state::Writer& to) override {
    to.refer(pipe_);
    return {};
  }

 private:
  Ref<Pipe> pipe_;
};

}  // namespace

Ref<FifoNode> make_fifo_node() { return make_ref<Fifo>(make_ref<Pipe>()); }

Result<Ref<FifoNode>> restore_fifo_node(state::Reader& from) {
  return Ref<FifoNode>(make_ref<Fifo>(TRY(from.object<Pipe>())));
}

}  // namespace caisson::sandbox::fs
