// Rules for resources, kernel parameters and seccomp.
#include <algorithm>

#include "spec/names.h"
#include "spec/validate_parts.h"

namespace caisson::spec {

namespace {

constexpr std::uint16_t kLowestWeight = 10, kHighestWeight = 1000;

Result<> check_memory(const MemoryResources& memory, const Place& place) {
  const auto limit = memory.limit.value_or(0), swap = memory.swap.value_or(0);
  if (swap <= 0) return {};
  if (limit == 0) {
    return (place / "swap").refuse("unable to set swap limit without memory limit");
  }
  if (swap < limit) return (place / "swap").refuse("memory+swap limit should be >= memory limit");
  return {};
}

// Zero is the same as absent.
Result<> check_weight(std::optional<std::uint16_t> given, const Place& place) {
  const auto weight = given.value_or(0);
  if (weight == 0 || (weight >= kLowestWeight && weight <= kHighestWeight)) return {};
  return place.refuse(weight, " is out of range: allowed are ", kLowestWeight, " to ",
                      kHighestWeight);
}

Result<> check_block_io(const BlockIoResources& block_io, const Place& place) {
  TRY(check_weight(block_io.weight, place / "weight"));
  TRY(check_weight(block_io.leaf_weight, place / "leafWeight"));
  for (std::size_t i = 0; i < block_io.weight_devices.size(); ++i) {
    auto device = (place / "weightDevice")[i];
    TRY(check_weight(block_io.weight_devices[i].weight, device / "weight"));
    TRY(check_weight(block_io.weight_devices[i].leaf_weight, device / "leafWeight"));
  }
  return {};
}

// --- kernel parameters

// The parameter as a path below /proc/sys. sysctl(8) takes both separators: the first of "." and
// "/" in a name separates, and the other one stands for a dot within a component
// ("net.ipv4.conf.eth0/1").
std::string parameter_path(std::string_view name) {
  std::string path(name);
  auto first = path.find_first_of("./");
  if (first == std::string::npos || path[first] == '/') return path;
  for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return path;
}

// The namespace that has a value of its own for the parameter.
std::optional<NamespaceKind> parameter_namespace(std::string_view path) {
  constexpr std::string_view kIpc[] = {"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                       "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                       "kernel/shmmni", "kernel/shm_rmid_forced"};
  if (std::ranges::find(kIpc, path) != std::end(kIpc)) return NamespaceKind::kIpc;
  if (path.starts_with("fs/mqueue/")) return NamespaceKind::kIpc;
  if (path.starts_with("net/")) return NamespaceKind::kNetwork;
  if (path.starts_with("user/")) return NamespaceKind::kUser;
  if (path == "kernel/domainname") return NamespaceKind::kUts;
  return std::nullopt;
}

bool has_odd_component(std::string_view path) {
  auto components = split(path, '/');
  return std::ranges::any_of(components, [](std::string_view component) {
    return component.empty() || component == "." || component == "..";
  });
}

Result<> check_sysctl(const Linux& part, std::string_view name, const Place& place) {
  auto path = parameter_path(name);
  if (has_odd_component(path)) {
    return place.refuse(quoted(name), " is not the name of a kernel parameter");
  }
  if (path == "kernel/hostname") return place.refuse("the field hostname sets the host name");
  auto needed = parameter_namespace(path);
  if (!needed) {
    return place.refuse("the parameter belongs to no namespace: it would change the host");
  }
  if (find_namespace(part, *needed) != nullptr) return {};
  return place.refuse("the parameter needs the namespace ", quoted(namespace_name(*needed)),
                      " in linux.namespaces: it would change the host");
}

// --- seccomp

bool takes_errno(std::string_view action) {
  return action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRACE";
}

}  // namespace

Result<> check_resources(const Resources& resources, const Place& place) {
  if (resources.memory) TRY(check_memory(*resources.memory, place / "memory"));
  if (resources.block_io) TRY(check_block_io(*resources.block_io, place / "blockIO"));
  for (const auto& [name, limit] : resources.rdma) {
    if (limit.hca_handles || limit.hca_objects) continue;
    return (place / "rdma" / name).refuse("one of hcaHandles and hcaObjects is needed");
  }
  for (const auto& [file, value] : resources.unified) {
    if (!file.empty() && file.find('/') == std::string::npos && file != "." && file != "..")
      continue;
    return (place / "unified" / file).refuse(quoted(file), " is not the name of a cgroup file");
  }
  return {};
}

Result<> check_sysctls(const Linux& part, const Place& place) {
  for (const auto& [name, value] : part.sysctl) TRY(check_sysctl(part, name, place / name));
  return {};
}

Result<> check_seccomp(const Seccomp& seccomp, const Place& place) {
  if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty()) {
    return (place / "listenerMetadata").refuse("metadata for a listener need listenerPath");
  }
  if (seccomp.default_action == "SCMP_ACT_NOTIFY") {
    return (place / "defaultAction")
        .refuse(
            "SCMP_ACT_NOTIFY cannot be the default: even the start of the container would wait");
  }
  if (seccomp.default_errno_ret && !takes_errno(seccomp.default_action)) {
    return (place / "defaultErrnoRet").refuse(seccomp.default_action, " takes no errno");
  }
  for (std::size_t i = 0; i < seccomp.rules.size(); ++i) {
    const auto& rule = seccomp.rules[i];
    if (!rule.errno_ret || takes_errno(rule.action)) continue;
    return ((place / "syscalls")[i] / "errnoRet").refuse(rule.action, " takes no errno");
  }
  return {};
}

}  // namespace caisson::spec
