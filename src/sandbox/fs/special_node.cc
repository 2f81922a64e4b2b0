#include "sandbox/fs/special_node.h"

#include <cerrno>

namespace caisson::sandbox::fs {

ErrnoOr<Ref<vfs::File>> SpecialNode::open(const vfs::Path& path, vfs::Inode& inode,
                                          SpecialFiles* special, std::uint32_t flags,
                                          vfs::Caller& caller) {
  auto self = Ref<vfs::Inode>::share(&inode);
  if (inode.type() == S_IFIFO) {
    Locked lock(mutex_);
    if (!fifo_) fifo_ = make_fifo_node();
    auto fifo = fifo_;
    lock.unlock();
    return fifo->open(path, std::move(self), flags);
  }
  if (inode.type() != S_IFCHR || special == nullptr) return std::unexpected(Errno{ENXIO});
  std::uint64_t device = TRY(inode.attributes()).special_device;
  return special->open(path, std::move(self), device, flags, caller);
}

}  // namespace caisson::sandbox::fs
