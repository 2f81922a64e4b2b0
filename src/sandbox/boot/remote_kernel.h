// RemoteKernel: a sandbox's kernel as the host's side asks it, over the control socket.
#pragma once

#include <memory>

#include "plan/guest.h"

namespace caisson::sandbox::boot {

std::unique_ptr<plan::Sandbox> make_remote_kernel(const plan::SandboxAddress& address);

}  // namespace caisson::sandbox::boot
