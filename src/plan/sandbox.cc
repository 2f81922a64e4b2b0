#include "plan/sandbox.h"

#include <linux/capability.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {
namespace {

std::string_view annotation(const spec::ContainerSpec& spec, std::string_view name) {
  auto found = spec.annotations.find(std::string(name));
  return found == spec.annotations.end() ? std::string_view() : std::string_view(found->second);
}

std::unexpected<Error> bad_value(std::string_view name, std::string_view value,
                                 std::string_view known) {
  return std::unexpected(invalid(cat(quoted(value), " is not a value of it"))
                             .where("annotations.", name)
                             .cure("Use ", known, "."));
}

Result<FileAccess> file_access(const spec::ContainerSpec& spec, std::string_view name,
                               FileAccess otherwise) {
  auto value = annotation(spec, name);
  if (value.empty()) return otherwise;
  if (value == "exclusive") return FileAccess::kExclusive;
  if (value == "shared") return FileAccess::kShared;
  return bad_value(name, value, "exclusive or shared");
}

Result<> read_overlay(const spec::ContainerSpec& spec, SandboxPlan& out) {
  auto value = annotation(spec, kOverlayAnnotation);
  out.overlay_root = spec.root_source == spec::RootSource::kMachineView;
  if (value.empty()) return {};
  constexpr std::string_view kKnown = "none, memory, memory,size=BYTES or the path of a directory";
  for (bool first = true; auto part : split(value, ',')) {
    if (part.starts_with("size=")) {
      auto size = parse_number<std::uint64_t>(part.substr(5));
      if (!size) return bad_value(kOverlayAnnotation, value, kKnown);
      out.overlay_size = *size;
    } else if (first && part == "none") {
      if (out.overlay_root) {
        return std::unexpected(invalid("a view of this machine cannot be written through")
                                   .where("annotations.", kOverlayAnnotation)
                                   .cure("Leave it out, or name a root file system."));
      }
    } else if (first && part == "memory") {
      out.overlay_root = true;
    } else if (first && part.starts_with('/')) {
      out.overlay_root = true;
      out.overlay_directory = clean_path(part);
    } else {
      return bad_value(kOverlayAnnotation, value, kKnown);
    }
    first = false;
  }
  if (!out.overlay_directory.empty() && out.overlay_size != 0) {
    return std::unexpected(invalid("the size of a folder is not limited")
                               .where("annotations.", kOverlayAnnotation)
                               .cure("Leave size= out, or use memory."));
  }
  return {};
}

// The same file system twice on one place hides the first, which nobody can have wanted.
bool has_target(const MountPlan& mounts, std::string_view target) {
  return std::ranges::any_of(mounts.steps, [&](const MountStep& step) {
    bool attaches = step.op == MountOp::kNewFilesystem || step.op == MountOp::kBind ||
                    step.op == MountOp::kCopyUp;
    return attaches && step.target == target;
  });
}

MountStep new_filesystem(std::string_view type, std::string_view target) {
  MountStep step;
  step.op = MountOp::kNewFilesystem;
  step.type = type;
  step.source = type;
  step.target = target;
  step.origin = "default";
  return step;
}

// Programs cannot do without these: they come first, so that mounts of the description may lie in
// them.
void add_mandatory(MountPlan& mounts) {
  std::vector<MountStep> first;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kMandatory = {
      {{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/dev"}, {"devpts", "/dev/pts"}}};
  for (auto [type, target] : kMandatory) {
    if (has_target(mounts, target)) continue;
    first.push_back(new_filesystem(type, target));
    if (type == "tmpfs") first.back().options.push_back({"mode", "755"});
  }
  mounts.steps.insert(mounts.steps.begin(), first.begin(), first.end());
  if (has_target(mounts, "/tmp") || mounts.root.machine_view) return;
  // The last before the masks: only where the image has none, or an empty one.
  MountStep tmp = new_filesystem("tmpfs", "/tmp");
  tmp.options.push_back({"mode", "1777"});
  tmp.origin = "default /tmp";
  auto final_step = std::ranges::find(mounts.steps, Phase::kFinal, &MountStep::phase);
  mounts.steps.insert(final_step, std::move(tmp));
}

Result<> check_propagation(const MountPlan& mounts) {
  constexpr std::uint64_t kShared = 1UL << 20;  // MS_SHARED
  auto refuse = [](std::string_view where) {
    return std::unexpected(invalid("nothing is shared with mounts outside of a sandbox")
                               .where(where)
                               .cure("Use private or slave propagation."));
  };
  if ((mounts.root.propagation & kShared) != 0) return refuse("linux.rootfsPropagation");
  for (const auto& step : mounts.steps) {
    if ((step.propagation & kShared) != 0) return refuse(step.origin);
  }
  return {};
}

// Types that this kernel has no file system for are left out, as their absence rarely matters.
void drop_unknown_types(const Input& in, MountPlan& mounts) {
  constexpr auto kKnown = std::to_array<std::string_view>(
      {"proc", "sysfs", "tmpfs", "ramfs", "devpts", "devtmpfs", "mqueue", "none"});
  std::erase_if(mounts.steps, [&](const MountStep& step) {
    if (step.op != MountOp::kNewFilesystem || std::ranges::find(kKnown, step.type) != kKnown.end())
      return false;
    in.notices.push_back(cat(step.origin, ": the sandbox has no file system of type ", step.type,
                             "; ", step.target, " is left out"));
    return true;
  });
}

// Kubernetes' runtimes say of each container which pod's it is, and which one makes the pod.
struct PodNames {
  std::string_view type, sandbox;
};
constexpr PodNames kPodNames[] = {
    {"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},
    {"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"},
};

std::string joined_sandbox(const spec::ContainerSpec& spec) {
  auto named = annotation(spec, kSandboxAnnotation);
  if (!named.empty()) return std::string(named);
  for (const auto& names : kPodNames)
    if (annotation(spec, names.type) == "container")
      return std::string(annotation(spec, names.sandbox));
  return {};
}

// A namespace that is joined by its path can only be the pod's.
bool is_own(const NamespacePlan& namespaces, NamespaceKind kind) {
  return namespaces.of(kind).action == NamespaceAction::kNew;
}

Result<> read_joined(const Input& in, const Plan& plan, SandboxPlan& out) {
  out.joined = joined_sandbox(in.spec);
  if (out.joined.empty()) return {};
  if (out.joined == plan.id) {
    return std::unexpected(invalid("a container cannot join its own sandbox")
                               .where("annotations.", kSandboxAnnotation)
                               .cure("name another container, which runs"));
  }
  out.own_pids = is_own(plan.namespaces, NamespaceKind::kPid);
  out.own_ipc = is_own(plan.namespaces, NamespaceKind::kIpc);
  out.own_names = is_own(plan.namespaces, NamespaceKind::kUts);
  return {};
}

// How many "0-3,7" names; 0: it is no such list, which the cgroup's pass refuses.
std::uint32_t processor_count(std::string_view list) {
  std::uint32_t count = 0;
  for (auto part : split(list, ',')) {
    auto [first, last] = split_once(part, '-');
    auto from = parse_number<std::uint32_t>(first);
    auto to = last.empty() ? from : parse_number<std::uint32_t>(last);
    if (!from || !to || *to < *from) return 0;
    count += *to - *from + 1;
  }
  return count;
}

// Whether others set its network up: it is joined, the host's, or what hooks make of a new one.
// What nobody sets up is the sandbox's own, among its containers.
bool is_set_up(const Plan& plan) {
  bool hooks = !plan.hooks.prestart.empty() || !plan.hooks.create_runtime.empty();
  return !plan.namespaces.is_new(NamespaceKind::kNetwork) || hooks;
}

std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

}  // namespace

bool wants_sandbox(const spec::ContainerSpec& spec) {
  return annotation(spec, kWallAnnotation) == "sandbox";
}

std::string overlay_folder(const std::map<std::string, std::string>& annotations) {
  auto found = annotations.find(std::string(kOverlayAnnotation));
  if (found == annotations.end()) return {};
  auto first = split_once(found->second, ',').first;
  return first.starts_with('/') ? clean_path(first) : std::string();
}

std::string sandbox_socket_name(std::string_view id) { return cat(id, ",sandbox"); }
std::string sandbox_notes_name(std::string_view id) { return cat(id, ",d/missing_calls"); }

GuestLimits guest_limits(const spec::Resources& resources) {
  GuestLimits limits;
  auto positive = [](auto value) {
    return value && *value > 0 ? static_cast<std::uint64_t>(*value) : 0;
  };
  if (resources.memory) limits.memory_bytes = positive(resources.memory->limit);
  limits.processes = positive(resources.pids_limit);
  if (!resources.cpu) return limits;
  limits.cpu_quota_us = positive(resources.cpu->quota);
  if (auto period = positive(resources.cpu->period)) limits.cpu_period_us = period;
  limits.cpu_weight = cpu_weight(resources.cpu->shares.value_or(0));
  if (resources.cpu->cpus) limits.processors = processor_count(*resources.cpu->cpus);
  return limits;
}

Result<> plan_sandbox(const Input& in, Plan& plan) {
  auto wall = annotation(in.spec, kWallAnnotation);
  if (wall.empty() || wall == "namespaces") return {};
  if (wall != "sandbox") return bad_value(kWallAnnotation, wall, "namespaces or sandbox");
  SandboxPlan sandbox;
  sandbox.platform = annotation(in.spec, kPlatformAnnotation);
  constexpr std::string_view kPlatforms[] = {"", "ptrace", "systrap", "systrap,nopatch"};
  if (std::ranges::find(kPlatforms, sandbox.platform) == std::end(kPlatforms))
    return bad_value(kPlatformAnnotation, sandbox.platform, "systrap, systrap,nopatch or ptrace");
  sandbox.host_network = is_set_up(plan);
  sandbox.root_access = TRY(file_access(in.spec, kFileAccessAnnotation, FileAccess::kExclusive));
  sandbox.mount_access = TRY(file_access(in.spec, kMountAccessAnnotation, FileAccess::kShared));
  sandbox.strace = annotation(in.spec, kStraceAnnotation);
  for (auto call : split(annotation(in.spec, kStraceCallsAnnotation), ','))
    if (!call.empty()) sandbox.strace_calls.emplace_back(call);
  if (in.spec.linux_part) sandbox.limits = guest_limits(in.spec.linux_part->resources);
  TRY(read_joined(in, plan, sandbox));
  TRY(read_overlay(in.spec, sandbox));
  TRY(check_propagation(plan.mounts));
  drop_unknown_types(in, plan.mounts);
  add_mandatory(plan.mounts);
  plan.sandbox = std::move(sandbox);
  return {};
}

Plan jail_of(const Plan& plan) {
  Plan jail;
  jail.id = plan.id;
  jail.namespaces = plan.namespaces;
  for (auto kind :
       {NamespaceKind::kPid, NamespaceKind::kMount, NamespaceKind::kIpc, NamespaceKind::kUts}) {
    auto& step = jail.namespaces.steps[static_cast<std::size_t>(kind)];
    step.action = NamespaceAction::kNew;
    step.path.clear();
  }
  jail.namespaces.time_offsets.clear();
  jail.mounts.root.machine_view = true;
  jail.mounts.root.empty_tmpfs = true;
  jail.mounts.root.readonly = true;
  // Where the kernel process finds its own vDSO before it gives paths up.
  MountStep proc = new_filesystem("proc", "/proc");
  proc.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  proc.inside_directory_only = true;
  jail.mounts.steps.push_back(std::move(proc));
  jail.cgroup = plan.cgroup;
  jail.resctrl = plan.resctrl;
  jail.process.cwd = "/";
  jail.process.no_new_privileges = true;
  jail.process.oom_score_adj = plan.process.oom_score_adj;
  jail.process.oom_score_adj_optional = plan.process.oom_score_adj_optional;
  jail.process.scheduler = plan.process.scheduler;
  jail.process.io_priority = plan.process.io_priority;
  jail.process.set_groups = plan.process.set_groups;
  auto& capabilities = jail.process.capabilities;
  capabilities.apply = true;
  std::uint64_t files = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) |
                        bit(CAP_FOWNER) | bit(CAP_FSETID) | bit(CAP_MKNOD);
  // For the gofer to confine itself; the kernel process gives all of them up before it reads
  // anything of the guest.
  files |= bit(CAP_SYS_ADMIN) | bit(CAP_SETPCAP);
  if (plan.sandbox && plan.sandbox->host_network) {
    files |= plan.process.capabilities.bounding & bit(CAP_NET_BIND_SERVICE);
    std::ranges::copy_if(plan.sysctls, std::back_inserter(jail.sysctls),
                         [](const auto& sysctl) { return sysctl.path.starts_with("net/"); });
  }
  capabilities.bounding = capabilities.permitted = capabilities.effective = files;
  return jail;
}

}  // namespace caisson::plan
