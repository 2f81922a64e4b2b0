// Removing a container's cgroup with all that is left in it.
#include <signal.h>

#include <algorithm>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "linux/cgroup_mark.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

constexpr int kRemoveTimeoutMs = 5000;

Error refusal(const std::string& directory, std::string_view why) {
  return Error::invalid(std::string(why))
      .doing("remove cgroup ", directory)
      .cure("Remove it by hand if it is what you want to lose.")
      .code("cgroup.remove");
}

Error removal_error(Errno error, const std::string& directory) {
  const char* cure = "Remove it with rmdir when nothing uses it any more.";
  if (error.value == EACCES || error.value == EPERM) {
    cure = "Run as the user who started the container, or as root.";
  } else if (error.value == EROFS) {
    cure = "Mount the cgroup file system writable.";
  }
  return Error(error).doing("remove cgroup ", directory).cure(cure).code("cgroup.remove");
}

Error still_busy(const std::string& directory) {
  std::vector<int> left;
  (void)collect_processes(directory, left);
  sort_unique(left);
  if (left.empty()) {
    return Error::with_cause(EBUSY, "the kernel keeps it busy though no process is in it")
        .doing("remove cgroup ", directory)
        .cure("Look for something mounted on it or on a cgroup in it.")
        .code("cgroup.remove");
  }
  return Error::with_cause(
             EBUSY, cat(left.size(), " process(es) did not end after SIGKILL: ",
                        join(std::span(left).first(std::min<std::size_t>(left.size(), 8)), " ")))
      .doing("remove cgroup ", directory)
      .cure(
          "They wait in the kernel (state D), mostly for a device or a network file system; "
          "remove the container again when they are gone.")
      .code("cgroup.remove");
}

// Ends what runs in the directory, as far as one round does it.
Result<> kill_members(const std::string& directory, bool v2) {
  if (v2 && write_control(directory, "cgroup.kill", "1")) return {};
  plan::CgroupLocations here{{"", directory, v2}};
  // The directory may be of the v1 freezer; elsewhere the file does not exist.
  if (!v2) (void)write_control(directory, "freezer.state", "FROZEN");
  auto sent = signal_members(here, SIGKILL);
  if (!v2) (void)write_control(directory, "freezer.state", "THAWED");
  if (!sent) return std::unexpected(std::move(sent).error());
  return {};
}

Result<> refuse_own_cgroup(const std::string& directory) {
  std::vector<int> members;
  TRY_CTX(collect_processes(directory, members), "list the processes of ", directory);
  if (!contains(members, sys::getpid())) return {};
  return std::unexpected(refusal(directory, "this command itself runs in it"));
}

// In use: kill, remove what is nested, and try again until the kernel has let go.
Result<> remove_used(FdRef parent, const std::string& name, const std::string& directory) {
  auto opened = sys::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && opened.error().value == ENOENT) return {};
  if (!opened) return std::unexpected(removal_error(opened.error(), directory));
  const CgroupFs fs = TRY_CTX(cgroup_fs(*opened), "remove cgroup ", directory);
  const auto inner = TRY_CTX(sys::fstat(*opened), "remove cgroup ", directory);
  const auto outer = TRY_CTX(sys::fstatat(parent, "", AT_EMPTY_PATH), "remove cgroup ", directory);
  if (fs == CgroupFs::kNone || inner.st_dev != outer.st_dev) {
    return std::unexpected(refusal(directory, "something is mounted there"));
  }
  TRY(refuse_own_cgroup(directory));
  const Deadline deadline = Deadline::in_ms(kRemoveTimeoutMs);
  std::int64_t delay_ns = 100'000;
  for (;;) {
    TRY(kill_members(directory, fs == CgroupFs::kV2));
    auto nested = remove_nested_cgroups(*opened, deadline);
    if (!nested && nested.error().value != ETIMEDOUT && !is_gone(nested.error())) {
      return std::unexpected(removal_error(nested.error(), directory));
    }
    auto removed = sys::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
    if (removed || removed.error().value == ENOENT) return {};
    if (removed.error().value != EBUSY && removed.error().value != ENOTEMPTY) {
      return std::unexpected(removal_error(removed.error(), directory));
    }
    if (deadline.passed()) return std::unexpected(still_busy(directory));
    sleep_ns(delay_ns);
    delay_ns = std::min<std::int64_t>(delay_ns * 2, 50'000'000);
  }
}

// Parents that were made for containers go with the last of them. rmdir(2) spares those in use.
void remove_marked_parents(std::string directory) {
  for (;;) {
    directory = split_path(directory).first;
    if (!is_marked(directory)) return;
    if (!sys::unlinkat(sys::kCwd, directory.c_str(), AT_REMOVEDIR)) return;
  }
}

}  // namespace

Result<> remove_cgroup(const std::string& directory) {
  if (!is_clean_absolute(directory)) {
    return std::unexpected(refusal(directory, "it is not a clean absolute path"));
  }
  auto [parent_path, name] = split_path(directory);
  auto parent = sys::openat(sys::kCwd, parent_path.c_str(), O_PATH | O_DIRECTORY);
  if (!parent && parent.error().value == ENOENT) return {};
  if (!parent) return std::unexpected(removal_error(parent.error(), directory));
  // A parent that is of cgroupfs also says that the directory is not the root of a hierarchy.
  if (TRY_CTX(cgroup_fs(*parent), "remove cgroup ", directory) == CgroupFs::kNone) {
    auto there = sys::faccessat(*parent, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW);
    if (!there && there.error().value == ENOENT) return {};
    return std::unexpected(refusal(directory, "it is not a cgroup below the root of a hierarchy"));
  }
  auto removed = sys::unlinkat(*parent, name.c_str(), AT_REMOVEDIR);
  if (!removed && removed.error().value != ENOENT) {
    if (removed.error().value != EBUSY && removed.error().value != ENOTEMPTY) {
      return std::unexpected(removal_error(removed.error(), directory));
    }
    TRY(remove_used(*parent, name, directory));
  }
  remove_marked_parents(directory);
  return {};
}

}  // namespace caisson::linux
