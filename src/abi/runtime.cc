#include "abi/call.h"
#include "library/state_root.h"

namespace caisson::abi {
namespace {

constexpr std::uint32_t kFlags = CAISSON_SYSTEMD_CGROUP | CAISSON_NO_CGROUPS | CAISSON_SHARE_MEMORY;

Result<caisson_runtime> open_runtime(const caisson_runtime_options* given) {
  auto options = TRY(read_structure(given, caisson_runtime_options CAISSON_RUNTIME_OPTIONS_INIT));
  TRY(check_flags(options.flags, kFlags));
  caisson_runtime out;
  out.root = TRY(required(options.root, "root"));
  while (out.root.size() > 1 && out.root.ends_with('/')) out.root.pop_back();
  if (options.lock_timeout_ms < 0) {
    return std::unexpected(bad_argument("lock_timeout_ms", "is negative"));
  }
  TRY(library::prepare_state_root(out.root, false));
  out.flags = options.flags;
  out.lock_timeout_ms = options.lock_timeout_ms;
  out.on_warning = options.on_warning;
  out.user = options.user;
  out.rootless = !library::is_privileged();
  return out;
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_runtime_open(const caisson_runtime_options* options, caisson_runtime** runtime,
                         caisson_error** error) {
  using namespace caisson;
  return abi::finish(
      [&]() -> Result<> {
        if (runtime == nullptr) return std::unexpected(abi::bad_argument("runtime", "is NULL"));
        *runtime = nullptr;
        *runtime = new caisson_runtime(TRY(abi::open_runtime(options)));
        return {};
      }(),
      error);
}

void caisson_runtime_close(caisson_runtime* runtime) { delete runtime; }
}
