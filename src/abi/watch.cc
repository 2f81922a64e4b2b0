// caisson_watch.
#include "abi/call.h"
#include "library/events_json.h"

namespace caisson::abi {
namespace {

Result<> answer(int value) {
  if (value == 0) return {};
  return std::unexpected(Error::with_cause(ECANCELED, "the caller wants no more events"));
}

Result<> watch(const caisson_runtime* runtime, const char* id,
               const caisson_watch_options* options) {
  Call call(*runtime);
  std::string name = TRY(required(id, "id"));
  auto given = TRY(read_structure(options, caisson_watch_options CAISSON_WATCH_OPTIONS_INIT));
  if (given.interval_ms <= 0) {
    return std::unexpected(bad_argument("interval_ms", "must be greater than 0"));
  }
  container::WatchOptions watch;
  watch.interval_ms = given.interval_ms;
  watch.on_usage = [&](const plan::Usage& usage) -> Result<> {
    if (given.on_usage == nullptr) return {};
    return answer(given.on_usage(library::stats_event(name, usage).c_str(), given.user));
  };
  watch.on_out_of_memory = [&]() -> Result<> {
    return given.on_out_of_memory == nullptr ? Result<>{}
                                             : answer(given.on_out_of_memory(given.user));
  };
  return container::watch(call.context(), name, watch);
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_watch(const caisson_runtime* runtime, const char* id,
                  const caisson_watch_options* options, caisson_error** error) {
  return caisson::abi::finish(caisson::abi::watch(runtime, id, options), error);
}
}
