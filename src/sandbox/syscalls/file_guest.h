// What calls on files have in common: files and paths by arguments, segments, waiting.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <utility>

#include "sandbox/kernel/block.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/guest_strings.h"
#include "sandbox/syscalls/poll_wait.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::syscalls {

constexpr std::uint64_t kMostBytes = 0x7FFFF000;  // MAX_RW_COUNT

// A path argument with the place that it begins at. An absolute path does not look at `dirfd`.
struct PathArgument {
  std::string text;
  vfs::WalkContext context;
};
ErrnoOr<PathArgument> load_path_at(Task& task, int dirfd, std::uint64_t address);

// The place that `dirfd` and `path` name. `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH; EINVAL for
// others.
ErrnoOr<vfs::Path> walk_at(Task& task, int dirfd, std::uint64_t address, int flags);
// The same with a null path for the descriptor itself; a file without a place has a path without a
// mount, or nothing at all.
struct Target {
  vfs::Path path;
  Ref<vfs::File> file;  // when a descriptor was meant
  vfs::Inode* inode() const { return file ? file->inode() : path.inode(); }
  ErrnoOr<vfs::Attributes> attributes() const;
};
ErrnoOr<Target> target_at(Task& task, int dirfd, std::uint64_t address, int flags);

// EBADF unless it was opened for that.
ErrnoOr<Ref<vfs::File>> file_to_read(Task& task, int fd);
ErrnoOr<Ref<vfs::File>> file_to_write(Task& task, int fd);

// struct iovec of readv(2) and its like. EINVAL, EFAULT.
ErrnoOr<vfs::IoBuffer> load_iovec(Task& task, std::uint64_t address, std::uint64_t count);

// Calls `attempt` until it gives something else than EAGAIN, unless the file does not block.
template <typename Attempt>
auto attempt_file(Task& task, vfs::File& file, bool writing, Attempt attempt)
    -> decltype(attempt()) {
  auto result = attempt();
  if (result || result.error().value != EAGAIN || file.nonblocking()) return result;
  vfs::WaitQueue* queue = file.wait_queue();
  if (queue == nullptr) return result;
  auto limit = file.wait_limit_ns(writing);
  kernel::Deadline deadline;
  if (limit) deadline = task.kernel().monotonic_ns() + *limit;
  result = kernel::wait_until_done(task, *queue, ~vfs::ReadyMask{0}, deadline, attempt);
  // A call with a timeout of the file's is not restarted (signal(7)).
  if (deadline && !result && result.error() == kernel::kRestart)
    return std::unexpected(Errno{EINTR});
  return result;
}

// read(2) and write(2) as the guest sees them: waiting, limits, SIGPIPE, set-id bits. The empty
// offset: at the file's position.
Value read_file(Task& task, vfs::File& file, vfs::IoBuffer& to,
                std::optional<std::uint64_t> offset);
Value write_file(Task& task, vfs::File& file, vfs::IoBuffer& from,
                 std::optional<std::uint64_t> offset);
// EFBIG and SIGXFSZ above RLIMIT_FSIZE.
ErrnoOr<> check_file_size(Task& task, std::uint64_t size);

}  // namespace caisson::sandbox::syscalls
