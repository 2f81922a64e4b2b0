// The cgroups of a running container, opened for one more process.
#include <optional>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

// Where init is now: /proc/PID/cgroup, read at most once and only when it is needed.
class InitCgroups {
 public:
  explicit InitCgroups(int pid) : pid_(pid) {}

  // The directory of init's cgroup in the hierarchy of `location`; empty when it can't be told.
  std::string directory(const plan::CgroupLocation& location) {
    if (!text_) {
      text_ = sys::read_file(sys::kCwd, cat("/proc/", pid_, "/cgroup").c_str()).value_or("");
    }
    for (auto line : split(*text_, '\n')) {
      auto rest = split_once(line, ':').second;
      auto [controllers, path] = split_once(rest, ':');
      if (controllers != (location.v2 ? std::string_view() : location.controllers)) continue;
      if (path.empty() || path.find("/../") != path.npos) return {};
      return cat(hierarchy_root(location.directory), path);
    }
    return {};
  }

 private:
  // The topmost directory that is of the same file system, going up over what may be gone already.
  static std::string hierarchy_root(std::string at) {
    std::string root = at;
    std::optional<std::uint64_t> device;
    for (; at.size() > 1; at = split_path(at).first) {
      auto info = sys::fstatat(sys::kCwd, at.c_str());
      if (!info) continue;
      if (device && *device != info->st_dev) break;
      device = info->st_dev;
      root = at;
    }
    return root;
  }

  int pid_;
  std::optional<std::string> text_;
};

ErrnoOr<Fd> open_location(const std::string& directory, bool v2) {
  if (!v2) return sys::openat(sys::kCwd, cat(directory, "/tasks").c_str(), O_WRONLY);
  return sys::openat(sys::kCwd, directory.c_str(), O_RDONLY | O_DIRECTORY);
}

// A v2 cgroup that hands controllers down takes no process itself (cgroup-v2.rst, "No Internal
// Process Constraint"); joining would be EBUSY.
bool takes_processes(const std::string& directory, bool v2) {
  if (!v2) return true;
  auto enabled = read_control(directory, "cgroup.subtree_control");
  return !enabled || enabled->empty();
}

Error join_error(Errno error, const std::string& directory) {
  const char* cure = error.value == EACCES || error.value == EPERM
                         ? "Run as the user who started the container, or as root."
                         : "Look whether something removed or moved the container's cgroup.";
  return Error(error)
      .step("cgroup")
      .doing("open cgroup ", directory, " for joining")
      .cure(cure)
      .code("cgroup.join");
}

}  // namespace

Result<CgroupSet> open_cgroups(const plan::CgroupLocations& cgroups, int init_pid) {
  CgroupSet set;
  InitCgroups init(init_pid);
  for (const auto& location : cgroups) {
    std::string directory = location.directory;
    auto opened = open_location(directory, location.v2);
    const bool gone = !opened && is_gone(opened.error());
    if (gone || (opened && !takes_processes(directory, location.v2))) {
      std::string present = init.directory(location);
      if (!present.empty() && present != directory) {
        directory = std::move(present);
        opened = open_location(directory, location.v2);
      }
    }
    if (!opened) return std::unexpected(join_error(opened.error(), directory));
    (location.v2 ? set.unified_fd : set.task_fds.emplace_back(-1)) = opened->number();
    set.held.push_back(*std::move(opened));
    set.locations.push_back({location.controllers, std::move(directory), location.v2});
  }
  return set;
}

}  // namespace caisson::linux
