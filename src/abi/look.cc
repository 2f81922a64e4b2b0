// caisson_state_get, list, ps, config, resources, stats, usage, features.
#include <cstdlib>

#include "abi/call.h"
#include "library/events_json.h"
#include "library/features.h"
#include "spec/oci_writer.h"

namespace caisson::abi {
namespace {

// What stands behind the caller's pointer.
struct OwnedState {
  caisson_state shown{};
  std::string id, bundle, rootfs, problem;

  void show() {
    shown.size = sizeof shown;
    shown.id = id.c_str();
    shown.bundle = bundle.c_str();
    shown.rootfs = rootfs.c_str();
    shown.problem = problem.c_str();
  }
};
static_assert(offsetof(OwnedState, shown) == 0);

struct OwnedList {
  caisson_list shown{};
  std::vector<std::unique_ptr<OwnedState>> states;
  std::vector<const caisson_state*> pointers;
};

int status_number(container::Status status) {
  switch (status) {
    case container::Status::kCreating: return CAISSON_CREATING;
    case container::Status::kCreated: return CAISSON_CREATED;
    case container::Status::kRunning: return CAISSON_RUNNING;
    case container::Status::kPaused: return CAISSON_PAUSED;
    case container::Status::kStopped: return CAISSON_STOPPED;
  }
  return CAISSON_BROKEN;
}

std::unique_ptr<OwnedState> owned_state(const container::Snapshot& snapshot) {
  auto out = std::make_unique<OwnedState>();
  out->id = snapshot.state.id;
  out->bundle = snapshot.state.bundle;
  out->rootfs = snapshot.state.rootfs;
  out->shown.status = status_number(snapshot.status);
  out->shown.pid = snapshot.pid();
  out->shown.created_ns = snapshot.state.created;
  out->shown.owner = snapshot.state.owner;
  out->shown.has_exit = snapshot.exit ? 1 : 0;
  out->shown.exit = exit_of(snapshot.exit.value_or(container::Exit()));
  out->show();
  return out;
}

std::unique_ptr<OwnedState> broken_state(const container::ListEntry& entry) {
  auto out = std::make_unique<OwnedState>();
  out->id = entry.id;
  out->problem = entry.problem;
  out->shown.status = CAISSON_BROKEN;
  out->shown.exit = exit_of({});
  out->show();
  return out;
}

Result<> state(const caisson_runtime* runtime, const char* id, caisson_state** out) {
  Call call(*runtime);
  auto snapshot = TRY(container::query(call.context(), TRY(required(id, "id"))));
  *out = &owned_state(snapshot).release()->shown;
  return {};
}

Result<> list(const caisson_runtime* runtime, caisson_list** out) {
  Call call(*runtime);
  auto entries = TRY(container::list(call.context()));
  auto found = std::make_unique<OwnedList>();
  for (const auto& entry : entries) {
    found->states.push_back(entry.snapshot ? owned_state(*entry.snapshot) : broken_state(entry));
    found->pointers.push_back(&found->states.back()->shown);
  }
  found->shown = {sizeof(caisson_list), found->pointers.size(), found->pointers.data()};
  *out = &found.release()->shown;
  return {};
}

Result<> ps(const caisson_runtime* runtime, const char* id, std::int32_t** pids,
            std::size_t* count) {
  Call call(*runtime);
  auto found = TRY(container::processes(call.context(), TRY(required(id, "id"))));
  auto* out = static_cast<std::int32_t*>(std::calloc(found.size() + 1, sizeof **pids));
  if (out == nullptr) std::abort();
  std::ranges::copy(found, out);
  *pids = out;
  *count = found.size();
  return {};
}

Result<> stats(const caisson_runtime* runtime, const char* id, caisson_stats* out) {
  if (out == nullptr) return std::unexpected(bad_argument("stats", "is NULL"));
  Call call(*runtime);
  auto is = TRY(container::stats(call.context(), TRY(required(id, "id"))));
  auto figure = [](const std::optional<std::uint64_t>& value) {
    return value.value_or(CAISSON_ABSENT);
  };
  caisson_stats to{};
  to.cpu_usage_ns = figure(is.cpu_usage_ns);
  to.cpu_user_ns = figure(is.cpu_user_ns);
  to.cpu_system_ns = figure(is.cpu_system_ns);
  to.cpu_periods = figure(is.cpu_periods);
  to.cpu_throttled_periods = figure(is.cpu_throttled_periods);
  to.cpu_throttled_ns = figure(is.cpu_throttled_ns);
  to.memory_bytes = figure(is.memory_bytes);
  to.memory_limit_bytes = figure(is.memory_limit_bytes);
  to.memory_peak_bytes = figure(is.memory_peak_bytes);
  to.memory_cache_bytes = figure(is.memory_cache_bytes);
  to.memory_failures = figure(is.memory_failures);
  to.oom_kills = figure(is.oom_kills);
  to.swap_bytes = figure(is.swap_bytes);
  to.pids = figure(is.pids);
  to.pids_limit = figure(is.pids_limit);
  to.read_bytes = figure(is.read_bytes);
  to.written_bytes = figure(is.written_bytes);
  to.read_ops = figure(is.read_ops);
  to.write_ops = figure(is.write_ops);
  return write_structure(out, to);
}

using TextOf = Result<std::string> (*)(container::Context& context, const std::string& id);

Result<> text(const caisson_runtime* runtime, const char* id, char** out, TextOf text_of) {
  if (out == nullptr) return std::unexpected(bad_argument("json", "is NULL"));
  *out = nullptr;
  Call call(*runtime);
  *out = owned_text(TRY(text_of(call.context(), TRY(required(id, "id")))));
  return {};
}

Result<std::string> state_text(container::Context& context, const std::string& id) {
  return container::state_json(TRY(container::query(context, id)));
}
Result<std::string> config_text(container::Context& context, const std::string& id) {
  return container::config_text(context, id);
}
Result<std::string> resources_text(container::Context& context, const std::string& id) {
  return spec::write_oci_resources(TRY(container::present_resources(context, id)));
}
Result<std::string> usage_text(container::Context& context, const std::string& id) {
  return library::stats_event(id, TRY(container::usage(context, id)));
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_state_get(const caisson_runtime* runtime, const char* id, caisson_state** state,
                      caisson_error** error) {
  if (state != nullptr) *state = nullptr;
  return caisson::abi::finish(state == nullptr
                                  ? std::unexpected(caisson::abi::bad_argument("state", "is NULL"))
                                  : caisson::abi::state(runtime, id, state),
                              error);
}
void caisson_state_free(caisson_state* state) {
  delete reinterpret_cast<caisson::abi::OwnedState*>(state);
}
int caisson_state_json(const caisson_runtime* runtime, const char* id, char** json,
                       caisson_error** error) {
  return caisson::abi::finish(caisson::abi::text(runtime, id, json, caisson::abi::state_text),
                              error);
}
int caisson_list_get(const caisson_runtime* runtime, caisson_list** list, caisson_error** error) {
  if (list != nullptr) *list = nullptr;
  return caisson::abi::finish(list == nullptr
                                  ? std::unexpected(caisson::abi::bad_argument("list", "is NULL"))
                                  : caisson::abi::list(runtime, list),
                              error);
}
void caisson_list_free(caisson_list* list) {
  delete reinterpret_cast<caisson::abi::OwnedList*>(list);
}
int caisson_ps(const caisson_runtime* runtime, const char* id, int32_t** pids, size_t* count,
               caisson_error** error) {
  bool good = pids != nullptr && count != nullptr;
  if (good) *pids = nullptr;
  return caisson::abi::finish(
      good ? caisson::abi::ps(runtime, id, pids, count)
           : std::unexpected(caisson::abi::bad_argument("pids or count", "is NULL")),
      error);
}
int caisson_config(const caisson_runtime* runtime, const char* id, char** json,
                   caisson_error** error) {
  return caisson::abi::finish(caisson::abi::text(runtime, id, json, caisson::abi::config_text),
                              error);
}
int caisson_resources(const caisson_runtime* runtime, const char* id, char** json,
                      caisson_error** error) {
  return caisson::abi::finish(caisson::abi::text(runtime, id, json, caisson::abi::resources_text),
                              error);
}
int caisson_stats_get(const caisson_runtime* runtime, const char* id, caisson_stats* stats,
                      caisson_error** error) {
  return caisson::abi::finish(caisson::abi::stats(runtime, id, stats), error);
}
int caisson_usage_json(const caisson_runtime* runtime, const char* id, char** json,
                       caisson_error** error) {
  return caisson::abi::finish(caisson::abi::text(runtime, id, json, caisson::abi::usage_text),
                              error);
}
int caisson_features(char** json, caisson_error** error) {
  if (json == nullptr) {
    return caisson::abi::finish(std::unexpected(caisson::abi::bad_argument("json", "is NULL")),
                                error);
  }
  *json = caisson::abi::owned_text(caisson::library::features_json("    "));
  return caisson::abi::finish({}, error);
}
}
