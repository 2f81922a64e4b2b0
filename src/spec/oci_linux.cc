// The "linux" object of an OCI config, without its resources and seccomp.
#include <limits>

#include "spec/names.h"
#include "spec/oci_fields.h"

namespace caisson::spec {

// The value of a member of "netDevices".
struct NetDevice {
  std::string name;
};

// The value of "personality".
struct Personality {
  std::string domain;
};

static Result<> read_namespace_type(JsonReader& json, Namespace& out) {
  auto word = TRY(json.read_string());
  auto kind = namespace_kind(word);
  if (!kind) {
    return check_word(json, word, "namespace type",
                      {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"});
  }
  out.kind = *kind;
  return {};
}

static Result<> read_value(JsonReader& json, Namespace& out) {
  static constexpr Field<Namespace> kFields[] = {
      {"type", read_namespace_type, true},
      field<&Namespace::path>("path"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_nanoseconds(JsonReader& json, TimeOffset& out) {
  return read_within(json, out.nanoseconds, std::uint32_t{0}, std::uint32_t{999'999'999});
}

static Result<> read_value(JsonReader& json, TimeOffset& out) {
  static constexpr Field<TimeOffset> kFields[] = {
      field<&TimeOffset::seconds>("secs"),
      {"nanosecs", read_nanoseconds},
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_time_offsets(JsonReader& json, Linux& out) {
  TRY(read_value(json, out.time_offsets));
  for (const auto& [clock, offset] : out.time_offsets) {
    TRY(check_word(json, clock, "clock of a time namespace", {"monotonic", "boottime"}));
  }
  return {};
}

static Result<> read_device_type(JsonReader& json, Device& out) {
  std::string type;
  TRY(read_word(json, type, "device type", {"c", "b", "u", "p"}));
  out.type = type[0];
  return {};
}

static Result<> read_device_path(JsonReader& json, Device& out) {
  TRY(read_value(json, out.path));
  if (!out.path.starts_with('/')) {
    return std::unexpected(
        json.error(cat("the path of a device must be absolute, found ", quoted(out.path))));
  }
  return {};
}

static Result<> read_value(JsonReader& json, Device& out) {
  static constexpr Field<Device> kFields[] = {
      {"path", read_device_path, true},
      {"type", read_device_type, true},
      field<&Device::major>("major"),
      field<&Device::minor>("minor"),
      field<&Device::file_mode>("fileMode"),
      field<&Device::uid>("uid"),
      field<&Device::gid>("gid"),
  };
  constexpr std::int64_t kAbsent = std::numeric_limits<std::int64_t>::min();
  out = {};
  out.major = out.minor = kAbsent;
  TRY(read_fields(json, out, kFields));
  // A FIFO alone has no numbers.
  for (auto [number, name] : {std::pair(&out.major, "major"), std::pair(&out.minor, "minor")}) {
    if (*number != kAbsent) continue;
    if (out.type != 'p') return std::unexpected(missing_field(json, name));
    *number = 0;
  }
  return {};
}

static Result<> read_value(JsonReader& json, NetDevice& out) {
  static constexpr Field<NetDevice> kFields[] = {field<&NetDevice::name>("name")};
  return read_fields(json, out, kFields);
}

static Result<> read_net_devices(JsonReader& json, Linux& out) {
  std::map<std::string, NetDevice> devices;
  TRY(read_value(json, devices));
  out.net_devices.clear();
  for (auto& [host_name, device] : devices) out.net_devices[host_name] = std::move(device.name);
  return {};
}

static Result<> read_propagation(JsonReader& json, Linux& out) {
  TRY(read_value(json, out.rootfs_propagation));
  if (out.rootfs_propagation.empty()) return {};
  return check_word(
      json, out.rootfs_propagation, "mount propagation",
      {"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"});
}

static Result<> read_value(JsonReader& json, IntelRdt& out) {
  static constexpr Field<IntelRdt> kFields[] = {
      field<&IntelRdt::clos_id>("closID"),
      field<&IntelRdt::schemata>("schemata"),
      field<&IntelRdt::l3_cache_schema>("l3CacheSchema"),
      field<&IntelRdt::mem_bw_schema>("memBwSchema"),
      field<&IntelRdt::enable_monitoring>("enableMonitoring"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_domain(JsonReader& json, Personality& out) {
  return read_word(json, out.domain, "personality", {"LINUX", "LINUX32"});
}

// The specification defines no flag yet.
static Result<> read_no_flags(JsonReader& json, Personality&) {
  TRY(json.enter_array());
  while (TRY(json.next_element())) {
    TRY(json.skip_value());
    return std::unexpected(json.error("no flag of a personality is supported"));
  }
  return {};
}

static Result<> read_personality(JsonReader& json, Linux& out) {
  static constexpr Field<Personality> kFields[] = {
      {"domain", read_domain, true},
      {"flags", read_no_flags},
  };
  Personality personality;
  TRY(read_fields(json, personality, kFields));
  out.personality = std::move(personality.domain);
  return {};
}

static Result<> read_policy_mode(JsonReader& json, MemoryPolicy& out) {
  return read_word(json, out.mode, "memory policy",
                   {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
                    "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"});
}

static Result<> read_policy_flags(JsonReader& json, MemoryPolicy& out) {
  return read_words(json, out.flags, "flag of a memory policy",
                    {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES", "MPOL_F_NUMA_BALANCING"});
}

static Result<> read_value(JsonReader& json, MemoryPolicy& out) {
  static constexpr Field<MemoryPolicy> kFields[] = {
      {"mode", read_policy_mode, true},
      {"nodes", [](JsonReader& j, MemoryPolicy& m) { return read_number_list(j, m.nodes); }},
      {"flags", read_policy_flags},
  };
  out = {};
  return read_fields(json, out, kFields);
}

Result<> read_value(JsonReader& json, Linux& out) {
  static constexpr Field<Linux> kFields[] = {
      field<&Linux::uid_mappings>("uidMappings"),
      field<&Linux::gid_mappings>("gidMappings"),
      field<&Linux::sysctl>("sysctl"),
      field<&Linux::resources>("resources"),
      field<&Linux::cgroups_path>("cgroupsPath"),
      field<&Linux::namespaces>("namespaces"),
      {"timeOffsets", read_time_offsets},
      field<&Linux::devices>("devices"),
      {"netDevices", read_net_devices},
      field<&Linux::seccomp>("seccomp"),
      {"rootfsPropagation", read_propagation},
      field<&Linux::masked_paths>("maskedPaths"),
      field<&Linux::readonly_paths>("readonlyPaths"),
      field<&Linux::mount_label>("mountLabel"),
      field<&Linux::intel_rdt>("intelRdt"),
      {"personality", read_personality},
      field<&Linux::memory_policy>("memoryPolicy"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

}  // namespace caisson::spec
