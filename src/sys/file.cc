#include "sys/file.h"

#include <dirent.h>

#include <cstring>

namespace caisson::sys {
namespace {

struct DirectoryRecord {  // struct linux_dirent64 of getdents64(2), up to the name
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
};
constexpr std::size_t kNameOffset = 19;

ErrnoOr<> remove_children(FdRef dir, std::uint64_t device);

ErrnoOr<> remove_entry(FdRef dir, const char* name, std::uint64_t device) {
  auto plain = unlinkat(dir, name);
  if (plain || plain.error().value == ENOENT) return {};
  if (plain.error().value != EISDIR && plain.error().value != EPERM) return plain;
  Fd child = TRY(openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto info = TRY(fstat(child));
  if (info.st_dev != device) return std::unexpected(Errno{EXDEV});
  TRY(remove_children(child, device));
  return unlinkat(dir, name, AT_REMOVEDIR);
}

ErrnoOr<> remove_children(FdRef dir, std::uint64_t device) {
  for (const auto& name : TRY(list_directory(dir))) TRY(remove_entry(dir, name.c_str(), device));
  return {};
}

// Calls `visit` with name and type of every entry but "." and "..".
template <typename Visit>
ErrnoOr<> for_each_entry(FdRef dir, Visit visit) {
  alignas(8) char buffer[8192];
  TRY(call(SYS_lseek, dir.number(), 0, SEEK_SET));
  for (;;) {
    auto bytes =
        static_cast<std::size_t>(TRY(call(SYS_getdents64, dir.number(), buffer, sizeof buffer)));
    if (bytes == 0) return {};
    for (std::size_t at = 0; at < bytes;) {
      DirectoryRecord record;
      std::memcpy(&record, buffer + at, sizeof record);
      std::string_view name = buffer + at + kNameOffset;
      if (name != "." && name != "..") visit(name, record.type);
      at += record.length;
    }
  }
}

}  // namespace

ErrnoOr<std::string> read_all(FdRef file, std::size_t limit) {
  std::string out;
  std::size_t used = 0;
  for (;;) {
    if (out.size() - used < 2048) out.resize(out.empty() ? 4096 : out.size() * 2);
    std::size_t got = TRY(read(file, out.data() + used, out.size() - used));
    if (got == 0) break;
    used += got;
    if (used > limit) return std::unexpected(Errno{EFBIG});
  }
  out.resize(used);
  return out;
}

ErrnoOr<std::string> read_file(FdRef dir, const char* path, std::size_t limit) {
  Fd file = TRY(openat(dir, path, O_RDONLY));
  return read_all(file, limit);
}

ErrnoOr<> write_all(FdRef file, std::string_view data) {
  while (!data.empty()) data.remove_prefix(TRY(write(file, data.data(), data.size())));
  return {};
}

ErrnoOr<> write_control(FdRef dir, const char* path, std::string_view data) {
  Fd file = TRY(openat(dir, path, O_WRONLY));
  std::size_t done = TRY(write(file, data.data(), data.size()));
  if (done != data.size()) return std::unexpected(Errno{EIO});
  return {};
}

// Puts `temporary` in the place of `path`. An exchange is as atomic as a rename over what is there,
// and on ext4 it is a thousand times faster: a rename over a file makes it write the new content to
// the disk at once (auto_da_alloc), and a later removal waits for that.
static ErrnoOr<> replace(FdRef dir, const char* temporary, const char* path) {
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE
  if (renameat(dir, temporary, dir, path, kExchange)) return unlinkat(dir, temporary);
  return renameat(dir, temporary, dir, path);
}

ErrnoOr<> write_atomically(FdRef dir, const char* path, std::string_view data, std::uint32_t mode) {
  std::string temporary = cat(path, ".", call(SYS_getpid).value_or(0), ".tmp");
  auto written = [&]() -> ErrnoOr<> {
    Fd file = TRY(openat(dir, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
    TRY(write_all(file, data));
    return replace(dir, temporary.c_str(), path);
  }();
  if (!written) (void)unlinkat(dir, temporary.c_str());
  return written;
}

ErrnoOr<std::string> readlink(FdRef dir, const char* path) {
  std::string out(256, '\0');
  for (;;) {
    auto length = static_cast<std::size_t>(
        TRY(call(SYS_readlinkat, dir.number(), path, out.data(), out.size())));
    if (length < out.size()) {
      out.resize(length);
      return out;
    }
    out.resize(out.size() * 2);
  }
}

ErrnoOr<> make_directories(const std::string& path, std::uint32_t mode) {
  auto made = mkdirat(kCwd, path.c_str(), mode);
  if (made || made.error().value == EEXIST) return {};
  if (made.error().value != ENOENT) return made;
  auto slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0) return made;
  TRY(make_directories(path.substr(0, slash), mode));
  made = mkdirat(kCwd, path.c_str(), mode);
  if (!made && made.error().value == EEXIST) return {};
  return made;
}

ErrnoOr<std::vector<std::string>> list_directory(FdRef dir) {
  std::vector<std::string> names;
  TRY(for_each_entry(dir, [&](std::string_view name, unsigned char) { names.emplace_back(name); }));
  return names;
}

ErrnoOr<std::vector<DirectoryName>> list_directory_types(FdRef dir) {
  std::vector<DirectoryName> names;
  TRY(for_each_entry(dir, [&](std::string_view name, unsigned char type) {
    names.push_back({std::string(name), type});
  }));
  return names;
}

ErrnoOr<> remove_tree(FdRef dir, const char* path) {
  auto info = fstatat(dir, path, AT_SYMLINK_NOFOLLOW);
  if (!info && info.error().value == ENOENT) return {};
  if (!info) return std::unexpected(info.error());
  return remove_entry(dir, path, info->st_dev);
}

ErrnoOr<std::string> getcwd() {
  char path[4096];
  long size = TRY(call(SYS_getcwd, path, sizeof path));
  if (path[0] != '/') return std::unexpected(Errno{ENOENT});  // "(unreachable)/..."
  return std::string(path, static_cast<std::size_t>(size) - 1);
}

}  // namespace caisson::sys
