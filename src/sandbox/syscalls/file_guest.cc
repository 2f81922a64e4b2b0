#include "sandbox/syscalls/file_guest.h"

#include <limits.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <csignal>
#include <limits>
#include <vector>

#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

void send(Task& task, int signal) {
  kernel::SignalInfo info;
  info.signal = signal;
  info.code = SI_KERNEL;
  (void)task.kernel().signal_task(task, info);  // what cannot be queued is pending already
}

// Shortens a write to what RLIMIT_FSIZE lets the file become.
ErrnoOr<> limit_write(Task& task, vfs::File& file, vfs::IoBuffer& from,
                      std::optional<std::uint64_t> offset) {
  std::uint64_t most = task.group().limit(RLIMIT_FSIZE).soft;
  bool regular = file.inode() != nullptr && S_ISREG(file.inode()->type());
  if (most == kNoLimit || !regular || from.remaining() == 0) return {};
  std::uint64_t at = 0;
  if ((file.flags() & O_APPEND) != 0)
    at = TRY(file.size());
  else
    at = offset ? *offset : TRY(file.seek(0, SEEK_CUR));
  if (at >= most) return check_file_size(task, at + 1);
  from.truncate(most - at);
  return {};
}

Value write_quietly(Task& task, vfs::File& file, vfs::IoBuffer& from,
                    std::optional<std::uint64_t> offset) {
  TRY(limit_write(task, file, from, offset));
  if (file.inode() != nullptr) TRY(vfs::drop_set_ids(*file.inode(), task.credentials()));
  std::int64_t total = 0;
  // Linux, against POSIX: such a file is appended to wherever pwrite(2) points.
  bool appends = offset && (file.flags() & O_APPEND) != 0 && file.inode() != nullptr &&
                 S_ISREG(file.inode()->type());
  std::uint64_t end = 0;
  auto attempt = [&] {
    if (appends) return file.append(from, end, task);
    return offset ? file.write_at(from, *offset + static_cast<std::uint64_t>(total), task)
                  : file.write(from, task);
  };
  for (;;) {
    ErrnoOr<std::size_t> done = attempt_file(task, file, true, attempt);
    if (!done && done.error().value == EPIPE) send(task, SIGPIPE);
    if (!done && total == 0) return std::unexpected(done.error());
    if (!done) return total;
    total += static_cast<std::int64_t>(*done);
    // What blocks takes all of it, piece by piece.
    bool goes_on =
        *done != 0 && from.remaining() != 0 && !file.nonblocking() && file.wait_queue() != nullptr;
    if (!goes_on) return total;
  }
}

}  // namespace

ErrnoOr<PathArgument> load_path_at(Task& task, int dirfd, std::uint64_t address) {
  std::string text = TRY(load_path(task, address));
  if (text.starts_with('/')) dirfd = AT_FDCWD;
  vfs::WalkContext context = TRY(task.walk_context(dirfd));
  return PathArgument{std::move(text), std::move(context)};
}

ErrnoOr<vfs::Attributes> Target::attributes() const {
  if (file) return file->attributes();
  return path.inode()->attributes();
}

ErrnoOr<vfs::Path> walk_at(Task& task, int dirfd, std::uint64_t address, int flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return fail(EINVAL);
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  vfs::WalkFlags walk_flags;
  walk_flags.follow_last = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  walk_flags.allow_empty = (flags & AT_EMPTY_PATH) != 0;
  return vfs::walk(path.context, path.text, walk_flags);
}

ErrnoOr<Target> target_at(Task& task, int dirfd, std::uint64_t address, int flags) {
  bool may_be_empty = (flags & AT_EMPTY_PATH) != 0 && dirfd != AT_FDCWD;
  if (may_be_empty && (address == 0 || TRY(load_path(task, address)).empty())) {
    Ref<vfs::File> file = TRY(task.file(dirfd));
    vfs::Path path = file->path();
    return Target{std::move(path), std::move(file)};
  }
  return Target{TRY(walk_at(task, dirfd, address, flags)), nullptr};
}

ErrnoOr<Ref<vfs::File>> file_to_read(Task& task, int fd) {
  Ref<vfs::File> file = TRY(task.file(fd));
  if (!file->readable()) return fail(EBADF);
  return file;
}

ErrnoOr<Ref<vfs::File>> file_to_write(Task& task, int fd) {
  Ref<vfs::File> file = TRY(task.file(fd));
  if (!file->writable()) return fail(EBADF);
  return file;
}

ErrnoOr<vfs::IoBuffer> load_iovec(Task& task, std::uint64_t address, std::uint64_t count) {
  if (count > IOV_MAX) return fail(EINVAL);
  std::vector<vfs::IoSegment> segments(count);
  static_assert(sizeof(vfs::IoSegment) == sizeof(iovec));
  if (count != 0) TRY(UserPtr<vfs::IoSegment>(address).load(task.memory(), std::span(segments)));
  for (const vfs::IoSegment& segment : segments)
    if (segment.length > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return fail(EINVAL);
  std::uint64_t total = 0;
  for (vfs::IoSegment& segment : segments) {
    segment.length = std::min(segment.length, kMostBytes - total);
    total += segment.length;
  }
  if (segments.size() == 1)
    return vfs::IoBuffer(task.memory(), segments[0].address, segments[0].length);
  return vfs::IoBuffer(task.memory(), std::move(segments));
}

ErrnoOr<> check_file_size(Task& task, std::uint64_t size) {
  if (size <= task.group().limit(RLIMIT_FSIZE).soft) return {};
  send(task, SIGXFSZ);
  return fail(EFBIG);
}

Value read_file(Task& task, vfs::File& file, vfs::IoBuffer& to,
                std::optional<std::uint64_t> offset) {
  auto attempt = [&] { return offset ? file.read_at(to, *offset, task) : file.read(to, task); };
  std::size_t done = TRY(attempt_file(task, file, false, attempt));
  if (done != 0) vfs::tell_of(file, IN_ACCESS);
  return static_cast<std::int64_t>(done);
}

Value write_file(Task& task, vfs::File& file, vfs::IoBuffer& from,
                 std::optional<std::uint64_t> offset) {
  std::int64_t done = TRY(write_quietly(task, file, from, offset));
  if (done != 0) vfs::tell_of(file, IN_MODIFY);
  return done;
}

}  // namespace caisson::sandbox::syscalls
