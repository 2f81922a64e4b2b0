// Rules within the "linux" part of a description.
#include <algorithm>
#include <limits>
#include <map>

#include "spec/names.h"
#include "spec/validate_parts.h"

namespace caisson::spec {

namespace {

// The kernel's UID_GID_MAP_MAX_EXTENTS.
constexpr std::size_t kMostMappings = 340;
// IFNAMSIZ with its terminator.
constexpr std::size_t kLongestInterface = 15;

Result<> check_namespaces(const std::vector<Namespace>& namespaces, const Place& place) {
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    const auto& entry = namespaces[i];
    for (std::size_t j = 0; j < i; ++j) {
      if (namespaces[j].kind != entry.kind) continue;
      return place[i].refuse("the ", namespace_name(entry.kind),
                             " namespace is listed twice, first in namespaces[", j, "]");
    }
    if (!entry.path.empty() && !entry.path.starts_with('/')) {
      return (place[i] / "path").refuse("the path must be absolute, found ", quoted(entry.path));
    }
  }
  return {};
}

bool overlap(std::uint64_t first, std::uint64_t other, std::uint64_t size,
             std::uint64_t other_size) {
  return first < other + other_size && other < first + size;
}

Result<> check_mapping_list(const std::vector<IdMapping>& mappings, const Place& place) {
  constexpr std::uint64_t kIds = std::uint64_t{1} << 32;
  if (mappings.size() > kMostMappings) {
    return place.refuse(mappings.size(), " mappings are too many: the kernel takes ",
                        kMostMappings);
  }
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const auto& mapping = mappings[i];
    if (mapping.size == 0) return (place[i] / "size").refuse("the size must be above 0");
    if (std::max(mapping.container_id, mapping.host_id) + std::uint64_t{mapping.size} >= kIds) {
      return place[i].refuse("the mapping goes beyond the highest id, 4294967294");
    }
    for (std::size_t j = 0; j < i; ++j) {
      const auto& other = mappings[j];
      if (overlap(mapping.container_id, other.container_id, mapping.size, other.size) ||
          overlap(mapping.host_id, other.host_id, mapping.size, other.size)) {
        return place[i].refuse("the mapping overlaps with mapping ", j);
      }
    }
  }
  return {};
}

Result<> check_user_namespace(const Linux& part, const Place& place) {
  TRY(check_mappings(part.uid_mappings, part.gid_mappings, place));
  if (part.uid_mappings.empty() || find_namespace(part, NamespaceKind::kUser)) return {};
  return (place / "uidMappings").refuse("id mappings need a user namespace in linux.namespaces");
}

Result<> check_time_offsets(const Linux& part, const Place& place) {
  if (part.time_offsets.empty()) return {};
  const auto* time = find_namespace(part, NamespaceKind::kTime);
  if (time != nullptr && time->path.empty()) return {};
  return (place / "timeOffsets")
      .refuse(time == nullptr ? "clock offsets need a time namespace in linux.namespaces"
                              : "the clocks of a time namespace that is joined cannot be set");
}

// dev_valid_name() of the kernel.
bool is_interface_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestInterface && name != "." && name != ".." &&
         name.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

// A new name may have one "%d", for the first free number.
bool is_new_interface_name(std::string_view name) {
  auto place = name.find('%');
  bool template_fits = place == name.npos || (name.substr(place, 2) == "%d" &&
                                              name.find('%', place + 1) == std::string_view::npos);
  return is_interface_name(name) && template_fits;
}

Result<> check_net_devices(const Linux& part, const Place& place) {
  if (part.net_devices.empty()) return {};
  if (find_namespace(part, NamespaceKind::kNetwork) == nullptr) {
    return place.refuse("unable to move network devices without a NET namespace");
  }
  std::map<std::string_view, std::string_view> taken;
  for (const auto& [host_name, name] : part.net_devices) {
    if (!is_interface_name(host_name) || host_name.find('%') != host_name.npos) {
      return (place / host_name).refuse(quoted(host_name), " is an invalid network device name");
    }
    if (!name.empty() && !is_new_interface_name(name)) {
      return (place / host_name / "name")
          .refuse(quoted(name), " is an invalid network device name");
    }
    const std::string& inside = name.empty() ? host_name : name;
    if (inside.find('%') != inside.npos) continue;
    auto [other, fresh] = taken.emplace(inside, host_name);
    if (fresh) continue;
    return (place / host_name)
        .refuse("it would be a second device ", quoted(inside), " beside ", other->second);
  }
  return {};
}

// The kernel has 12 bits for major and 20 for minor numbers; a FIFO has neither.
Result<> check_devices(const std::vector<Device>& devices, const Place& place) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto& device = devices[i];
    if (device.type == 'p') continue;
    if (device.major < 0 || device.major > 0xfff) {
      return (place[i] / "major").refuse(device.major, " is out of range: allowed are 0 to 4095");
    }
    if (device.minor < 0 || device.minor > 0xfffff) {
      return (place[i] / "minor")
          .refuse(device.minor, " is out of range: allowed are 0 to 1048575");
    }
  }
  return {};
}

Result<> check_absolute(const Strings& paths, const Place& place) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].starts_with('/')) continue;
    return place[i].refuse("the path must be absolute, found ", quoted(paths[i]));
  }
  return {};
}

// set_mempolicy(2)
Result<> check_memory_policy(const MemoryPolicy& policy, const Place& place) {
  const auto& mode = policy.mode;
  const bool takes_none = mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL";
  if (takes_none && !policy.nodes.empty()) {
    return (place / "nodes").refuse(mode, " takes no nodes");
  }
  if (takes_none && !policy.flags.empty()) {
    return (place / "flags").refuse(mode, " takes no flags");
  }
  if (!takes_none && mode != "MPOL_PREFERRED" && policy.nodes.empty()) {
    return (place / "nodes").refuse(mode, " needs nodes");
  }
  auto has = [&](std::string_view flag) {
    return std::ranges::find(policy.flags, flag) != policy.flags.end();
  };
  if (has("MPOL_F_STATIC_NODES") && has("MPOL_F_RELATIVE_NODES")) {
    return (place / "flags")
        .refuse("MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
  }
  return {};
}

// The name of a directory in resctrl; "/" is the root group.
Result<> check_clos_id(const IntelRdt& rdt, const Place& place) {
  const auto& id = rdt.clos_id;
  if (id == "/" || (id != "." && id != ".." && id.find_first_of("/\n") == std::string::npos))
    return {};
  return (place / "closID").refuse(quoted(id), " is not the name of a class of service");
}

}  // namespace

const Namespace* find_namespace(const Linux& part, NamespaceKind kind) {
  for (const auto& entry : part.namespaces) {
    if (entry.kind == kind) return &entry;
  }
  return nullptr;
}

Result<> check_mappings(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids,
                        const Place& place) {
  if (uids.empty() != gids.empty()) {
    return (place / (uids.empty() ? "gidMappings" : "uidMappings"))
        .refuse(uids.empty() ? "uidMappings are needed too" : "gidMappings are needed too");
  }
  TRY(check_mapping_list(uids, place / "uidMappings"));
  return check_mapping_list(gids, place / "gidMappings");
}

Result<> check_linux(const Linux& part, const Place& place) {
  TRY(check_namespaces(part.namespaces, place / "namespaces"));
  TRY(check_user_namespace(part, place));
  TRY(check_time_offsets(part, place));
  TRY(check_devices(part.devices, place / "devices"));
  TRY(check_net_devices(part, place / "netDevices"));
  if (climbs(part.cgroups_path)) {
    return (place / "cgroupsPath")
        .refuse("the path must not contain \"..\", found ", quoted(part.cgroups_path));
  }
  TRY(check_resources(part.resources, place / "resources"));
  TRY(check_sysctls(part, place / "sysctl"));
  if (part.seccomp) TRY(check_seccomp(*part.seccomp, place / "seccomp"));
  TRY(check_absolute(part.masked_paths, place / "maskedPaths"));
  TRY(check_absolute(part.readonly_paths, place / "readonlyPaths"));
  if (part.intel_rdt) TRY(check_clos_id(*part.intel_rdt, place / "intelRdt"));
  if (part.memory_policy) TRY(check_memory_policy(*part.memory_policy, place / "memoryPolicy"));
  return {};
}

}  // namespace caisson::spec
