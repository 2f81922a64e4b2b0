// sendfile(2), copy_file_range(2), splice(2), tee(2): bytes from file to file.
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <vector>

#include "sandbox/fs/pipe/pipe_file.h"
#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kChunk = 65536;

bool is_regular(vfs::File& file) {
  return file.inode() != nullptr && S_ISREG(file.inode()->type());
}

// The offset that a pointer argument holds, or none for the file's own position.
ErrnoOr<std::optional<std::uint64_t>> load_offset(Task& task, std::uint64_t address) {
  if (address == 0) return std::optional<std::uint64_t>();
  auto offset = TRY(load<std::int64_t>(task, address));
  if (offset < 0) return fail(EINVAL);
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(offset));
}

ErrnoOr<> store_offset(Task& task, std::uint64_t address, std::uint64_t offset) {
  if (address == 0) return {};
  return store(task, address, static_cast<std::int64_t>(offset));
}

struct Copy {
  vfs::File& from;
  std::uint64_t from_offset;
  vfs::File& to;
  std::optional<std::uint64_t> to_offset;  // none: at its position
};

// Piece by piece through our memory; what could not be written is read again by the next call.
Value copy_bytes(Task& task, const Copy& copy, std::uint64_t length) {
  std::vector<std::byte> bytes(std::min<std::uint64_t>(length, kChunk));
  std::uint64_t total = 0;
  while (total < length) {
    std::span<std::byte> piece(bytes.data(), std::min<std::uint64_t>(bytes.size(), length - total));
    vfs::IoBuffer into = vfs::IoBuffer::of(piece);
    ErrnoOr<std::size_t> got = copy.from.read_at(into, copy.from_offset + total, task);
    if (!got && total == 0) return std::unexpected(got.error());
    if (!got || *got == 0) break;
    vfs::IoBuffer out = vfs::IoBuffer::of(std::span<const std::byte>(piece.first(*got)));
    std::optional<std::uint64_t> at = copy.to_offset;
    if (at) at = *at + total;
    Value put = write_file(task, copy.to, out, at);
    if (!put && total == 0) return put;
    if (!put) break;
    total += static_cast<std::uint64_t>(*put);
    if (static_cast<std::size_t>(*put) < *got || task.interrupted()) break;
  }
  if (total != 0) vfs::tell_of(copy.from, IN_ACCESS);
  return static_cast<std::int64_t>(total);
}

// --- splice

// Waits until the file is ready for that, unless the call does not wait.
ErrnoOr<> wait_for(Task& task, vfs::File& file, vfs::ReadyMask mask) {
  vfs::WaitQueue* queue = file.wait_queue();
  if (queue == nullptr) return fail(EAGAIN);
  auto ready = [&]() -> ErrnoOr<> {
    if ((file.ready() & (mask | POLLERR | POLLHUP)) == 0) return fail(EAGAIN);
    return {};
  };
  return kernel::wait_until_done(task, *queue, ~vfs::ReadyMask{0}, {}, ready);
}

bool is_ready(vfs::File& file, vfs::ReadyMask mask) {
  return (file.ready() & (mask | POLLERR | POLLHUP)) != 0;
}

template <typename Attempt>
Value move_patiently(Task& task, vfs::File& from, vfs::File& to, bool waits, Attempt attempt) {
  for (;;) {
    ErrnoOr<std::size_t> moved = attempt();
    if (moved) return static_cast<std::int64_t>(*moved);
    if (!waits || moved.error().value != EAGAIN) return std::unexpected(moved.error());
    if (is_ready(from, POLLIN) && is_ready(to, POLLOUT)) return std::unexpected(moved.error());
    if (!is_ready(from, POLLIN))
      TRY(wait_for(task, from, POLLIN));
    else
      TRY(wait_for(task, to, POLLOUT));
  }
}

constexpr std::uint32_t kSpliceFlags =
    SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

struct Splice {
  Ref<vfs::File> from, to;
  std::uint64_t from_offset_address, to_offset_address;
  std::size_t length;
  std::uint32_t flags;
  fs::PipeFile *from_pipe, *to_pipe;
};

// What splice(2) refuses about offsets: pipes have none, and other files may have none.
ErrnoOr<> check_offsets(const Splice& call) {
  if (call.from_pipe == nullptr && call.to_pipe == nullptr) return fail(EINVAL);
  if (call.from_pipe != nullptr && call.from_offset_address != 0) return fail(ESPIPE);
  if (call.to_pipe != nullptr && call.to_offset_address != 0) return fail(ESPIPE);
  if (call.to_pipe == nullptr && (call.to->flags() & O_APPEND) != 0) return fail(EINVAL);
  return {};
}

Value do_splice(Task& task, const Splice& call) {
  TRY(check_offsets(call));
  bool waits = (call.flags & SPLICE_F_NONBLOCK) == 0;
  if (call.from_pipe != nullptr && call.to_pipe != nullptr) {
    if (&call.from_pipe->pipe() == &call.to_pipe->pipe()) return fail(EINVAL);
    waits = waits && !call.from->nonblocking() && !call.to->nonblocking();
    return move_patiently(task, *call.from, *call.to, waits, [&] {
      return fs::Pipe::move(call.from_pipe->pipe(), call.to_pipe->pipe(), call.length);
    });
  }
  bool into = call.to_pipe != nullptr;
  vfs::File& other = into ? *call.from : *call.to;
  fs::Pipe& pipe = (into ? call.to_pipe : call.from_pipe)->pipe();
  waits = waits && !(into ? call.to : call.from)->nonblocking();
  std::uint64_t address = into ? call.from_offset_address : call.to_offset_address;
  std::optional<std::uint64_t> offset = TRY(load_offset(task, address));
  if (!into && other.inode() != nullptr) TRY(vfs::drop_set_ids(*other.inode(), task.credentials()));
  std::int64_t moved = TRY(move_patiently(task, *call.from, *call.to, waits, [&] {
    return into ? pipe.fill_from(other, offset, call.length, task)
                : pipe.drain_to(other, offset, call.length, task);
  }));
  if (moved != 0) vfs::tell_of(*call.from, IN_ACCESS);
  if (moved != 0) vfs::tell_of(*call.to, IN_MODIFY);
  if (offset) TRY(store_offset(task, address, *offset + static_cast<std::uint64_t>(moved)));
  return moved;
}

}  // namespace

Value sys_sendfile(Task& task, const Arguments& arguments) {
  std::uint64_t address = arguments.u64(2);
  std::optional<std::uint64_t> offset = TRY(load_offset(task, address));
  Ref<vfs::File> from = TRY(file_to_read(task, arguments.i32(1)));
  Ref<vfs::File> to = TRY(file_to_write(task, arguments.i32(0)));
  if (!is_regular(*from) || (to->flags() & O_APPEND) != 0) return fail(EINVAL);
  std::uint64_t begin = offset ? *offset : TRY(from->seek(0, SEEK_CUR));
  std::int64_t done = TRY(
      copy_bytes(task, {*from, begin, *to, std::nullopt}, std::min(arguments.u64(3), kMostBytes)));
  std::uint64_t end = begin + static_cast<std::uint64_t>(done);
  if (offset)
    TRY(store_offset(task, address, end));
  else
    TRY(from->seek(static_cast<std::int64_t>(end), SEEK_SET));
  return done;
}

Value sys_copy_file_range(Task& task, const Arguments& arguments) {
  Ref<vfs::File> from = TRY(usable_file(task, arguments.i32(0)));
  Ref<vfs::File> to = TRY(usable_file(task, arguments.i32(2)));
  std::optional<std::uint64_t> from_offset = TRY(load_offset(task, arguments.u64(1)));
  std::optional<std::uint64_t> to_offset = TRY(load_offset(task, arguments.u64(3)));
  if (arguments.u32(5) != 0) return fail(EINVAL);
  for (vfs::File* file : {from.get(), to.get()})
    if (file->inode() != nullptr && file->inode()->is_directory()) return fail(EISDIR);
  if (!is_regular(*from) || !is_regular(*to)) return fail(EINVAL);
  if (!from->readable() || !to->writable() || (to->flags() & O_APPEND) != 0) return fail(EBADF);
  std::uint64_t source = from_offset ? *from_offset : TRY(from->seek(0, SEEK_CUR));
  std::uint64_t target = to_offset ? *to_offset : TRY(to->seek(0, SEEK_CUR));
  std::uint64_t length = std::min(arguments.u64(4), kMostBytes);
  std::uint64_t size = TRY(from->size());
  length = source >= size ? 0 : std::min(length, size - source);
  bool overlap = source < target + length && target < source + length;
  if (length != 0 && from->inode() == to->inode() && overlap) return fail(EINVAL);
  std::int64_t done = TRY(copy_bytes(task, {*from, source, *to, target}, length));
  source += static_cast<std::uint64_t>(done);
  target += static_cast<std::uint64_t>(done);
  if (from_offset)
    TRY(store_offset(task, arguments.u64(1), source));
  else
    TRY(from->seek(static_cast<std::int64_t>(source), SEEK_SET));
  if (to_offset)
    TRY(store_offset(task, arguments.u64(3), target));
  else
    TRY(to->seek(static_cast<std::int64_t>(target), SEEK_SET));
  return done;
}

Value sys_splice(Task& task, const Arguments& arguments) {
  if (arguments.u64(4) == 0) return 0;
  if ((arguments.u32(5) & ~kSpliceFlags) != 0) return fail(EINVAL);
  Splice call{TRY(file_to_read(task, arguments.i32(0))),
              TRY(file_to_write(task, arguments.i32(2))),
              arguments.u64(1),
              arguments.u64(3),
              std::min(arguments.u64(4), kMostBytes),
              arguments.u32(5),
              nullptr,
              nullptr};
  call.from_pipe = vfs::file_as<fs::PipeFile>(*call.from);
  call.to_pipe = vfs::file_as<fs::PipeFile>(*call.to);
  return do_splice(task, call);
}

Value sys_tee(Task& task, const Arguments& arguments) {
  if ((arguments.u32(3) & ~kSpliceFlags) != 0) return fail(EINVAL);
  if (arguments.u64(2) == 0) return 0;
  Ref<vfs::File> from = TRY(file_to_read(task, arguments.i32(0)));
  Ref<vfs::File> to = TRY(file_to_write(task, arguments.i32(1)));
  auto* from_pipe = vfs::file_as<fs::PipeFile>(*from);
  auto* to_pipe = vfs::file_as<fs::PipeFile>(*to);
  if (from_pipe == nullptr || to_pipe == nullptr || &from_pipe->pipe() == &to_pipe->pipe())
    return fail(EINVAL);
  bool waits =
      (arguments.u32(3) & SPLICE_F_NONBLOCK) == 0 && !from->nonblocking() && !to->nonblocking();
  std::size_t length = std::min(arguments.u64(2), kMostBytes);
  return move_patiently(task, *from, *to, waits, [&] {
    return fs::Pipe::duplicate(from_pipe->pipe(), to_pipe->pipe(), length);
  });
}

// Memory is copied in and out: a page that is given away can still be written by its giver on
// Linux, which nobody relies on.
Value sys_vmsplice(Task& task, const Arguments& arguments) {
  if ((arguments.u32(3) & ~kSpliceFlags) != 0) return fail(EINVAL);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (vfs::file_as<fs::PipeFile>(*file) == nullptr) return fail(EBADF);
  vfs::IoBuffer buffer = TRY(load_iovec(task, arguments.u64(1), arguments.u64(2)));
  if (buffer.remaining() == 0) return 0;
  bool waits = (arguments.u32(3) & SPLICE_F_NONBLOCK) == 0;
  bool gives = file->writable();
  auto attempt = [&] { return gives ? file->write(buffer, task) : file->read(buffer, task); };
  ErrnoOr<std::size_t> done = waits ? attempt_file(task, *file, gives, attempt) : attempt();
  if (!done && done.error().value == EPIPE) {
    kernel::SignalInfo info = kernel::SignalInfo::kernel(SIGPIPE);
    (void)task.kernel().signal_task(task, info);  // what cannot be queued is pending already
  }
  return static_cast<std::int64_t>(TRY(done));
}

}  // namespace caisson::sandbox::syscalls
