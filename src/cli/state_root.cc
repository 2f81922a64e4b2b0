#include "cli/state_root.h"

#include <limits.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {

std::string default_state_root(Face face, std::string_view program) {
  std::string_view name = face == Face::kPeople ? "caisson" : program;
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  bool has_runtime_dir = runtime_dir != nullptr && runtime_dir[0] == '/';
  bool crun = face == Face::kEngine && dialect_of(program) == Dialect::kCrun;
  if (sys::geteuid() == 0 && !(crun && has_runtime_dir)) {
    // Root of a user namespace cannot write /run of the machine below.
    bool writable = sys::faccessat(sys::kCwd, "/run", W_OK).has_value();
    if (writable || !has_runtime_dir) return cat("/run/", name);
  }
  if (has_runtime_dir && sys::faccessat(sys::kCwd, runtime_dir, W_OK)) {
    return cat(std::string_view(runtime_dir), "/", name);
  }
  return cat(sys::geteuid() == 0 ? "/run/" : "/tmp/", name,
             sys::geteuid() == 0 ? std::string() : cat("-", sys::geteuid()));
}

Result<std::string> chosen_state_root(Face face, std::string_view given) {
  std::string path(given);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (face == Face::kPeople) return path;
  if (path == "/") {
    return std::unexpected(
        Error::invalid("Option --root argument should not be set to /").code("root.invalid"));
  }
  if (path.starts_with('/')) return path;
  char cwd[PATH_MAX];
  if (::getcwd(cwd, sizeof cwd) == nullptr) {
    return std::unexpected(Error(Errno{errno}).doing("find the current directory"));
  }
  return path.empty() ? std::string(cwd) : cat(std::string_view(cwd), "/", path);
}

Result<> prepare_state_root(const Context& context) {
  const std::string& root = context.root;
  if (root.empty() || root[0] != '/' || root == "/") {
    return std::unexpected(Error::invalid("the state directory must be an absolute path below /")
                               .where("--root ", root)
                               .code("root.invalid"));
  }
  // The sticky bit keeps what ages files below $XDG_RUNTIME_DIR away (XDG base directory
  // specification).
  std::uint32_t mode = context.default_root && sys::geteuid() != 0 ? 01700 : 0700;
  TRY_CTX(sys::make_directories(root, mode), "make the state directory ", root);
  if (!context.default_root) return {};
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

}  // namespace caisson::cli
