#include "plan/checkpoint.h"

namespace caisson::plan {
namespace {

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Error not_saved(std::string cause, std::string_view origin) {
  return Error::with_cause(EOPNOTSUPP, std::move(cause))
      .doing("save the container")
      .where(origin)
      .code("checkpoint.unsupported");
}

// Without a cgroup namespace the container has binds of the host's hierarchies.
void add_cgroups(const MountStep& step, const CgroupPlan& cgroups,
                 std::vector<ExternalMount>& out) {
  if (cgroups.own_namespace || cgroups.mode == CgroupMode::kNone) return;
  auto source = [](const CgroupDirectory& directory) {
    return cat(directory.mount_point, directory.path == "/" ? "" : directory.path);
  };
  if (cgroups.mode == CgroupMode::kV2) {
    const auto& all = cgroups.directories.empty() ? cgroups.inherited : cgroups.directories;
    if (!all.empty()) out.push_back({step.target, source(all.back()), false});
    return;
  }
  for (const auto* directories : {&cgroups.directories, &cgroups.inherited}) {
    for (const auto& directory : *directories) {
      out.push_back(
          {cat(step.target, "/", last_part(directory.mount_point)), source(directory), false});
    }
  }
}

MountStep placeholder(const MountStep& step) {
  MountStep out;
  out.op = MountOp::kNewFilesystem;
  out.type = "tmpfs";
  out.target = step.target;
  out.if_missing = step.if_missing;
  out.no_symlink_target = step.no_symlink_target;
  out.inside_directory_only = step.inside_directory_only;
  out.optional = step.optional;
  out.origin = step.origin;
  return out;
}

}  // namespace

Result<std::vector<ExternalMount>> external_mounts(const Plan& plan, const CgroupPlan& cgroups) {
  if (plan.mounts.root.machine_view) {
    return std::unexpected(
        not_saved("its root is a view of this machine, whose changes no image takes", "root")
            .cure("only containers with a root file system of their own can be saved (--rootfs)"));
  }
  std::vector<ExternalMount> out{{"", plan.mounts.root.path, true}};
  for (const auto& step : plan.mounts.steps) {
    if (step.op == MountOp::kCgroup) {
      add_cgroups(step, cgroups, out);
    } else if (step.op == MountOp::kBind) {
      if (!step.uid_mappings.empty()) {
        return std::unexpected(
            not_saved("CRIU does not restore the id map of a mount", step.origin)
                .cure("leave the map out, or give the files the owners that are wanted"));
      }
      out.push_back({step.target, step.source, step.recursive});
    } else if (step.op == MountOp::kDeviceNode && step.bind_device) {
      out.push_back({step.target, step.source, false});
    }
  }
  return out;
}

MountPlan mount_point_plan(const MountPlan& plan) {
  MountPlan out;
  out.root = plan.root;
  for (const auto& step : plan.steps) {
    switch (step.op) {
      case MountOp::kNewFilesystem:
      case MountOp::kCopyUp:
      case MountOp::kCgroup: out.steps.push_back(placeholder(step)); break;
      case MountOp::kBind:
      case MountOp::kSymlink:
      case MountOp::kDirectory:
      case MountOp::kDeviceNode: out.steps.push_back(step); break;
      case MountOp::kConsole: {
        // Its target in a /dev that is none of ours.
        MountStep file = placeholder(step);
        file.op = MountOp::kBind;
        file.type.clear();
        file.source = "/dev/null";
        file.if_missing = IfMissing::kMakeFile;
        out.steps.push_back(std::move(file));
        break;
      }
      case MountOp::kOverlayView:
      case MountOp::kSetAttributes:
      case MountOp::kUnmount:
      case MountOp::kPropagation:
      case MountOp::kMask:
      case MountOp::kReadonlyPath: break;
    }
  }
  return out;
}

}  // namespace caisson::plan
