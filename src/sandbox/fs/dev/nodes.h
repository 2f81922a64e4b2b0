// What stands in a container's /dev (OCI runtime specification, "Default Devices" and "Dev symbolic
// links"): names to be made on a tmpfs that is mounted there. The drivers are found by number.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {

struct DeviceNode {
  std::string_view name;  // below /dev
  std::uint32_t mode;
  unsigned major, minor;
};
std::span<const DeviceNode> default_devices();

struct DevLink {
  std::string_view name, target;
};
std::span<const DevLink> default_dev_links();

// Makes devices, links and the directories pts, shm and mqueue below `dev` ("/dev"). What is there
// already stays as it is.
ErrnoOr<> populate_dev(const vfs::WalkContext& context, std::string_view dev);

}  // namespace caisson::sandbox::fs
