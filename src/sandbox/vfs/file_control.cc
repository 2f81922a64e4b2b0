#include <fcntl.h>

#include <cerrno>

#include "sandbox/vfs/file.h"

namespace caisson::sandbox::vfs {

ErrnoOr<std::int64_t> File::control(Caller&, int command, std::uint64_t) {
  bool of_pipes = command == F_SETPIPE_SZ || command == F_GETPIPE_SZ;
  return std::unexpected(Errno{of_pipes ? EBADF : EINVAL});
}

ErrnoOr<Ref<File>> File::reopen(std::uint32_t, Caller&) { return std::unexpected(Errno{ENXIO}); }

}  // namespace caisson::sandbox::vfs
