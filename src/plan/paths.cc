#include "plan/paths.h"

#include "base/text.h"

namespace caisson::plan {

std::string clean_path(std::string_view path) {
  std::string out;
  for (std::string_view component : split(path, '/')) {
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
      continue;
    }
    append(out, '/', component);
  }
  return out.empty() ? "/" : out;
}

bool below(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.size() > 1;
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

bool at_or_below(std::string_view path, std::string_view directory) {
  return path == directory || below(path, directory);
}

std::string join_path(std::string_view directory, std::string_view name) {
  while (name.starts_with('/')) name.remove_prefix(1);
  std::string out(directory);
  if (!out.ends_with('/')) out += '/';
  out += name;
  return out;
}

bool climbs(std::string_view path) {
  for (std::string_view component : split(path, '/')) {
    if (component == "..") return true;
  }
  return false;
}

}  // namespace caisson::plan
