// The verbs that only look: state, list, ps, stats, config.
#include <algorithm>

#include "base/clock.h"
#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/family.h"
#include "container/sandbox.h"
#include "formats/json.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

// The version of the runtime specification that the state complies with.
constexpr std::string_view kOciVersion = "1.3.0";

Snapshot snapshot_of(Container&& container) {
  return {std::move(container.state), container.status, container.exit};
}

Result<Container> look_at_living(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  if (is_alive(container.status)) return container;
  return std::unexpected(
      wrong_state(ESRCH, "container not running").doing("container ", quoted(id)));
}

}  // namespace

Result<Snapshot> query(Context& context, std::string_view id) {
  return snapshot_of(TRY(look_at(context, id)));
}

Result<std::vector<ListEntry>> list(Context& context) {
  std::vector<ListEntry> entries;
  auto root = sys::openat(sys::kCwd, context.root.c_str(), O_RDONLY | O_DIRECTORY);
  if (!root && root.error().value == ENOENT) return entries;
  if (!root) return std::unexpected(Error(root.error()).doing("open ", context.root));
  auto names = TRY_CTX(sys::list_directory(*root), "list ", context.root);
  std::ranges::sort(names);
  for (auto& name : names) {
    if (!check_id(name)) continue;
    auto snapshot = query(context, name);
    if (snapshot) {
      entries.push_back({std::move(name), std::move(*snapshot), {}});
    } else if (snapshot.error().code() != "container.missing") {
      entries.push_back({std::move(name), std::nullopt, snapshot.error().message()});
    }
  }
  return entries;
}

std::string state_json(const Snapshot& snapshot, std::string_view indent) {
  const State& state = snapshot.state;
  std::string out;
  formats::JsonWriter json(out, indent);
  json.begin_object();
  json.field("ociVersion", kOciVersion).field("id", state.id).field("pid", snapshot.pid());
  json.field("status", status_name(snapshot.status)).field("bundle", state.bundle);
  json.field("rootfs", state.rootfs).field("created", rfc3339(state.created));
  if (!state.systemd_scope.empty()) json.field("systemd-scope", state.systemd_scope);
  json.key("annotations").begin_object();
  for (const auto& [key, value] : state.annotations) json.field(key, value);
  json.end_object();
  json.field("owner", state.owner == 0 ? std::string("root") : cat(state.owner)).end_object();
  return out;
}

Result<std::vector<int>> processes(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  if (in_sandbox(container) && is_alive(container.status)) {
    std::vector<int> pids;
    for (const auto& process : TRY(guest_processes(context, id))) pids.push_back(process.pid);
    return pids;
  }
  // A stopped one has none, or those that its init left behind in a pid namespace of others.
  if (container.state.cgroups.empty()) {
    if (!is_alive(container.status)) return std::vector<int>();
    return family_of(container.state.init.pid);
  }
  return context.executor.processes(container.state.cgroups);
}

Result<std::vector<plan::GuestProcess>> guest_processes(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  bool runs = container.status == Status::kRunning || container.status == Status::kPaused;
  if (!in_sandbox(container) || !runs) return std::vector<plan::GuestProcess>();
  return TRY(reach_sandbox(context, container))->processes();
}

Result<plan::Stats> stats(Context& context, std::string_view id) {
  auto container = TRY(look_at_living(context, id));
  return context.executor.stats(container.state.cgroups);
}

Result<std::string> config_text(Context& context, std::string_view id) {
  return std::move(TRY(look_at(context, id)).config);
}

}  // namespace caisson::container
