// The host's interfaces and routes at one moment, for guests that use its network.
#pragma once

#include "base/result.h"
#include "sandbox/net/interface.h"

namespace caisson::sandbox::net {

// Asked before the kernel process gives up its rights.
Result<Topology> topology_of_host();

}  // namespace caisson::sandbox::net
