// The cgroup of a container as a scope of systemd: its name, its slice, its limits as properties.
// org.freedesktop.systemd1(5), systemd.resource-control(5), systemd.scope(5).

#include "plan/scope.h"

#include <algorithm>

#include "base/text.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {
namespace {

constexpr std::string_view kSliceSuffix = ".slice";
constexpr std::uint64_t kInfinity = ~std::uint64_t{0};

// --- where

Error bad_path(std::string_view path) {
  return invalid(cat("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
                     "cgroups, got ",
                     quoted(path), " instead"))
      .where("linux.cgroupsPath")
      .cure("Leave --systemd-cgroup out, or correct the path.");
}

bool is_slice(std::string_view name) {
  if (name == "-.slice") return true;
  if (!name.ends_with(kSliceSuffix) || name.find('/') != name.npos) return false;
  std::string_view stem = name.substr(0, name.size() - kSliceSuffix.size());
  return !stem.empty() && !stem.starts_with('-') && !stem.ends_with('-') &&
         stem.find("--") == stem.npos;
}

// unit_name_is_valid() of systemd: others are written \xHH, as systemd-escape(1) does.
std::string escaped(std::string_view name) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (char c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view(":-_.\\@").contains(c);
    const auto code = static_cast<unsigned char>(c);
    if (plain) {
      out.push_back(c);
    } else {
      append(out, "\\x", kHex.substr(code >> 4, 1), kHex.substr(code & 15, 1));
    }
  }
  return out;
}

// "a-b.slice" lies below "a.slice": "/a.slice/a-b.slice". The root slice is "".
std::string slice_path(std::string_view slice) {
  std::string out;
  if (slice == "-.slice") return out;
  std::string_view stem = slice.substr(0, slice.size() - kSliceSuffix.size());
  for (std::size_t dash = stem.find('-'); dash != stem.npos; dash = stem.find('-', dash + 1)) {
    append(out, '/', stem.substr(0, dash), kSliceSuffix);
  }
  append(out, '/', slice);
  return out;
}

// --- limits in systemd's words

std::uint64_t number_or_infinity(std::string_view text) {
  return parse_number<std::uint64_t>(text).value_or(kInfinity);
}

// systemd keeps shares of a second in whole percents, and refuses none.
std::uint64_t quota_per_second(std::uint64_t quota, std::uint64_t period) {
  constexpr std::uint64_t kStep = 10'000, kSecond = 1'000'000;
  const std::uint64_t exact = period == 0 ? 0 : quota * kSecond / period;
  return std::max(kStep, (exact + kStep - 1) / kStep * kStep);
}

struct NumberFile {
  std::string_view file, property;
};

// Files of one number, or "max".
constexpr NumberFile kNumbers[] = {
    {"memory.max", "MemoryMax"},
    {"memory.low", "MemoryLow"},
    {"memory.high", "MemoryHigh"},
    {"memory.min", "MemoryMin"},
    {"memory.swap.max", "MemorySwapMax"},
    {"memory.zswap.max", "MemoryZSwapMax"},
    {"cpu.weight", "CPUWeight"},
    {"pids.max", "TasksMax"},
    {"memory.limit_in_bytes", "MemoryLimit"},
    {"cpu.shares", "CPUShares"},
    {"blkio.weight", "BlockIOWeight"},
    {"io.weight", "IOWeight"},
};

void put(std::vector<ScopeProperty>& out, ScopeProperty property) {
  std::erase_if(out, [&](const ScopeProperty& known) { return known.name == property.name; });
  out.push_back(std::move(property));
}

void put_number(std::vector<ScopeProperty>& out, std::string_view name, std::uint64_t value) {
  ScopeProperty property{std::string(name), "t", value, {}, {}, {}, false};
  put(out, std::move(property));
}

void put_text(std::vector<ScopeProperty>& out, std::string_view name, std::string_view text) {
  ScopeProperty property{std::string(name), "s", 0, std::string(text), {}, {}, false};
  put(out, std::move(property));
}

void put_flag(std::vector<ScopeProperty>& out, std::string_view name, bool value) {
  ScopeProperty property{std::string(name), "b", value ? 1U : 0U, {}, {}, {}, false};
  put(out, std::move(property));
}

void put_quota(std::vector<ScopeProperty>& out, std::uint64_t quota, std::uint64_t period) {
  if (period != 0) put_number(out, "CPUQuotaPeriodUSec", period);
  put_number(
      out, "CPUQuotaPerSecUSec",
      quota == kInfinity ? kInfinity : quota_per_second(quota, period == 0 ? 100'000 : period));
}

void put_set(std::vector<ScopeProperty>& out, std::string_view name, std::string_view list) {
  auto mask = cpu_set_mask(list);
  if (!mask) return;  // the kernel will judge it
  ScopeProperty property{std::string(name), "ay", 0, std::move(*mask), {}, {}, false};
  put(out, std::move(property));
}

void put_write(std::vector<ScopeProperty>& out, std::string_view file, std::string_view value) {
  for (const NumberFile& known : kNumbers) {
    if (known.file != file) continue;
    const bool one_number = value == "max" || value == "-1" || parse_number<std::uint64_t>(value);
    if (one_number) put_number(out, known.property, number_or_infinity(value));
    return;
  }
  if (file == "cpu.max") {
    auto [quota, period] = split_once(value, ' ');
    put_quota(out, number_or_infinity(quota), parse_number<std::uint64_t>(period).value_or(0));
  }
  if (file == "cpuset.cpus") put_set(out, "AllowedCPUs", value);
  if (file == "cpuset.mems") put_set(out, "AllowedMemoryNodes", value);
  if (file == "memory.oom.group") put_text(out, "OOMPolicy", value == "1" ? "kill" : "continue");
}

void put_v1_quota(std::vector<ScopeProperty>& out, const CgroupDirectory& directory) {
  std::optional<std::uint64_t> quota;
  std::uint64_t period = 0;
  for (const CgroupWrite& write : directory.writes) {
    if (write.file == "cpu.cfs_quota_us") quota = number_or_infinity(write.value);
    if (write.file == "cpu.cfs_period_us")
      period = parse_number<std::uint64_t>(write.value).value_or(0);
  }
  if (quota || period != 0) put_quota(out, quota.value_or(kInfinity), period);
}

// On v1, systemd writes its own rules whenever it is reloaded, so it has to know ours. On v2 it has
// no program of its own for a unit without rules and leaves ours alone.
void put_device_rules(std::vector<ScopeProperty>& out, const CgroupPlan& plan) {
  if (!plan.device_rules || plan.mode == CgroupMode::kV2) return;
  ScopeProperty allowed{"DeviceAllow", "a(ss)", 0, {}, {}, {}, false};
  for (const CgroupDevice& rule : plan.devices) {
    if (!rule.allow) continue;
    if (rule.type == 'a') return;  // everything is allowed
    const std::string_view kind = rule.type == 'b' ? "block" : "char";
    // Any major with one minor is beyond its words; our own rules have it.
    if (!rule.major && rule.minor) continue;
    std::string what = cat(kind, "-*");
    if (rule.major && !rule.minor) what = cat(kind, '-', *rule.major);
    if (rule.major && rule.minor) what = cat("/dev/", kind, '/', *rule.major, ':', *rule.minor);
    allowed.pairs.push_back({std::move(what), rule.access});
  }
  put_text(out, "DevicePolicy", "strict");
  put(out, std::move(allowed));
}

}  // namespace

Result<ScopePlan> plan_scope(const Input& in) {
  ScopePlan scope;
  scope.user = in.limited();
  scope.slice = scope.user ? "user.slice" : "system.slice";
  const std::string& path = in.os.cgroups_path;
  std::string_view prefix = "caisson", name = in.options.id;
  if (!path.empty()) {
    auto [slice, rest] = split_once(path, ':');
    std::tie(prefix, name) = split_once(rest, ':');
    if (!slice.empty() && !is_slice(slice)) return std::unexpected(bad_path(path));
    if (!slice.empty()) scope.slice = slice;
  }
  const bool good = !name.empty() && name.find('/') == name.npos && name.find(':') == name.npos &&
                    prefix.find('/') == prefix.npos && !name.ends_with(kSliceSuffix);
  if (!good) return std::unexpected(bad_path(path));
  scope.unit = cat(escaped(prefix), prefix.empty() ? "" : "-", escaped(name), ".scope");
  if (scope.unit.size() > 255) return std::unexpected(bad_path(path));
  return scope;
}

std::string scope_path(const Input& in, const ScopePlan& scope, const CgroupHierarchy& hierarchy) {
  std::string root;
  if (scope.user) {
    // Below our user's manager, whose cgroup we are often in ourselves.
    const std::string manager = cat("user@", in.host.uid, ".service");
    const std::size_t at = hierarchy.own_path.find(cat('/', manager, '/'));
    root = at != hierarchy.own_path.npos
               ? hierarchy.own_path.substr(0, at + 1 + manager.size())
               : cat("/user.slice/user-", in.host.uid, ".slice/", manager);
  }
  return cat(root, slice_path(scope.slice), '/', scope.unit);
}

std::vector<ScopeProperty> limit_properties(const CgroupPlan& plan) {
  std::vector<ScopeProperty> out;
  for (const CgroupDirectory& directory : plan.directories) {
    for (const CgroupWrite& write : directory.writes) {
      const bool other = write.alternative_file == "io.weight";
      put_write(out, other ? write.alternative_file : write.file,
                other ? write.alternative_value : write.value);
    }
    if (!directory.v2) put_v1_quota(out, directory);
  }
  return out;
}

std::vector<ScopeProperty> changed_properties(const CgroupPlan& plan) {
  std::vector<ScopeProperty> out = limit_properties(plan);
  put_device_rules(out, plan);
  return out;
}

Result<> add_scope_properties(const Input& in, CgroupPlan& plan) {
  auto& out = plan.scope->properties;
  const bool v2 = plan.mode == CgroupMode::kV2;
  put_text(out, "Description", cat("caisson container ", in.options.id));
  put_text(out, "Slice", plan.scope->slice);
  put_flag(out, "Delegate", true);
  put_flag(out, "DefaultDependencies", false);
  // A scope that failed (a process was killed for want of memory) would else stay, and keep its
  // name.
  put_text(out, "CollectMode", "inactive-or-failed");
  for (std::string_view name : {"MemoryAccounting", "CPUAccounting", "TasksAccounting"}) {
    put_flag(out, name, true);
  }
  put_flag(out, v2 ? "IOAccounting" : "BlockIOAccounting", true);
  for (ScopeProperty& property : limit_properties(plan)) put(out, std::move(property));
  put_device_rules(out, plan);
  constexpr std::string_view kPrefix = "org.systemd.property.";
  for (const auto& [key, value] : in.spec.annotations) {
    if (!key.starts_with(kPrefix)) continue;
    put(out, TRY(parse_scope_property(std::string_view(key).substr(kPrefix.size()), value)));
  }
  return {};
}

}  // namespace caisson::plan
