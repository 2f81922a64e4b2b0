#include <sys/stat.h>

#include <algorithm>

#include "container/api.h"
#include "container/container.h"
#include "container/process.h"
#include "container/upper_diff.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

Error gone(std::string_view id) {
  return Error::with_cause(ENOENT, "the changes were held by its supervisor, which ended")
      .doing("compare container ", quoted(id))
      .code("diff.gone");
}

}  // namespace

Result<std::vector<Change>> diff(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  const State& state = container.state;
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
