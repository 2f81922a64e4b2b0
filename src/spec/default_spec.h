// What containers get that nobody asked anything special for: mounts, hidden paths, capabilities,
// and the configuration that `spec` writes as a start.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "spec/container_spec.h"

namespace caisson::spec {

inline constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// /proc, /dev and what belongs below, /sys, cgroups. `one_id`: only one id is mapped, so the group
// tty has none and cannot own terminals.
std::vector<Mount> default_mounts(bool one_id);
Strings default_masked_paths();
Strings default_readonly_paths();

// What root in a container may do, as Docker and its likes have it: enough to install packages and
// to serve, not enough to reconfigure the machine.
std::span<const std::string_view> default_capabilities();
// Every name of capabilities(7) up to Linux 6.x, "CAP_CHOWN" first; the position is the number.
inline constexpr int kLastCapability = 40;
std::span<const std::string_view> capability_names();

// The config.json that `spec` writes: a shell on a read-only root file system in ./rootfs. With
// `rootless` it suits an ordinary user, whose `uid` and `gid` become root's.
ContainerSpec default_oci_spec(bool rootless, std::uint32_t uid, std::uint32_t gid);

}  // namespace caisson::spec
