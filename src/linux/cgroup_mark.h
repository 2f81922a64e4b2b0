// The mark on directories that were made on the way to a container's cgroup and are nobody's own.
// It tells them from empty directories that an administrator made.
#pragma once

#include <string>

#include "sys/file.h"

namespace caisson::linux {

// An extended attribute, so that it lives as long as the directory and needs no file of ours.
inline constexpr const char* kMarkName = "user.caisson.parent";

// Where the kernel has no such attributes (before 5.7) the directory stays for good.
inline void mark(const std::string& directory) {
  (void)sys::setxattr(directory.c_str(), kMarkName, "1");
}
inline bool is_marked(const std::string& directory) {
  return sys::has_xattr(directory.c_str(), kMarkName).has_value();
}

}  // namespace caisson::linux
