// The processes of a container as those outside are told of them (plan/guest.h).
#pragma once

#include <vector>

#include "plan/guest.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

// With the ids of the container's pid namespace, in their order.
std::vector<plan::GuestProcess> guest_processes(kernel::Kernel& kernel,
                                                const kernel::Container& container);

// Whether the container's init would never notice the signal: left at its default, which does
// nothing to an init, and not held back to be read.
bool init_drops(kernel::Kernel& kernel, const kernel::Container& container, int signal);

}  // namespace caisson::sandbox::boot
