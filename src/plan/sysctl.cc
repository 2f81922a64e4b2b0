#include <algorithm>

#include "base/text.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {

std::optional<std::string> sysctl_path(std::string_view key) {
  std::string path(key);
  auto first = path.find_first_of("./");
  if (first == std::string::npos)
    return std::nullopt;  // nothing settable stands in /proc/sys itself
  if (path[first] == '.') {
    for (char& c : path) c = c == '.' ? '/' : (c == '/' ? '.' : c);
  }
  for (std::string_view component : split(path, '/')) {
    if (component.empty() || component == "." || component == "..") return std::nullopt;
  }
  if (path.find('\0') != std::string::npos) return std::nullopt;
  return path;
}

Result<std::vector<SysctlStep>> plan_sysctls(const Input& in) {
  std::vector<SysctlStep> steps;
  for (const auto& [key, value] : in.os.sysctl) {
    auto path = sysctl_path(key);
    if (!path) {
      return std::unexpected(
          invalid(cat(quoted(key), " is not the name of a kernel setting")).where("linux.sysctl"));
    }
    steps.push_back({key, *std::move(path), value});
  }
  return steps;
}

}  // namespace caisson::plan
