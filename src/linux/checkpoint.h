// Saving and restoring a container by CRIU.
#pragma once

#include "base/result.h"
#include "plan/executor.h"

namespace caisson::linux {

Result<> checkpoint_container(const plan::CheckpointRequest& request);
Result<plan::CreateResult> restore_container(plan::RestoreRequest& request);

}  // namespace caisson::linux
