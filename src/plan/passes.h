// The passes of the compiler, one file each; compile.cc runs them in order. Internal to plan/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "plan/compile.h"
#include "plan/executor.h"
#include "plan/host_facts.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

// What every pass reads. `notices` is the one thing that all of them write.
struct Input {
  const spec::ContainerSpec& spec;
  const spec::Linux& os;  // an empty one when the spec has none
  const HostFacts& host;
  const Options& options;
  Strings& notices;

  // We are not root of the host: its devices, its cgroup roots and its other users are out of
  // reach.
  bool limited() const { return options.rootless || host.in_user_namespace || !host.privileged; }
};

// The host lacks what the spec asks for; the spec itself may be right.
Error unsupported(std::string cause);
// The spec is wrong.
Error invalid(std::string cause);

// namespaces.cc
Result<NamespacePlan> plan_namespaces(const Input& in);
// The container's processes live in a user namespace other than ours.
bool other_user_namespace(const NamespacePlan& namespaces);
// What the container can't do for lack of privilege over the host's objects: device nodes, sysfs of
// the host's network. True in every user namespace but the initial one.
bool in_any_user_namespace(const Input& in, const NamespacePlan& namespaces);
// Whether an id of the container's user namespace, be it ours, stands for one outside; true for
// everything when there is no map to look at.
enum class IdKind { kUser, kGroup };
bool is_mapped(const Input& in, const NamespacePlan& namespaces, IdKind kind, std::uint32_t id);

// mounts.cc
Result<MountPlan> plan_mounts(const Input& in, const NamespacePlan& namespaces);
Result<MountPlan> plan_live_mounts(const Input& in, const NamespacePlan& namespaces,
                                   const std::vector<spec::Mount>& mounts);
// The steps of one mount of the description, appended to `steps`; those that have to wait until
// everything stands go to `final_steps`.
struct MountSink {
  std::vector<MountStep>& steps;
  std::vector<MountStep>& final_steps;
};
Result<> add_mount(const Input& in, const NamespacePlan& namespaces, const spec::Mount& mount,
                   const std::string& origin, MountSink sink);

// A path in the container as a description names it; that of the root file system on the host may
// stand before it.
std::string target_path(const spec::ContainerSpec& spec, std::string_view destination);

// rootfs_view.cc: the root steps of a machine view and the mounts that every view has, less those
// that the spec mounts itself.
Result<> add_machine_view(const Input& in, const NamespacePlan& namespaces, MountPlan& plan,
                          MountSink sink);

// devices.cc: what is in /dev beside mounts.
Result<> add_devices(const Input& in, const NamespacePlan& namespaces,
                     std::vector<MountStep>& steps);
// Rules for the device controller: deny all, the spec's rules, what every container may use.
std::vector<CgroupDevice> device_rules(const spec::Resources& resources);

// sandbox.cc: when the description asks for that wall, plan.sandbox and what its mounts need
// beside those of the description. After all other passes.
Result<> plan_sandbox(const Input& in, Plan& plan);

// cgroup.cc
Result<CgroupPlan> plan_cgroup(const Input& in, const NamespacePlan& namespaces);
// The writes of the spec's resources to cgroups that are there and in use. `memory_limit` is their
// present one; absent: none. Device rules are planned when the resources have some.
Result<CgroupPlan> plan_cgroup_change(const Input& in, const CgroupLocations& cgroups,
                                      const std::optional<std::uint64_t>& memory_limit);

// scope.cc: the unit that cgroupsPath asks for, without limits.
Result<ScopePlan> plan_scope(const Input& in);
// Where that unit's cgroup is expected below a hierarchy's mount point.
std::string scope_path(const Input& in, const ScopePlan& scope, const CgroupHierarchy& hierarchy);
// Adds what the plan's directories and devices say in systemd's words, then what annotations ask
// for.
Result<> add_scope_properties(const Input& in, CgroupPlan& plan);
// What systemd has to know of the plan's writes and device rules when a running scope changes.
std::vector<ScopeProperty> changed_properties(const CgroupPlan& plan);

// process.cc
Result<ProcessPlan> plan_process(const Input& in, const spec::Process& process,
                                 const NamespacePlan& namespaces);

// sysctl.cc
Result<std::vector<SysctlStep>> plan_sysctls(const Input& in);
// "net.ipv4.conf.eth0/1.forwarding" and "net/ipv4/conf/eth0.1/forwarding" both give the latter: the
// first separator decides which of '.' and '/' separates, as in sysctl(8). Empty when malformed.
std::optional<std::string> sysctl_path(std::string_view key);

}  // namespace caisson::plan
