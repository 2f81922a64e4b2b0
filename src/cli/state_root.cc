#include "cli/state_root.h"

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
  std::string cwd = TRY_CTX(sys::getcwd(), "find the current directory");
  return path.empty() ? cwd : cat(cwd, "/", path);
}

}  // namespace caisson::cli
