// Control files of one cgroup directory: what cgroup*.cc have in common. Not for other files.
#pragma once

#include <errno.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"
#include "plan/plan.h"

namespace caisson::linux {

enum class CgroupFs { kNone, kV1, kV2 };
// What the file system of an open file or directory is, by its magic number.
ErrnoOr<CgroupFs> cgroup_fs(FdRef file);

template <typename Range, typename Value>
bool contains(const Range& range, const Value& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

// The cgroup was removed: ENOENT by its path, ENODEV on the way there or by a descriptor.
inline bool is_gone(Errno error) { return error.value == ENOENT || error.value == ENODEV; }

// "pids" in "cpu,pids".
bool lists_controller(std::string_view controllers, std::string_view name);

// "/a/b" + "c" of the absolute path "/a/b/c".
std::pair<std::string, std::string> split_path(const std::string& path);
// An absolute path without "", "." and ".." in it.
bool is_clean_absolute(std::string_view path);

// A small control file's content, without white space at its ends.
ErrnoOr<std::string> read_control(const std::string& directory, std::string_view file);
ErrnoOr<> write_control(const std::string& directory, std::string_view file,
                        std::string_view value);

// The number after `key` in a file of "key number" lines (cgroup-v2.rst, "flat keyed").
std::optional<std::uint64_t> keyed_number(std::string_view text, std::string_view key);

// Adds the process ids of a cgroup and of all cgroups in it. A directory that is gone has none.
ErrnoOr<> collect_processes(const std::string& directory, std::vector<int>& out);
// Ascending, each once.
void sort_unique(std::vector<int>& ids);

// Removes the cgroups nested in `dir`, deepest first, as far as they are unused; the container may
// have made them to any depth. Returns early when the deadline passes.
ErrnoOr<> remove_nested_cgroups(FdRef dir, const Deadline& deadline);

// Sends a signal to the processes of the cgroups, never to the caller. Returns how many there were.
// One that can't be signalled does not spare the others.
Result<std::size_t> signal_members(const plan::CgroupLocations& cgroups, int signal);

// What limits are applied to, in cgroup.cc.
struct LimitTarget {
  const plan::CgroupDirectory& step;
  const std::string& path;         // of the directory
  const std::string& not_enabled;  // v2: why controllers are missing, if any
};
// Makes the directory's writes in their order.
Result<> apply_writes(const LimitTarget& target);

// The permission, absence or read-only state that makes a hierarchy unusable for us as a whole.
bool is_refusal(int errno_value);

void sleep_ns(std::int64_t ns);

// --- cgroup_v1.cc
// -----------------------------------------------------------------------------------

// Fills cpus and mems of a new v1 cpuset from its parents, up to the mount point.
ErrnoOr<> inherit_cpuset(const std::string& directory, const std::string& mount_point);
// New cpusets below take cpus and mems over by themselves.
void let_children_inherit_cpuset(const std::string& directory);

// The line for devices.allow or devices.deny: "c 1:3 rwm".
std::vector<std::string> device_lines(const plan::CgroupDevice& rule);
Result<> apply_device_files(const std::string& directory,
                            const std::vector<plan::CgroupDevice>& rules);
// The same for a cgroup in use: what is allowed before and after stays allowed in between.
Result<> change_device_files(const std::string& directory,
                             const std::vector<plan::CgroupDevice>& rules);

// One line for devices.allow or devices.deny.
struct DeviceChange {
  bool allow = false;
  std::string line;
  friend bool operator==(const DeviceChange&, const DeviceChange&) = default;
};
// From what devices.list shows to what the rules, which begin with a denial of everything, leave.
// Allowances come first.
std::vector<DeviceChange> device_changes(std::string_view list,
                                         const std::vector<plan::CgroupDevice>& rules);

Result<> freeze_v1(const std::string& directory, const Deadline& deadline);
Result<> thaw_v1(const std::string& directory, const Deadline& deadline);

// --- cgroup_v2.cc
// -----------------------------------------------------------------------------------

// Enables controllers for `directory` in all its parents up to the mount point. What the kernel
// does not permit is told in words, for the error of a later write that needs it; "" is full
// success.
std::string enable_controllers(const std::string& directory, const std::string& mount_point,
                               std::span<const std::string> controllers);

// Makes the user the owner of a cgroup and of the files in it that the kernel leaves to him
// (/sys/kernel/cgroup/delegate).
ErrnoOr<> hand_over(const std::string& directory, std::uint32_t uid);

// Freezes or thaws, and waits for the kernel's word that it is so.
Result<> set_frozen_v2(const std::string& directory, bool frozen, const Deadline& deadline);

}  // namespace caisson::linux
