// The words of OCI configs for the enumerations of container_spec.h.
#pragma once

#include <optional>
#include <string_view>

#include "spec/container_spec.h"

namespace caisson::spec {

// "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"
std::string_view namespace_name(NamespaceKind kind);
std::optional<NamespaceKind> namespace_kind(std::string_view name);

}  // namespace caisson::spec
