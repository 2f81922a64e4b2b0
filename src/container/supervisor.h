// Supervisors: daemons of ours, one for each detached container that no engine watches.
#pragma once

#include <functional>

#include "base/result.h"
#include "container/api.h"
#include "container/monitor.h"

namespace caisson::container {

// Runs the container under a new supervisor. Returns when the program runs, or why it does not.
Result<RunResult> run_supervised(Context& context, const RunOptions& options);

// Starts a daemon: detached from our session, terminal, working directory and inherited
// descriptors, and no child of ours. `main` runs in it; what it returns is the value of this
// function, or its Error; with a Watched the daemon stays and runs the Monitor over it. Warnings
// and steps of the timeline that `main` gives to its context reach ours.
struct DaemonStart {
  int value = 0;
  std::optional<Watched> watched;
};
using DaemonMain = std::function<Result<DaemonStart>(Context&)>;
// `keep_fds`: descriptors 3..2+n stay open until `main` returned.
Result<int> start_daemon(Context& context, const DaemonMain& main, int keep_fds);

// Gives back what an idle supervisor does not need: free heap, clean pages of the program file.
void trim_memory();

}  // namespace caisson::container
