// SpecialNode: how a file system opens its FIFOs and device nodes. The ends of a FIFO meet at its
// inode, devices are the sandbox's own; nothing of this is the host's.
#pragma once

#include "base/mutex.h"
#include "sandbox/fs/special.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class SpecialNode {
 public:
  // ENXIO: sockets, block devices, devices without a driver (or `special` null).
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::Inode& inode, SpecialFiles* special,
                               std::uint32_t flags, vfs::Caller& caller);

 private:
  Mutex mutex_;
  Ref<FifoNode> fifo_;  // from the first open on
};

}  // namespace caisson::sandbox::fs
