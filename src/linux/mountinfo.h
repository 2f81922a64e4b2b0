// /proc/PID/mountinfo as values (proc_pid_mountinfo(5)). Pure: text in, mounts out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/host_facts.h"

namespace caisson::linux {

struct MountInfo {
  plan::HostMount mount;      // what the line itself tells: not is_directory, not readable
  std::string device;         // of the file system: "0:35"
  std::string super_options;  // of the file system: "rw,cpu,cpuacct"
};

// The text with \ooo (what the kernel writes for blanks, line ends and backslashes) replaced.
std::string unescape_octal(std::string_view text);

Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text);

// Drops what a path walk from "/" does not reach: mounts under others and below covered
// directories.
std::vector<MountInfo> visible_mounts(std::vector<MountInfo> mounts);

}  // namespace caisson::linux
