#include "library/state_root.h"

#include <linux/capability.h>

#include "sys/file.h"
#include "sys/process.h"

namespace caisson::library {

bool is_privileged() { return sys::geteuid() == 0 && sys::has_effective_capability(CAP_SYS_ADMIN); }

Result<> prepare_state_root(const std::string& root, bool well_known) {
  if (root.empty() || root[0] != '/' || root == "/") {
    return std::unexpected(Error::invalid("the state directory must be an absolute path below /")
                               .where("--root ", root)
                               .code("root.invalid"));
  }
  // The sticky bit keeps what ages files below $XDG_RUNTIME_DIR away (XDG base directory
  // specification).
  std::uint32_t mode = well_known && sys::geteuid() != 0 ? 01700 : 0700;
  TRY_CTX(sys::make_directories(root, mode), "make the state directory ", root);
  if (!well_known) return {};
  Fd dir = TRY_CTX(sys::openat(sys::kCwd, root.c_str(), O_DIRECTORY | O_NOFOLLOW | O_PATH),
                   "open the state directory ", root);
  struct stat info = TRY_CTX(sys::fstat(dir), "look at the state directory ", root);
  if (info.st_uid != sys::geteuid() || (info.st_mode & 022) != 0) {
    return std::unexpected(
        Error::with_cause(EPERM, "it belongs to somebody else, or others may write it")
            .doing("use the state directory ", root)
            .cure("remove it, or choose another place with --root DIR")
            .code("root.unsafe"));
  }
  return {};
}

}  // namespace caisson::library
