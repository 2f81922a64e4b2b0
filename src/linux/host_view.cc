#include "linux/host_view.h"

#include <dirent.h>
#include <limits.h>
#include <linux/stat.h>

#include <set>

#include "linux/mountinfo.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

// Looks at a mount point without making a network file system ask its server.
void look_at(plan::HostMount& mount) {
  struct statx info{};
  auto looked =
      sys::call_void(SYS_statx, AT_FDCWD, mount.mount_point.c_str(),
                     AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &info);
  if (!looked) {
    // Behind a directory that the caller may not search, or a dead FUSE server.
    mount.readable = false;
    return;
  }
  mount.is_directory = S_ISDIR(info.stx_mode);
  mount.readable = sys::faccessat(sys::kCwd, mount.mount_point.c_str(),
                                  mount.is_directory ? X_OK : R_OK, AT_EACCESS)
                       .has_value();
}

// "/" and every directory above a mount point, which is never one itself by this rule alone.
std::set<std::string> directories_on_the_way(const std::vector<plan::HostMount>& mounts) {
  std::set<std::string> directories{"/"};
  for (const auto& mount : mounts) {
    std::string_view path = mount.mount_point;
    for (auto slash = path.rfind('/'); slash != 0 && slash != path.npos; slash = path.rfind('/')) {
      path = path.substr(0, slash);
      if (!directories.emplace(path).second) break;
    }
  }
  return directories;
}

char entry_type(FdRef dir, const sys::DirectoryName& entry) {
  if (entry.type == DT_DIR) return 'd';
  if (entry.type == DT_LNK) return 'l';
  if (entry.type != DT_UNKNOWN) return 'f';
  auto info = sys::fstatat(dir, entry.name.c_str(), AT_SYMLINK_NOFOLLOW);
  if (!info) return 'f';
  return S_ISDIR(info->st_mode) ? 'd' : S_ISLNK(info->st_mode) ? 'l' : 'f';
}

// A directory that the caller can't read is left out: nothing in it could be shown anyway.
void list_entries(const std::string& directory, std::vector<plan::DirectoryEntry>& out) {
  auto dir = sys::openat(sys::kCwd, directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  auto names = sys::list_directory_types(*dir);
  if (!names) return;
  for (const auto& name : *names) {
    plan::DirectoryEntry entry;
    entry.path = cat(directory == "/" ? "" : directory, '/', name.name);
    entry.type = entry_type(*dir, name);
    if (entry.type == 'l') {
      entry.link_target = sys::readlink(*dir, name.name.c_str()).value_or("");
    }
    out.push_back(std::move(entry));
  }
}

Error no_current_directory(Errno error) {
  return Error(error)
      .doing("find the working directory")
      .cure("It was deleted or can't be reached; cd to one that exists.")
      .code("host.current_directory");
}

Result<std::string> current_directory() {
  std::string path(PATH_MAX, '\0');
  auto length = sys::call(SYS_getcwd, path.data(), path.size());
  if (!length) return std::unexpected(no_current_directory(length.error()));
  path.resize(static_cast<std::size_t>(*length) - 1);  // counts the final NUL
  // getcwd(2): a directory outside of the process' root is shown as "(unreachable)/...".
  if (!path.starts_with('/')) return std::unexpected(no_current_directory(Errno{ENOENT}));
  return path;
}

}  // namespace

Result<> read_host_view(plan::HostFacts& facts) {
  facts.current_directory = TRY(current_directory());
  std::string text =
      TRY_CTX(sys::read_file(sys::kCwd, "/proc/self/mountinfo"), "read /proc/self/mountinfo");
  for (auto& info : visible_mounts(TRY(parse_mountinfo(text)))) {
    look_at(info.mount);
    facts.mounts.push_back(std::move(info.mount));
  }
  for (const auto& directory : directories_on_the_way(facts.mounts)) {
    list_entries(directory, facts.root_entries);
  }
  return {};
}

}  // namespace caisson::linux
