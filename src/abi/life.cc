// caisson_wait, kill, stop, delete, pause, resume, update, resize.
#include "abi/call.h"
#include "spec/oci_config.h"
#include "spec/validate.h"

namespace caisson::abi {
namespace {

Result<> wait(const caisson_runtime* runtime, const char* id, int timeout_ms, caisson_exit* exit) {
  Call call(*runtime);
  auto ended = TRY(container::wait(call.context(), TRY(required(id, "id")), timeout_ms));
  return write_structure(exit, exit_of(ended));
}

Result<> kill(const caisson_runtime* runtime, const char* id, int signal, std::uint32_t flags) {
  Call call(*runtime);
  TRY(check_flags(flags, CAISSON_ALL));
  return container::kill(call.context(), TRY(required(id, "id")), signal, flags != 0);
}

Result<> stop(const caisson_runtime* runtime, const char* id, int signal, int grace_ms,
              caisson_exit* exit) {
  Call call(*runtime);
  if (grace_ms < 0) return std::unexpected(bad_argument("grace_ms", "is negative"));
  auto ended = TRY(container::stop(call.context(), TRY(required(id, "id")), signal, grace_ms));
  return write_structure(exit, exit_of(ended));
}

Result<> remove(const caisson_runtime* runtime, const char* id, std::uint32_t flags) {
  Call call(*runtime);
  TRY(check_flags(flags, CAISSON_FORCE));
  return container::remove(call.context(), TRY(required(id, "id")), flags != 0);
}

Result<> update(const caisson_runtime* runtime, const char* id, const char* resources) {
  Call call(*runtime);
  std::string name = TRY(required(id, "id"));
  auto change = TRY(spec::read_oci_resources(TRY(required(resources, "resources")), "resources"));
  TRY(spec::validate_resources(change, "resources"));
  return container::update(call.context(), name, change);
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_wait(const caisson_runtime* runtime, const char* id, int timeout_ms, caisson_exit* exit,
                 caisson_error** error) {
  return caisson::abi::finish(caisson::abi::wait(runtime, id, timeout_ms, exit), error);
}
int caisson_kill(const caisson_runtime* runtime, const char* id, int signal, uint32_t flags,
                 caisson_error** error) {
  return caisson::abi::finish(caisson::abi::kill(runtime, id, signal, flags), error);
}
int caisson_stop(const caisson_runtime* runtime, const char* id, int signal, int grace_ms,
                 caisson_exit* exit, caisson_error** error) {
  return caisson::abi::finish(caisson::abi::stop(runtime, id, signal, grace_ms, exit), error);
}
int caisson_delete(const caisson_runtime* runtime, const char* id, uint32_t flags,
                   caisson_error** error) {
  return caisson::abi::finish(caisson::abi::remove(runtime, id, flags), error);
}
int caisson_pause(const caisson_runtime* runtime, const char* id, caisson_error** error) {
  using namespace caisson;
  return abi::finish(
      [&]() -> Result<> {
        abi::Call call(*runtime);
        return container::pause(call.context(), TRY(abi::required(id, "id")));
      }(),
      error);
}
int caisson_resume(const caisson_runtime* runtime, const char* id, caisson_error** error) {
  using namespace caisson;
  return abi::finish(
      [&]() -> Result<> {
        abi::Call call(*runtime);
        return container::resume(call.context(), TRY(abi::required(id, "id")));
      }(),
      error);
}
int caisson_update(const caisson_runtime* runtime, const char* id, const char* resources,
                   caisson_error** error) {
  return caisson::abi::finish(caisson::abi::update(runtime, id, resources), error);
}
int caisson_resize(const caisson_runtime* runtime, const char* id, int rows, int columns,
                   caisson_error** error) {
  using namespace caisson;
  return abi::finish(
      [&]() -> Result<> {
        abi::Call call(*runtime);
        return container::resize(call.context(), TRY(abi::required(id, "id")), rows, columns);
      }(),
      error);
}
int caisson_parse_signal(const char* text, int* signal, caisson_error** error) {
  using namespace caisson;
  return abi::finish(
      [&]() -> Result<> {
        if (signal == nullptr) return std::unexpected(abi::bad_argument("signal", "is NULL"));
        *signal = TRY(container::parse_signal(TRY(abi::required(text, "text"))));
        return {};
      }(),
      error);
}
}
