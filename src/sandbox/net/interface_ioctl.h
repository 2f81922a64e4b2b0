// SIOCGIF* (netdevice(7)): what programs ask any socket about interfaces.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/vfs/caller.h"

namespace caisson::sandbox::net {

class Network;

// ENOTTY: none of these requests.
ErrnoOr<std::int64_t> interface_ioctl(Network& network, vfs::Caller& caller, std::uint32_t request,
                                      std::uint64_t argument);

}  // namespace caisson::sandbox::net
