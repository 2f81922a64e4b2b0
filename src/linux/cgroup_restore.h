// Giving control files their former values again. Internal to cgroup_update.cc; apart for its test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caisson::linux {

// What to write to `file`, which held `before`, after `written` was written to it. Files that hold
// a line per device or interface get the line of that one only.
std::vector<std::string> restoring_values(std::string_view file, std::string_view before,
                                          std::string_view written);

}  // namespace caisson::linux
