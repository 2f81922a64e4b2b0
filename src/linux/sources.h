// What mount steps take from the host: the clones of bind sources and the id maps, opened by the
// parent in its own mount namespace and with its rights.
#pragma once

#include <vector>

#include "base/result.h"
#include "linux/child.h"

namespace caisson::linux {

void prepare_sources(ChildContext& context, std::size_t steps);

// Fills context.sources and context.id_map_namespaces. What we are not privileged for after all is
// left to the child. context.joins must be there.
Result<> open_bind_sources(ChildContext& context, const std::vector<plan::MountStep>& steps);

}  // namespace caisson::linux
