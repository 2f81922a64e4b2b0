// The "linux.resources" object of an OCI config.
#include "spec/oci_fields.h"

namespace caisson::spec {

// A limit for which -1 means "no limit".
static Result<> read_limit(JsonReader& json, std::optional<std::int64_t>& out) {
  return read_within(json, out, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max());
}

template <auto member>
static constexpr auto limit_field(std::string_view name) {
  using T = decltype(owner_of(member));
  return Field<T>{name, [](JsonReader& json, T& out) { return read_limit(json, out.*member); }};
}

// An empty type is an absent one: any device.
static Result<> read_rule_type(JsonReader& json, DeviceRule& out) {
  auto type = TRY(json.read_string());
  if (!type.empty()) TRY(check_word(json, type, "device type", {"a", "b", "c"}));
  out.type = type.empty() ? 'a' : type[0];
  return {};
}

// -1 is how several engines write "any".
template <auto member>
static constexpr auto device_number(std::string_view name) {
  return Field<DeviceRule>{name, [](JsonReader& json, DeviceRule& out) -> Result<> {
                             TRY(read_limit(json, out.*member));
                             if (out.*member == -1) (out.*member).reset();
                             return {};
                           }};
}

// A letter "a", which configurations in the field have for "all", adds nothing.
static Result<> read_access(JsonReader& json, DeviceRule& out) {
  TRY(read_value(json, out.access));
  std::erase(out.access, 'a');
  if (out.access.find_first_not_of("rwm") != std::string::npos) {
    return std::unexpected(
        json.error(cat(quoted(out.access), " is not an access: allowed are r, w, m together")));
  }
  return {};
}

static Result<> read_value(JsonReader& json, DeviceRule& out) {
  static constexpr Field<DeviceRule> kFields[] = {
      required_field<&DeviceRule::allow>("allow"),
      {"type", read_rule_type},
      device_number<&DeviceRule::major>("major"),
      device_number<&DeviceRule::minor>("minor"),
      {"access", read_access},
  };
  out = {};
  return read_fields(json, out, kFields);
}

// Engines write "leave alone" as -1 in 64 bits.
static Result<> read_swappiness(JsonReader& json, MemoryResources& out) {
  constexpr auto kUnset = std::numeric_limits<std::uint64_t>::max();
  auto value = TRY(json.read_int<std::uint64_t>());
  out.swappiness.reset();
  if (value == kUnset) return {};
  if (value > 100) {
    return std::unexpected(json.error(cat(value, " is out of range: allowed are 0 to 100")));
  }
  out.swappiness = value;
  return {};
}

static Result<> read_value(JsonReader& json, MemoryResources& out) {
  static constexpr Field<MemoryResources> kFields[] = {
      limit_field<&MemoryResources::limit>("limit"),
      limit_field<&MemoryResources::reservation>("reservation"),
      limit_field<&MemoryResources::swap>("swap"),
      limit_field<&MemoryResources::kernel>("kernel"),
      limit_field<&MemoryResources::kernel_tcp>("kernelTCP"),
      {"swappiness", read_swappiness},
      field<&MemoryResources::disable_oom_killer>("disableOOMKiller"),
      field<&MemoryResources::use_hierarchy>("useHierarchy"),
      field<&MemoryResources::check_before_update>("checkBeforeUpdate"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_idle(JsonReader& json, CpuResources& out) {
  return read_within(json, out.idle, std::int64_t{0}, std::int64_t{1});
}

static Result<> read_value(JsonReader& json, CpuResources& out) {
  using Cpu = CpuResources;
  static constexpr Field<Cpu> kFields[] = {
      field<&Cpu::shares>("shares"),
      field<&Cpu::quota>("quota"),
      field<&Cpu::burst>("burst"),
      field<&Cpu::period>("period"),
      field<&Cpu::realtime_runtime>("realtimeRuntime"),
      field<&Cpu::realtime_period>("realtimePeriod"),
      {"cpus", [](JsonReader& j, Cpu& c) { return read_number_list(j, c.cpus.emplace()); }},
      {"mems", [](JsonReader& j, Cpu& c) { return read_number_list(j, c.mems.emplace()); }},
      {"idle", read_idle},
  };
  out = {};
  return read_fields(json, out, kFields);
}

struct Pids {
  std::optional<std::int64_t> limit;
};

static Result<> read_pids(JsonReader& json, Resources& out) {
  static constexpr Field<Pids> kFields[] = {limit_field<&Pids::limit>("limit")};
  Pids pids;
  TRY(read_fields(json, pids, kFields));
  out.pids_limit = pids.limit;
  return {};
}

static Result<> read_value(JsonReader& json, WeightDevice& out) {
  static constexpr Field<WeightDevice> kFields[] = {
      required_field<&WeightDevice::major>("major"),
      required_field<&WeightDevice::minor>("minor"),
      field<&WeightDevice::weight>("weight"),
      field<&WeightDevice::leaf_weight>("leafWeight"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, ThrottleDevice& out) {
  static constexpr Field<ThrottleDevice> kFields[] = {
      required_field<&ThrottleDevice::major>("major"),
      required_field<&ThrottleDevice::minor>("minor"),
      required_field<&ThrottleDevice::rate>("rate"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, BlockIoResources& out) {
  static constexpr Field<BlockIoResources> kFields[] = {
      field<&BlockIoResources::weight>("weight"),
      field<&BlockIoResources::leaf_weight>("leafWeight"),
      field<&BlockIoResources::weight_devices>("weightDevice"),
      field<&BlockIoResources::read_bps>("throttleReadBpsDevice"),
      field<&BlockIoResources::write_bps>("throttleWriteBpsDevice"),
      field<&BlockIoResources::read_iops>("throttleReadIOPSDevice"),
      field<&BlockIoResources::write_iops>("throttleWriteIOPSDevice"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

// "64KB", "2MB", "1GB": as the files of the hugetlb controller are named.
static bool is_page_size(std::string_view text) {
  auto digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || text[0] == '0') return false;
  auto unit = text.substr(digits);
  return unit == "KB" || unit == "MB" || unit == "GB";
}

static Result<> read_page_size(JsonReader& json, HugepageLimit& out) {
  TRY(read_value(json, out.page_size));
  if (!is_page_size(out.page_size)) {
    return std::unexpected(json.error(
        cat(quoted(out.page_size), " is not a page size: expected a number and KB, MB or GB")));
  }
  return {};
}

static Result<> read_value(JsonReader& json, HugepageLimit& out) {
  static constexpr Field<HugepageLimit> kFields[] = {
      {"pageSize", read_page_size},
      // Go reads any case, and this one is met in the wild.
      {"pagesize", read_page_size},
      required_field<&HugepageLimit::limit>("limit"),
  };
  out = {};
  TRY(read_fields(json, out, kFields));
  if (out.page_size.empty()) {
    return std::unexpected(missing_field(json, "pageSize"));
  }
  return {};
}

static Result<> read_value(JsonReader& json, NetworkPriority& out) {
  static constexpr Field<NetworkPriority> kFields[] = {
      required_field<&NetworkPriority::name>("name"),
      required_field<&NetworkPriority::priority>("priority"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, NetworkResources& out) {
  static constexpr Field<NetworkResources> kFields[] = {
      field<&NetworkResources::class_id>("classID"),
      field<&NetworkResources::priorities>("priorities"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, RdmaLimit& out) {
  static constexpr Field<RdmaLimit> kFields[] = {
      field<&RdmaLimit::hca_handles>("hcaHandles"),
      field<&RdmaLimit::hca_objects>("hcaObjects"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

Result<> read_value(JsonReader& json, Resources& out) {
  static constexpr Field<Resources> kFields[] = {
      field<&Resources::devices>("devices"),  field<&Resources::memory>("memory"),
      field<&Resources::cpu>("cpu"),          {"pids", read_pids},
      field<&Resources::block_io>("blockIO"), field<&Resources::hugepage_limits>("hugepageLimits"),
      field<&Resources::network>("network"),  field<&Resources::rdma>("rdma"),
      field<&Resources::unified>("unified"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

}  // namespace caisson::spec
