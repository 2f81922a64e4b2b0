#include "spec/names.h"

namespace caisson::spec {

namespace {

// In the order of NamespaceKind.
constexpr std::string_view kNamespaceNames[kNamespaceKinds] = {"pid", "network", "mount",  "ipc",
                                                               "uts", "user",    "cgroup", "time"};

}  // namespace

std::string_view namespace_name(NamespaceKind kind) {
  return kNamespaceNames[static_cast<std::size_t>(kind)];
}

std::optional<NamespaceKind> namespace_kind(std::string_view name) {
  for (std::size_t i = 0; i < kNamespaceKinds; ++i) {
    if (kNamespaceNames[i] == name) return static_cast<NamespaceKind>(i);
  }
  return std::nullopt;
}

}  // namespace caisson::spec
