// The executor of the sandbox: containers whose plan has a SandboxPlan get a kernel of our own in a
// jail that the host's executor builds; everything else is passed on to that one.
#pragma once

#include <memory>

#include "plan/executor.h"

namespace caisson::sandbox::boot {

std::unique_ptr<plan::Executor> make_executor(std::unique_ptr<plan::Executor> host);

}  // namespace caisson::sandbox::boot
