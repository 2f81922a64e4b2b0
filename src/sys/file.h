// Files and directories: open, read, write, create, remove. Relative paths are relative to a
// directory descriptor; kCwd is the working directory. Every descriptor is close-on-exec from
// birth.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sys/call.h"

namespace caisson::sys {

inline constexpr FdRef kCwd{AT_FDCWD};

// openat(2). O_CLOEXEC is added; EINTR is retried.
inline ErrnoOr<Fd> openat(FdRef dir, const char* path, int flags, std::uint32_t mode = 0) {
  long result = TRY(call_retry(SYS_openat, dir.number(), path, flags | O_CLOEXEC, mode));
  return Fd(static_cast<int>(result));
}

// openat2(2) confined by `resolve` (RESOLVE_*).
inline ErrnoOr<Fd> openat2(FdRef dir, const char* path, int flags, std::uint64_t resolve,
                           std::uint32_t mode = 0) {
  open_how how{};
  how.flags = static_cast<std::uint32_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = resolve;
  // EAGAIN: the walk raced a rename or mount on a ".." component; the man page asks for a retry.
  for (int attempt = 0;; ++attempt) {
    long result = raw(SYS_openat2, dir.number(), path, &how, sizeof how);
    if (!failed(result)) return Fd(static_cast<int>(result));
    bool again = result == -EINTR || (result == -EAGAIN && attempt < 64);
    if (!again) return std::unexpected(Errno{static_cast<int>(-result)});
  }
}

inline ErrnoOr<> mkdirat(FdRef dir, const char* path, std::uint32_t mode) {
  return call_void(SYS_mkdirat, dir.number(), path, mode);
}
inline ErrnoOr<> mknodat(FdRef dir, const char* path, std::uint32_t mode, std::uint64_t device) {
  return call_void(SYS_mknodat, dir.number(), path, mode, device);
}
inline ErrnoOr<> symlinkat(const char* target, FdRef dir, const char* path) {
  return call_void(SYS_symlinkat, target, dir.number(), path);
}
inline ErrnoOr<> unlinkat(FdRef dir, const char* path, int flags = 0) {
  return call_void(SYS_unlinkat, dir.number(), path, flags);
}
inline ErrnoOr<> renameat(FdRef from_dir, const char* from, FdRef to_dir, const char* to,
                          unsigned flags = 0) {
  return call_void(SYS_renameat2, from_dir.number(), from, to_dir.number(), to, flags);
}
inline ErrnoOr<> linkat(FdRef from_dir, const char* from, FdRef to_dir, const char* to, int flags) {
  return call_void(SYS_linkat, from_dir.number(), from, to_dir.number(), to, flags);
}
inline ErrnoOr<> fchownat(FdRef dir, const char* path, std::uint32_t uid, std::uint32_t gid,
                          int flags = 0) {
  return call_void(SYS_fchownat, dir.number(), path, uid, gid, flags);
}
inline ErrnoOr<> fchmod(FdRef file, std::uint32_t mode) {
  return call_void(SYS_fchmod, file.number(), mode);
}
inline ErrnoOr<> ftruncate(FdRef file, std::int64_t size) {
  return call_void(SYS_ftruncate, file.number(), size);
}
struct Pipe {
  Fd read, write;
};
inline ErrnoOr<Pipe> pipe() {
  int ends[2];
  TRY(call_void(SYS_pipe2, ends, O_CLOEXEC));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// Absolute. ENOENT when it was removed or lies outside of our root.
ErrnoOr<std::string> getcwd();
inline ErrnoOr<> fchdir(FdRef dir) { return call_void(SYS_fchdir, dir.number()); }
inline ErrnoOr<> chdir(const char* path) { return call_void(SYS_chdir, path); }
inline ErrnoOr<> chroot(const char* path) { return call_void(SYS_chroot, path); }
inline ErrnoOr<> dup3(FdRef from, int to, int flags) {
  return call_void(SYS_dup3, from.number(), to, flags);
}
inline ErrnoOr<Fd> dup_cloexec(FdRef from, int at_least = 3) {
  return call_fd(SYS_fcntl, from.number(), F_DUPFD_CLOEXEC, at_least);
}
inline ErrnoOr<> set_cloexec(FdRef fd, bool on) {
  return call_void(SYS_fcntl, fd.number(), F_SETFD, on ? FD_CLOEXEC : 0);
}
inline ErrnoOr<> set_nonblocking(FdRef fd, bool on) {
  long flags = TRY(call(SYS_fcntl, fd.number(), F_GETFL));
  return call_void(SYS_fcntl, fd.number(), F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
// flock(2): LOCK_EX, LOCK_SH, LOCK_UN, LOCK_NB.
inline ErrnoOr<> flock(FdRef file, int operation) {
  return call_void(SYS_flock, file.number(), operation);
}
inline ErrnoOr<struct stat> fstat(FdRef file) {
  struct stat info{};
  TRY(call_void(SYS_fstat, file.number(), &info));
  return info;
}
inline ErrnoOr<struct stat> fstatat(FdRef dir, const char* path, int flags = 0) {
  struct stat info{};
  TRY(call_void(SYS_newfstatat, dir.number(), path, &info, flags));
  return info;
}
// statx(2): the mount that the file was opened through.
inline ErrnoOr<std::uint64_t> mount_id(FdRef file) {
  constexpr unsigned kMountId = 0x1000;  // STATX_MNT_ID; the C library's structure lacks its field
  struct {
    std::uint64_t before[18], mount_id, after[13];
  } info{};
  TRY(call_void(SYS_statx, file.number(), "", AT_EMPTY_PATH, kMountId, &info));
  return info.mount_id;
}
inline ErrnoOr<struct statfs> fstatfs(FdRef file) {
  struct statfs info{};
  TRY(call_void(SYS_fstatfs, file.number(), &info));
  return info;
}
inline ErrnoOr<struct statfs> statfs(const char* path) {
  struct statfs info{};
  TRY(call_void(SYS_statfs, path, &info));
  return info;
}
inline ErrnoOr<Fd> memfd_create(const char* name, unsigned flags = 0) {
  return call_fd(SYS_memfd_create, name, flags | 1U /* MFD_CLOEXEC */);
}
inline ErrnoOr<> faccessat(FdRef dir, const char* path, int mode, int flags = 0) {
  return call_void(439 /* faccessat2 */, dir.number(), path, mode, flags);
}

inline ErrnoOr<> setxattr(const char* path, const char* name, std::string_view value) {
  return call_void(SYS_setxattr, path, name, value.data(), value.size(), 0);
}
// ENODATA when the file has no such attribute.
inline ErrnoOr<> has_xattr(const char* path, const char* name) {
  return call_void(SYS_getxattr, path, name, nullptr, 0);
}

inline ErrnoOr<std::size_t> read(FdRef file, void* buffer, std::size_t size) {
  return static_cast<std::size_t>(TRY(call_retry(SYS_read, file.number(), buffer, size)));
}
inline ErrnoOr<std::size_t> write(FdRef file, const void* data, std::size_t size) {
  return static_cast<std::size_t>(TRY(call_retry(SYS_write, file.number(), data, size)));
}

// --- whole files (file.cc)
// --------------------------------------------------------------------------

inline constexpr std::size_t kWholeFileLimit = std::size_t{64} << 20;

// Everything up to the end of file; EFBIG above `limit` bytes.
ErrnoOr<std::string> read_all(FdRef file, std::size_t limit = kWholeFileLimit);
ErrnoOr<std::string> read_file(FdRef dir, const char* path, std::size_t limit = kWholeFileLimit);
// Writes all of `data`, over as many write(2) calls as it takes.
ErrnoOr<> write_all(FdRef file, std::string_view data);
// Opens an existing file (O_WRONLY, no creation) and hands `data` over in one write(2): for control
// files of cgroupfs, procfs and the like. A short write is EIO.
ErrnoOr<> write_control(FdRef dir, const char* path, std::string_view data);
// Makes or replaces `path` so that a reader sees the old or the new content, never a part: writes a
// temporary file in the same directory, then renames it over.
ErrnoOr<> write_atomically(FdRef dir, const char* path, std::string_view data,
                           std::uint32_t mode = 0600);
// Target of a symbolic link.
ErrnoOr<std::string> readlink(FdRef dir, const char* path);
// mkdir -p of an absolute or relative path with the given mode for what is made; existing parts
// stay.
ErrnoOr<> make_directories(const std::string& path, std::uint32_t mode);
// Names in a directory without "." and "..", in the order that the kernel gives.
ErrnoOr<std::vector<std::string>> list_directory(FdRef dir);
struct DirectoryName {
  std::string name;
  unsigned char type = 0;  // DT_* of <dirent.h>; DT_UNKNOWN where the file system does not say
};
// The same with the kinds of the entries.
ErrnoOr<std::vector<DirectoryName>> list_directory_types(FdRef dir);
// Removes a directory tree without following links or crossing onto other file systems. Missing is
// fine.
ErrnoOr<> remove_tree(FdRef dir, const char* path);

}  // namespace caisson::sys
