#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/executor.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {
namespace {

struct ControllerNames {
  Controller controller;
  std::string_view v1, v2;  // v2 empty: gone
};

// In the order of the writes.
constexpr ControllerNames kControllers[] = {
    {Controller::kPids, "pids", "pids"},       {Controller::kMemory, "memory", "memory"},
    {Controller::kIo, "blkio", "io"},          {Controller::kCpu, "cpu", "cpu"},
    {Controller::kCpuset, "cpuset", "cpuset"}, {Controller::kHugetlb, "hugetlb", "hugetlb"},
    {Controller::kRdma, "rdma", "rdma"},       {Controller::kNetCls, "net_cls", ""},
    {Controller::kNetPrio, "net_prio", ""},
};

bool lists(std::string_view controllers, std::string_view name) {
  for (std::string_view each : split(controllers, ',')) {
    if (each == name) return true;
  }
  return false;
}

// --- where

struct Place {
  std::string path;        // clean, absolute
  bool below_own = false;  // below the caller's cgroup instead of the hierarchy's root
};

Result<Place> place_of(const Input& in) {
  const std::string& wanted = in.os.cgroups_path;
  if (climbs(wanted)) {
    return std::unexpected(
        invalid(cat(quoted(wanted), " climbs with \"..\"")).where("linux.cgroupsPath"));
  }
  if (!wanted.empty()) {
    Place place{clean_path(wanted), !wanted.starts_with('/')};
    if (place.path == "/") {
      return std::unexpected(
          invalid("the root of the cgroups can't be a container's").where("linux.cgroupsPath"));
    }
    return place;
  }
  const std::string& name =
      in.options.default_cgroup_name.empty() ? in.options.id : in.options.default_cgroup_name;
  if (climbs(in.options.cgroup_parent) || name.empty() || name.find('/') != name.npos ||
      climbs(name) || name == ".") {
    return std::unexpected(invalid(
        cat(quoted(cat(in.options.cgroup_parent, '/', name)), " is no place for a cgroup")));
  }
  const bool relative =
      !in.options.cgroup_parent.empty() && !in.options.cgroup_parent.starts_with('/');
  return Place{join_path(clean_path(in.options.cgroup_parent), name), relative || in.limited()};
}

CgroupDirectory directory_in(const CgroupHierarchy& hierarchy, const Place& place) {
  CgroupDirectory directory;
  directory.controllers = hierarchy.v2 ? "" : hierarchy.controllers;
  directory.mount_point = hierarchy.mount_point;
  directory.path =
      place.below_own ? join_path(clean_path(hierarchy.own_path), place.path) : place.path;
  directory.v2 = hierarchy.v2;
  directory.inherit_cpuset = !hierarchy.v2 && lists(hierarchy.controllers, "cpuset");
  return directory;
}

// A container's cgroup as it is noted in its state.
CgroupDirectory existing_directory(const CgroupFacts& facts, const CgroupLocation& location) {
  CgroupDirectory directory;
  directory.controllers = location.controllers;
  directory.path = location.directory;
  directory.v2 = location.v2;
  if (!location.v2) return directory;
  directory.enable_controllers = facts.v2_controllers;
  for (const CgroupHierarchy& hierarchy : facts.hierarchies) {
    if (!hierarchy.v2 || !below(location.directory, hierarchy.mount_point)) continue;
    directory.mount_point = hierarchy.mount_point;
    directory.path = location.directory.substr(hierarchy.mount_point.size());
  }
  return directory;
}

// Nothing can be made below a cgroup that was not delegated to us.
bool out_of_reach(const Input& in, const CgroupHierarchy& hierarchy,
                  const CgroupDirectory& directory) {
  return in.limited() && !hierarchy.writable &&
         at_or_below(directory.path, clean_path(hierarchy.own_path));
}

// systemd makes one directory in the hierarchies that it knows; we make the others like it.
void add_scope_directories(const Input& in, CgroupPlan& plan) {
  for (bool v2 : {false, true}) {
    for (const CgroupHierarchy& hierarchy : in.host.cgroup.hierarchies) {
      if (hierarchy.v2 != v2) continue;
      const Place place{scope_path(in, *plan.scope, hierarchy), false};
      CgroupDirectory directory = directory_in(hierarchy, place);
      if (v2) directory.enable_controllers = in.host.cgroup.v2_controllers;
      plan.directories.push_back(std::move(directory));
    }
  }
}

Result<> add_directories(const Input& in, CgroupPlan& plan) {
  if (plan.scope) {
    add_scope_directories(in, plan);
    return {};
  }
  const Place place = TRY(place_of(in));
  bool left_out = false;
  for (bool v2 : {false, true}) {
    for (const CgroupHierarchy& hierarchy : in.host.cgroup.hierarchies) {
      if (hierarchy.v2 != v2) continue;
      CgroupDirectory directory = directory_in(hierarchy, place);
      const bool reached = !out_of_reach(in, hierarchy, directory);
      if (!reached || in.options.no_cgroups) {
        left_out |= !reached;
        directory.path = clean_path(hierarchy.own_path);
        plan.inherited.push_back(std::move(directory));
        continue;
      }
      if (v2) directory.enable_controllers = in.host.cgroup.v2_controllers;
      plan.directories.push_back(std::move(directory));
    }
  }
  if (left_out && !in.options.no_cgroups) {
    in.notices.push_back(
        plan.directories.empty()
            ? "no cgroup is delegated to this user: the container has none of its own"
            : "some cgroup hierarchies are not delegated to this user and stay unused");
  }
  return {};
}

CgroupDirectory* find_v1(CgroupPlan& plan, std::string_view controller) {
  for (CgroupDirectory& directory : plan.directories) {
    if (!directory.v2 && lists(directory.controllers, controller)) return &directory;
  }
  return nullptr;
}

CgroupDirectory* find_v2(CgroupPlan& plan) {
  return !plan.directories.empty() && plan.directories.back().v2 ? &plan.directories.back()
                                                                 : nullptr;
}

CgroupDirectory* find_v2(CgroupPlan& plan, std::string_view controller) {
  CgroupDirectory* directory = find_v2(plan);
  if (directory == nullptr) return nullptr;
  return std::ranges::find(directory->enable_controllers, controller) !=
                 directory->enable_controllers.end()
             ? directory
             : nullptr;
}

// --- what

Error no_controller(const Input& in, std::string_view controller, std::string_view field) {
  Error error = unsupported(cat("there is no cgroup controller ", controller,
                                in.limited() ? " for this user" : " on this host"))
                    .where(field);
  if (in.limited()) {
    return std::move(error).cure(
        "Leave the limit out, or have the controller delegated (systemd: Delegate=", controller,
        " for user@.service).");
  }
  return std::move(error).cure(
      "Leave the limit out, or enable the controller (kernel parameter cgroup_enable=", controller,
      ").");
}

bool is_wanted(const CgroupWrite& write) { return !write.optional; }

Result<> add_limits(const Input& in, const ControllerNames& names,
                    const std::optional<std::uint64_t>& memory_limit, CgroupPlan& plan) {
  std::vector<CgroupWrite> writes;
  WriteRequest request{in.os.resources, in.host.machine_swap_accounting, writes, in.notices,
                       memory_limit};
  CgroupDirectory* directory = find_v1(plan, names.v1);
  const bool has_v1 = directory != nullptr;
  if (!has_v1 && !names.v2.empty()) directory = find_v2(plan, names.v2);
  // Without the controller the other version's words are as good to see whether a limit is asked
  // for.
  const bool v2 = has_v1 ? false : (directory != nullptr || in.host.cgroup.mode == CgroupMode::kV2);
  TRY(v2 ? add_v2_writes(names.controller, request) : add_v1_writes(names.controller, request));
  if (directory != nullptr) {
    directory->required |= std::ranges::any_of(writes, is_wanted);
    std::ranges::move(writes, std::back_inserter(directory->writes));
    return {};
  }
  auto wanted = std::ranges::find_if(writes, is_wanted);
  if (wanted == writes.end()) return {};
  return std::unexpected(no_controller(in, v2 ? names.v2 : names.v1, wanted->field));
}

bool is_known_v2_controller(std::string_view name) {
  constexpr std::string_view kNames[] = {"cpu",     "cpuset", "memory", "io",         "pids",
                                         "hugetlb", "rdma",   "misc",   "perf_event", "dmem"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

// runtime-spec, config-linux, unified: a missing controller is an error; a file of no known
// controller is the kernel's to judge.
Result<> add_unified(const Input& in, CgroupPlan& plan) {
  if (in.os.resources.unified.empty()) return {};
  CgroupDirectory* directory = find_v2(plan);
  if (directory == nullptr) {
    return std::unexpected(unsupported("invalid configuration: cannot use unified on cgroup v1")
                               .where("linux.resources.unified")
                               .cure("Use the fields of linux.resources instead."));
  }
  for (const auto& [key, value] : in.os.resources.unified) {
    std::string_view controller = split_once(key, '.').first;
    std::string why;
    if (key.find('/') != key.npos)
      why = "must be a file name (no slashes)";
    else if (controller.size() == key.size() || controller.empty())
      why = "must be in the form CONTROLLER.PARAMETER";
    else if (is_known_v2_controller(controller) && find_v2(plan, controller) == nullptr) {
      why = cat("can't be set: controller ", quoted(controller), " not available");
      if (in.host.cgroup.mode != CgroupMode::kV2) why += " (invalid configuration for cgroup v1)";
    }
    if (!why.empty()) {
      // What is asked of v2 stands in v1 hierarchies here.
      const bool hybrid = plan.mode == CgroupMode::kHybrid;
      return std::unexpected(invalid(cat(hybrid ? "invalid configuration: " : "",
                                         "unified resource ", quoted(key), ' ', why))
                                 .where("linux.resources.unified"));
    }
    // One line at a time is what the kernel reads.
    for (std::string_view line : split(value, '\n')) {
      if (line.empty() && !value.empty()) continue;
      CgroupWrite& write = directory->writes.emplace_back();
      write.file = key;
      write.value = line;
      write.field = cat("linux.resources.unified.", key);
    }
    directory->required = true;
  }
  return {};
}

void enable_only_what_is_written(CgroupPlan& plan) {
  CgroupDirectory* directory = find_v2(plan);
  if (directory == nullptr) return;
  std::erase_if(directory->enable_controllers, [&](const std::string& controller) {
    return std::ranges::none_of(directory->writes, [&](const CgroupWrite& write) {
      return split_once(write.file, '.').first == controller;
    });
  });
}

bool is_deny_all(const spec::DeviceRule& rule) {
  return !rule.allow && rule.type == 'a' && !rule.major && !rule.minor;
}

void add_device_rules(const Input& in, CgroupPlan& plan) {
  const bool given = !std::ranges::all_of(in.os.resources.devices, is_deny_all);
  CgroupDirectory* directory = find_v1(plan, "devices");
  if (directory == nullptr) directory = find_v2(plan);
  if (in.limited() || directory == nullptr) {
    if (given) {
      in.notices.push_back(
          in.limited() ? "linux.resources.devices: device rules are for root of the host; ignored"
                       : "linux.resources.devices: no device controller on this host; ignored");
    }
    return;
  }
  plan.device_rules = true;
  plan.devices = device_rules(in.os.resources);
  directory->required |= given;
}

// A start charges some 300 kB to the container.
bool is_tight(const spec::Resources& resources) {
  constexpr std::int64_t kRoomy = 4 << 20;
  if (!resources.memory) return false;
  const std::int64_t limit = resources.memory->limit.value_or(0);
  return limit > 0 && limit < kRoomy;
}

bool is_writable_cgroup_mount(const spec::Mount& mount) {
  const bool cgroup = mount.type == "cgroup" || mount.type == "cgroup2";
  return cgroup && clean_path(mount.destination) == "/sys/fs/cgroup" &&
         std::ranges::find(mount.options, "ro") == mount.options.end() &&
         std::ranges::find(mount.options, "rro") == mount.options.end();
}

// The container's first user, when he can see his cgroup alone and write to it. Who is not the
// host's root can't give anything away.
std::optional<std::uint32_t> owner_of(const Input& in, const NamespacePlan& namespaces) {
  const bool sees_own = in.host.cgroup.mode == CgroupMode::kV2 &&
                        namespaces.is_new(NamespaceKind::kCgroup) &&
                        std::ranges::any_of(in.spec.mounts, is_writable_cgroup_mount);
  if (!sees_own || in.limited() || !in.spec.process) return std::nullopt;
  const std::uint32_t uid = in.spec.process->user.uid;
  if (!other_user_namespace(namespaces)) return uid;
  for (const IdMapping& mapping : namespaces.ids.uid) {
    if (uid < mapping.container_id || uid - mapping.container_id >= mapping.size) continue;
    return mapping.host_id + (uid - mapping.container_id);
  }
  return std::nullopt;
}

}  // namespace

bool has_tight_memory(const spec::ContainerSpec& spec) {
  return spec.linux_part && is_tight(spec.linux_part->resources);
}

Result<CgroupPlan> plan_cgroup(const Input& in, const NamespacePlan& namespaces) {
  CgroupPlan plan;
  plan.mode = in.host.cgroup.mode;
  plan.own_namespace = namespaces.is_new(NamespaceKind::kCgroup);
  plan.tight_memory = is_tight(in.os.resources);
  if (in.options.systemd_scope && !in.options.no_cgroups) plan.scope = TRY(plan_scope(in));
  if (plan.mode == CgroupMode::kNone) {
    in.notices.push_back(
        "this host has no cgroups: the container's processes are not accounted for");
  } else {
    TRY(add_directories(in, plan));
  }
  if (in.options.no_cgroups) return plan;
  plan.owner = owner_of(in, namespaces);
  if (plan.owner == 0U) plan.owner.reset();
  for (const ControllerNames& names : kControllers) TRY(add_limits(in, names, {}, plan));
  TRY(add_unified(in, plan));
  // On a hybrid host the v2 hierarchy is there to find processes; controllers are handed down in
  // it only for limits that have no v1 hierarchy.
  if (plan.mode == CgroupMode::kHybrid) enable_only_what_is_written(plan);
  add_device_rules(in, plan);
  if (plan.scope) TRY(add_scope_properties(in, plan));
  return plan;
}

Result<CgroupPlan> plan_cgroup_change(const Input& in, const CgroupLocations& cgroups,
                                      const std::optional<std::uint64_t>& memory_limit) {
  CgroupPlan plan;
  plan.mode = in.host.cgroup.mode;
  for (bool v2 : {false, true}) {
    for (const CgroupLocation& location : cgroups) {
      if (location.v2 != v2) continue;
      plan.directories.push_back(existing_directory(in.host.cgroup, location));
    }
  }
  for (const ControllerNames& names : kControllers) TRY(add_limits(in, names, memory_limit, plan));
  TRY(add_unified(in, plan));
  enable_only_what_is_written(plan);
  if (!in.os.resources.devices.empty()) add_device_rules(in, plan);
  return plan;
}

CgroupLocations locations(const CgroupPlan& plan) {
  CgroupLocations out;
  for (const CgroupDirectory& directory : plan.directories) {
    out.push_back(
        {directory.controllers, join_path(directory.mount_point, directory.path), directory.v2});
  }
  return out;
}

}  // namespace caisson::plan
