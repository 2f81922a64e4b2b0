#include <sys/stat.h>

#include <algorithm>

#include "container/api.h"
#include "container/container.h"
#include "container/process.h"
#include "container/sandbox.h"
#include "container/upper_diff.h"
#include "plan/sandbox.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

Error gone(std::string_view id) {
  return Error::with_cause(ENOENT, "the changes were held by its supervisor, which ended")
      .doing("compare container ", quoted(id))
      .code("diff.gone");
}

Change::Kind kind_of(plan::GuestChange::Kind kind) {
  switch (kind) {
    case plan::GuestChange::Kind::kAdded: return Change::Kind::kAdded;
    case plan::GuestChange::Kind::kDeleted: return Change::Kind::kDeleted;
    case plan::GuestChange::Kind::kChanged: break;
  }
  return Change::Kind::kChanged;
}

// In the memory of its kernel, as long as that runs.
Result<std::vector<Change>> diff_memory(Context& context, const Container& container) {
  if (!is_alive(container.status)) {
    return std::unexpected(
        Error::with_cause(ENOENT, "the changes were in the memory of its sandbox, which ended")
            .doing("compare container ", quoted(container.state.id))
            .code("diff.gone")
            .cure("keep them in a folder: --overlay DIR"));
  }
  auto listed = TRY(reach_sandbox(context, container))->changes();
  if (!listed && listed.error().is(EOPNOTSUPP)) {
    return std::unexpected(std::move(listed)
                               .error()
                               .doing("compare container ", quoted(container.state.id))
                               .code("diff.unsupported"));
  }
  std::vector<Change> changes;
  for (auto& change : TRY(std::move(listed)))
    changes.push_back({kind_of(change.kind), std::move(change.path)});
  std::ranges::sort(changes, {}, &Change::path);
  return changes;
}

// In a folder of the host, laid out as the host's own overlays are.
Result<> diff_folder(const Container& container, const std::string& folder,
                     std::vector<Change>& changes) {
  Fd upper = TRY_CTX(sys::openat(sys::kCwd, folder.c_str(), O_RDONLY | O_DIRECTORY),
                     "open the overlay's folder ", folder);
  TRY(diff_upper(upper, container.state.rootfs, "/", changes));
  // Names of the overlay's own (sandbox/fs/overlay/filesystem.h).
  std::erase_if(changes,
                [](const Change& change) { return change.path.starts_with("/.caisson-overlay."); });
  return {};
}

Result<std::vector<Change>> diff_sandbox(Context& context, const Container& container) {
  std::vector<Change> changes;
  std::string folder = plan::overlay_folder(container.state.annotations);
  if (folder.empty()) return diff_memory(context, container);
  TRY(diff_folder(container, folder, changes));
  // A view of the machine has overlays of other mounts as well, in memory.
  if (container.state.rootfs == "/" && is_alive(container.status)) {
    if (auto others = diff_memory(context, container))
      changes.insert(changes.end(), others->begin(), others->end());
  }
  std::ranges::sort(changes, {}, &Change::path);
  return changes;
}

}  // namespace

Result<std::vector<Change>> diff(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  const State& state = container.state;
  if (in_sandbox(container)) return diff_sandbox(context, container);
  if (state.layers.empty()) {
    return std::unexpected(
        Error::with_cause(EOPNOTSUPP, "it does not run on a view of this machine")
            .doing("compare container ", quoted(id))
            .code("diff.unsupported"));
  }
  auto holder = find_process(state.layers_holder, state.boot_id);
  if (!holder || state.layers_fd < 0) return std::unexpected(gone(id));
  std::string path = cat("/proc/", state.layers_holder.pid, "/fd/", state.layers_fd);
  auto layers = sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (!layers && layers.error().value == ENOENT) return std::unexpected(gone(id));
  if (!layers) return std::unexpected(Error(layers.error()).doing("open ", path));
  std::vector<Change> changes;
  for (const auto& layer : state.layers) {
    std::string name = cat(layer.name, "/upper");
    auto upper = sys::openat(*layers, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    // A view that could not be made writable has none.
    if (!upper && upper.error().value == ENOENT) continue;
    if (!upper) return std::unexpected(Error(upper.error()).doing("open layer ", layer.name));
    TRY(diff_upper(*upper, layer.source, layer.target, changes));
  }
  std::ranges::sort(changes, {}, &Change::path);
  return changes;
}

}  // namespace caisson::container
