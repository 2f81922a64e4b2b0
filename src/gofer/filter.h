// The system calls that the gofer needs, with the arguments that it gives them; every other one
// ends it at once.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace caisson::gofer {

// The seccomp program.
std::vector<sock_filter> filter();
// Loads it for this process, for good. no_new_privs is set.
ErrnoOr<> load_filter();

}  // namespace caisson::gofer
