// Files and their facts, beyond what file.h has: statx, reading and writing at an offset, changes
// of owner, mode and times by directory and name, entries of directories as they come.
#pragma once

#include <linux/stat.h>
#include <sys/uio.h>
#include <time.h>

#include <cstdint>
#include <span>

#include "sys/file.h"

namespace caisson::sys {

// Paths that never leave `dir` nor go through a symbolic link (openat2(2)).
inline constexpr std::uint64_t kBeneath =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

inline ErrnoOr<struct statx> statx(FdRef dir, const char* path, int flags,
                                   unsigned mask = STATX_BASIC_STATS | STATX_BTIME) {
  struct statx info{};
  TRY(call_void(SYS_statx, dir.number(), path, flags, mask, &info));
  return info;
}
inline ErrnoOr<struct statx> statx(FdRef file) { return statx(file, "", AT_EMPTY_PATH); }

inline ErrnoOr<std::size_t> pread(FdRef file, std::span<std::byte> to, std::uint64_t offset) {
  return static_cast<std::size_t>(
      TRY(call_retry(SYS_pread64, file.number(), to.data(), to.size(), offset)));
}
// pwritev2(2) of one segment; RWF_APPEND, RWF_SYNC ... in `flags`.
inline ErrnoOr<std::size_t> pwrite(FdRef file, std::span<const std::byte> from,
                                   std::uint64_t offset, int flags = 0) {
  if (flags == 0)
    return static_cast<std::size_t>(
        TRY(call_retry(SYS_pwrite64, file.number(), from.data(), from.size(), offset)));
  iovec part{const_cast<std::byte*>(from.data()), from.size()};
  return static_cast<std::size_t>(
      TRY(call_retry(SYS_pwritev2, file.number(), &part, 1, offset, 0, flags)));
}
inline ErrnoOr<std::uint64_t> lseek(FdRef file, std::int64_t offset, int whence) {
  return static_cast<std::uint64_t>(TRY(call(SYS_lseek, file.number(), offset, whence)));
}
inline ErrnoOr<> fallocate(FdRef file, int mode, std::uint64_t offset, std::uint64_t length) {
  TRY(call_retry(SYS_fallocate, file.number(), mode, offset, length));
  return {};
}
inline ErrnoOr<> fsync(FdRef file) {
  TRY(call_retry(SYS_fsync, file.number()));
  return {};
}
inline ErrnoOr<> fdatasync(FdRef file) {
  TRY(call_retry(SYS_fdatasync, file.number()));
  return {};
}
inline ErrnoOr<> syncfs(FdRef file) { return call_void(SYS_syncfs, file.number()); }
// Copies inside the host's kernel, shared blocks where the file system has them; the bytes copied.
inline ErrnoOr<std::size_t> copy_file_range(FdRef from, std::uint64_t from_offset, FdRef to,
                                            std::uint64_t to_offset, std::size_t length) {
  auto in = static_cast<std::int64_t>(from_offset);
  auto out = static_cast<std::int64_t>(to_offset);
  return static_cast<std::size_t>(
      TRY(call_retry(SYS_copy_file_range, from.number(), &in, to.number(), &out, length, 0)));
}

// struct linux_dirent64 of getdents64(2), up to the name.
struct DirectoryRecord {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  static constexpr std::size_t kNameOffset = 19;
};
// The next records; none at the end.
inline ErrnoOr<std::size_t> getdents64(FdRef dir, std::span<std::byte> to) {
  return static_cast<std::size_t>(TRY(call(SYS_getdents64, dir.number(), to.data(), to.size())));
}

// fchmodat2(2), Linux 6.6. AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
inline ErrnoOr<> fchmodat2(FdRef dir, const char* path, std::uint32_t mode, int flags) {
  return call_void(452, dir.number(), path, mode, flags);
}
// `times`: accessed, modified; UTIME_OMIT leaves one.
inline ErrnoOr<> utimensat(FdRef dir, const char* path, std::span<const timespec, 2> times,
                           int flags) {
  return call_void(SYS_utimensat, dir.number(), path, times.data(), flags);
}
inline std::uint32_t umask(std::uint32_t mask) {
  return static_cast<std::uint32_t>(raw(SYS_umask, mask));
}

}  // namespace caisson::sys
