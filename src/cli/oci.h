// What the commands of the engines' face share.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::cli {

// With --systemd-cgroup a cgroup path reads SLICE:PREFIX:NAME. The directory where systemd would
// put that unit: "machine-web.slice:libpod:12ab" ->
// "/machine.slice/machine-web.slice/libpod-12ab.scope". An empty path stays empty.
Result<std::string> cgroup_of_slice(std::string_view path);

}  // namespace caisson::cli
