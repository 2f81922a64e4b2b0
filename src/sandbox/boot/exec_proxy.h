// exec into a sandbox. The program runs in the sandbox's kernel, where no process of the host
// stands for it; whoever waits for it, signals it and has its exit status needs one. The proxy is
// that one: it passes signals in and ends as the program ends.
#pragma once

#include "plan/executor.h"

namespace caisson::sandbox::boot {

// The handle is the proxy's, a child of ours.
Result<plan::ProcessHandle> exec_in_sandbox(plan::ExecRequest& request);

}  // namespace caisson::sandbox::boot
