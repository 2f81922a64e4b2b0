#include <cerrno>

#include "sandbox/platform/platform.h"

namespace caisson::sandbox::platform {

Result<std::unique_ptr<Platform>> make_systrap() {
  return std::unexpected(Error::with_cause(ENOSYS, "this build has the ptrace platform only"));
}

}  // namespace caisson::sandbox::platform
