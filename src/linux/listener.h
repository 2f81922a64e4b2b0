// Fetches the listener of a seccomp filter from the launcher that loads it (ListenerPage).
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"

namespace caisson::linux {

// Gives the listener to `deliver` and lets the launcher go on to the program; after an error the
// launcher ends. `page` is the file that came with LaunchWhat::kListener, `pid` and `pidfd` name
// the launcher's process. Bounded by `timeout_ms`, `deliver` apart.
Result<> pass_listener_on(FdRef page, int pid, FdRef pidfd, int timeout_ms,
                          const plan::ListenerFunction& deliver);

}  // namespace caisson::linux
