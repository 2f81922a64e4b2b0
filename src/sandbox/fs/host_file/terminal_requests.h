// Which ioctl requests of a guest reach a descriptor of the host. Not job control: sessions and
// foreground groups are the guest's own.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/vfs/caller.h"

namespace caisson::sandbox::fs {

class HostDescriptor;

// ENOTTY for what is not on the list, or not for this kind of file.
ErrnoOr<std::int64_t> forward_request(HostDescriptor& host, vfs::Caller& caller,
                                      std::uint32_t request, std::uint64_t argument);

}  // namespace caisson::sandbox::fs
