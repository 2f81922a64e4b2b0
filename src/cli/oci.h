// What the commands of the engines' face share.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/args.h"

namespace caisson::cli {

// The descriptors of --preserve-fds and of socket activation (LISTEN_FDS in the environment), which
// stand side by side from 3 on; the variables of the latter are appended to `env`.
Result<int> preserved_fds(const Arguments& arguments, std::vector<std::string>& env);

}  // namespace caisson::cli
