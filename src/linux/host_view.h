// What a view of this machine needs to know of it: mounts, and the directories that hold them.
#pragma once

#include "base/result.h"
#include "plan/host_facts.h"

namespace caisson::linux {

// Fills mounts, root_entries and current_directory.
Result<> read_host_view(plan::HostFacts& facts);

}  // namespace caisson::linux
