// The directory that holds a folder per container, and who may use it.
#pragma once

#include <string>

#include "base/result.h"

namespace caisson::library {

// Root's id and CAP_SYS_ADMIN in effect: may mount on this machine and hand out other ids.
bool is_privileged();

// Makes the directory, for us alone. `well_known`: others could have made it before us, so that one
// that somebody else owns or may write is refused.
Result<> prepare_state_root(const std::string& root, bool well_known);

}  // namespace caisson::library
