// The executor that carries plans out on the host's kernel.
#pragma once

#include <memory>

#include "plan/executor.h"

namespace caisson::linux {

std::unique_ptr<plan::Executor> make_executor();

// Those that are long enough for files of their own: create.cc, exec.cc, mount_change.cc.
class EarlyNetwork;
// `network`: one that is in the making, or null.
Result<plan::CreateResult> create_container(plan::CreateRequest& request, EarlyNetwork* network);
Result<plan::ProcessHandle> exec_in_container(plan::ExecRequest& request);
Result<> change_container_mounts(const plan::MountChange& change);

}  // namespace caisson::linux
