#include "cli/oci.h"

#include "base/text.h"

namespace caisson::cli {

Result<std::string> cgroup_of_slice(std::string_view path) {
  if (path.empty()) return std::string();
  auto [slice, rest] = split_once(path, ':');
  auto [prefix, name] = split_once(rest, ':');
  constexpr std::string_view kSuffix = ".slice";
  bool good = !name.empty() && name.find('/') == std::string_view::npos &&
              slice.find('/') == std::string_view::npos &&
              (slice.empty() || slice == "-.slice" || slice.ends_with(kSuffix));
  if (!good) {
    return std::unexpected(Error::invalid(cat(quoted(path), " is not SLICE.slice:PREFIX:NAME"))
                               .where("linux.cgroupsPath")
                               .code("spec.invalid")
                               .cure("leave --systemd-cgroup out, or correct the path"));
  }
  std::string out;
  if (slice.empty()) slice = "system.slice";
  if (slice != "-.slice") {
    // A slice lies below those that its name's dashes name: "a-b.slice" below "a.slice".
    std::string_view stem = slice.substr(0, slice.size() - kSuffix.size());
    for (std::size_t dash = stem.find('-'); dash != std::string_view::npos;
         dash = stem.find('-', dash + 1)) {
      append(out, "/", stem.substr(0, dash), kSuffix);
    }
    append(out, "/", slice);
  }
  if (name.ends_with(kSuffix)) return cat(out, "/", name);
  return cat(out, "/", prefix, prefix.empty() ? "" : "-", name, ".scope");
}

}  // namespace caisson::cli
