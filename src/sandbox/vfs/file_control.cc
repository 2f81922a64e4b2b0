#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "sandbox/vfs/file.h"

namespace caisson::sandbox::vfs {

ErrnoOr<std::int64_t> File::control(Caller&, int command, std::uint64_t) {
  bool of_pipes = command == F_SETPIPE_SZ || command == F_GETPIPE_SZ;
  return std::unexpected(Errno{of_pipes ? EBADF : EINVAL});
}

const void* File::shared_object() {
  if (inode_ != nullptr) return &inode_->data_inode();
  return this;
}

Ref<File> File::inherited_by_mapping() { return Ref<File>::share(this); }

Ref<RefCounted> File::owner() const {
  Locked lock(watcher_mutex_);
  return owner_;
}

void File::set_owner(Ref<RefCounted> owner) {
  Locked lock(watcher_mutex_);
  std::swap(owner_, owner);
}

ErrnoOr<Ref<File>> File::reopen(std::uint32_t, Caller&) { return std::unexpected(Errno{ENXIO}); }

}  // namespace caisson::sandbox::vfs
