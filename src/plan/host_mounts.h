// The mount table of the host, reduced to what a path walk can reach.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "plan/host_facts.h"

namespace caisson::plan {

// The mounts that no other mount covers, one for each mount point, sorted by path (so that parents
// come before their children). A mount is covered by one that stands on its root, or on a directory
// above it in the mount that carries it.
std::vector<const HostMount*> reachable_mounts(const std::vector<HostMount>& mounts);

// The one at exactly this path, or null. `mounts` as from reachable_mounts().
const HostMount* mount_at(std::span<const HostMount* const> mounts, std::string_view path);
// Those strictly below `path`, in order.
std::vector<const HostMount*> mounts_below(std::span<const HostMount* const> mounts,
                                           std::string_view path);

// A file system that shows the kernel or its processes and stores nothing of the user's.
bool is_kernel_filesystem(std::string_view type);

}  // namespace caisson::plan
