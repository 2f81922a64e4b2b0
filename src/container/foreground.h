// Waiting for a program in the foreground: signals are passed on to it, its terminal is proxied.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"
#include "plan/executor.h"

namespace caisson::container {

// Waits for the end of `process`, a child of ours. Every signal that we can catch goes to it
// meanwhile, but SIGCHLD, SIGURG and SIGPIPE, and SIGWINCH when there is a terminal to resize.
// `console`: receives the pty master; -1: the program has our own descriptors. `stdio` as for the
// start.
Result<Exit> wait_in_foreground(const plan::ProcessHandle& process, FdRef console,
                                const plan::Stdio& stdio);

}  // namespace caisson::container
