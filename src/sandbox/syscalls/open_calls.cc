// open(2), close(2), dup(2) and their like.
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/resource.h>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint32_t kLargeFile = 0100000;  // O_LARGEFILE, which 64-bit C libraries hide
constexpr std::uint32_t kTemporary = O_TMPFILE & ~O_DIRECTORY;
constexpr std::uint64_t kKnownFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |
                                      O_NONBLOCK | O_DSYNC | O_SYNC | O_ASYNC | O_DIRECT |
                                      kLargeFile | O_DIRECTORY | O_NOFOLLOW | O_NOATIME |
                                      O_CLOEXEC | O_PATH | kTemporary;

Value open_at(Task& task, int dirfd, std::uint64_t address, vfs::OpenRequest request) {
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  // The directory is the root of such a walk, also for a path that begins at the root.
  if ((request.resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0)
    path.context = TRY(task.walk_context(dirfd));
  request.mode &= ~task.fs().umask();
  Ref<vfs::File> file = TRY(vfs::open(path.context, path.text, request));
  TRY(attempt_file(task, *file, false, [&] { return file->finish_open(); }));
  return TRY(task.add_file(std::move(file), (request.flags & O_CLOEXEC) != 0));
}

// The old calls take any flags and any mode.
Value open_loosely(Task& task, int dirfd, std::uint64_t address, std::uint32_t flags,
                   std::uint32_t mode) {
  vfs::OpenRequest request;
  request.flags = (flags & static_cast<std::uint32_t>(kKnownFlags)) | kLargeFile;
  if ((flags & (O_CREAT | kTemporary)) != 0) request.mode = mode & 07777U;
  return open_at(task, dirfd, address, request);
}

ErrnoOr<vfs::OpenRequest> check_how(const open_how& how) {
  constexpr std::uint64_t kKnownResolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
                                          RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT |
                                          RESOLVE_CACHED;
  if ((how.flags & ~kKnownFlags) != 0 || (how.resolve & ~kKnownResolve) != 0) return fail(EINVAL);
  constexpr std::uint64_t kOneOf = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  if ((how.resolve & kOneOf) == kOneOf) return fail(EINVAL);
  bool makes = (how.flags & (O_CREAT | kTemporary)) != 0;
  if (how.mode != 0 && (!makes || (how.mode & ~std::uint64_t{07777}) != 0)) return fail(EINVAL);
  constexpr std::uint64_t kWithPath = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if ((how.flags & O_PATH) != 0 && (how.flags & ~kWithPath) != 0) return fail(EINVAL);
  // Nobody may rely on what is cached: another try without this flag always is in order.
  if ((how.resolve & RESOLVE_CACHED) != 0) return fail(EAGAIN);
  return vfs::OpenRequest{static_cast<std::uint32_t>(how.flags) | kLargeFile,
                          static_cast<std::uint32_t>(how.mode), how.resolve};
}

std::uint64_t file_limit(Task& task) { return task.group().limit(RLIMIT_NOFILE).soft; }

}  // namespace

Value sys_open(Task& task, const Arguments& arguments) {
  return open_loosely(task, AT_FDCWD, arguments.u64(0), arguments.u32(1), arguments.u32(2));
}
Value sys_openat(Task& task, const Arguments& arguments) {
  return open_loosely(task, arguments.i32(0), arguments.u64(1), arguments.u32(2), arguments.u32(3));
}
Value sys_creat(Task& task, const Arguments& arguments) {
  return open_loosely(task, AT_FDCWD, arguments.u64(0), O_CREAT | O_WRONLY | O_TRUNC,
                      arguments.u32(1));
}

Value sys_openat2(Task& task, const Arguments& arguments) {
  std::uint64_t size = arguments.u64(3);
  open_how how{};
  if (size < sizeof how) return fail(EINVAL);
  if (size > 4096) return fail(E2BIG);
  TRY(load_sized(task, arguments.u64(2), size, std::as_writable_bytes(std::span(&how, 1))));
  return open_at(task, arguments.i32(0), arguments.u64(1), TRY(check_how(how)));
}

Value sys_close(Task& task, const Arguments& arguments) {
  TRY(task.files().close(arguments.i32(0), &task));
  return 0;
}

Value sys_close_range(Task& task, const Arguments& arguments) {
  std::uint32_t first = arguments.u32(0), last = arguments.u32(1), flags = arguments.u32(2);
  if ((flags & ~std::uint32_t{CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC}) != 0 || first > last)
    return fail(EINVAL);
  if ((flags & CLOSE_RANGE_UNSHARE) != 0) task.set_files(task.files().copy());
  if ((flags & CLOSE_RANGE_CLOEXEC) != 0)
    task.files().set_close_on_exec_range(first, last);
  else
    task.files().close_range(first, last, &task);
  return 0;
}

Value sys_dup(Task& task, const Arguments& arguments) {
  return TRY(task.add_file(TRY(task.file(arguments.i32(0))), false));
}

Value sys_dup2(Task& task, const Arguments& arguments) {
  int from = arguments.i32(0), to = arguments.i32(1);
  Ref<vfs::File> file = TRY(task.file(from));
  if (from == to) return to;
  TRY(task.files().put(to, std::move(file), false, file_limit(task), &task));
  return to;
}

Value sys_dup3(Task& task, const Arguments& arguments) {
  int from = arguments.i32(0), to = arguments.i32(1);
  std::uint32_t flags = arguments.u32(2);
  if ((flags & ~std::uint32_t{O_CLOEXEC}) != 0 || from == to) return fail(EINVAL);
  if (to < 0 || static_cast<std::uint64_t>(to) >= file_limit(task)) return fail(EBADF);
  Ref<vfs::File> file = TRY(task.file(from));
  TRY(task.files().put(to, std::move(file), flags != 0, file_limit(task), &task));
  return to;
}

}  // namespace caisson::sandbox::syscalls
