#include <array>
#include <string_view>

#include "base/text.h"
#include "plan/passes.h"

namespace caisson::plan {
namespace {

Result<std::vector<NamespaceStep>> namespace_steps(const Input& in) {
  std::vector<NamespaceStep> steps(spec::kNamespaceKinds);
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i].kind = static_cast<NamespaceKind>(i);
  for (const spec::Namespace& wanted : in.os.namespaces) {
    NamespaceStep& step = steps[static_cast<std::size_t>(wanted.kind)];
    if (step.action != NamespaceAction::kKeep) {
      return std::unexpected(
          invalid("the same kind of namespace is asked for twice").where("linux.namespaces"));
    }
    step.action = wanted.path.empty() ? NamespaceAction::kNew : NamespaceAction::kJoin;
    step.path = wanted.path;
  }
  return steps;
}

bool maps_only(const std::vector<IdMapping>& mappings, std::uint32_t host_id) {
  return mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == host_id;
}

// user_namespaces(7): whoever lacks CAP_SETUID over the parent namespace may write a map of one
// line that maps the own id only, and the group map only after setgroups(2) is denied.
Result<IdMapPlan> new_id_map(const Input& in) {
  IdMapPlan ids{IdMapMethod::kDirect, in.os.uid_mappings, in.os.gid_mappings, false};
  if (ids.uid.empty() || ids.gid.empty()) {
    return std::unexpected(
        invalid(cat("User namespaces enabled, but no ", ids.uid.empty() ? "uid" : "gid",
                    " mappings found."))
            .where(ids.uid.empty() ? "linux.uidMappings" : "linux.gidMappings")
            .cure("Add linux.uidMappings and linux.gidMappings, for example {\"containerID\": 0, "
                  "\"hostID\": ",
                  in.host.uid, ", \"size\": 1}."));
  }
  if (in.host.privileged) return ids;
  const bool own_gid_only = maps_only(ids.gid, in.host.gid);
  const bool single = maps_only(ids.uid, in.host.uid) && own_gid_only;
  ids.method = single ? IdMapMethod::kSingle : IdMapMethod::kHelpers;
  ids.deny_setgroups = own_gid_only;
  if (single) {
    in.notices.push_back(
        "one id is mapped: files of other owners show as nobody's, and no other "
        "user can be taken on");
  }
  return ids;
}

Result<IdMapPlan> plan_ids(const Input& in, const NamespaceStep& user) {
  switch (user.action) {
    case NamespaceAction::kNew: return new_id_map(in);
    case NamespaceAction::kJoin:
      // The maps are there already; those of the spec, if any, describe them.
      return IdMapPlan{IdMapMethod::kNone, in.os.uid_mappings, in.os.gid_mappings, false};
    case NamespaceAction::kKeep: break;
  }
  if (!in.os.uid_mappings.empty() || !in.os.gid_mappings.empty()) {
    return std::unexpected(invalid("id mappings are given, but no user namespace")
                               .where("linux.uidMappings")
                               .cure("Add {\"type\": \"user\"} to linux.namespaces."));
  }
  return IdMapPlan{};
}

Result<> check_privilege(const Input& in, const NamespacePlan& plan) {
  if (in.host.privileged || plan.of(NamespaceKind::kUser).action != NamespaceAction::kKeep)
    return {};
  return std::unexpected(
      Error::with_cause(EPERM, "an ordinary user can make containers in a user namespace only")
          .code("host.unprivileged")
          .where("linux.namespaces")
          .cure("Add {\"type\": \"user\"} with linux.uidMappings and linux.gidMappings (as "
                "`caisson spec "
                "--rootless` does), or run as root."));
}

Result<> check_mount_namespace(const NamespacePlan& plan) {
  if (plan.of(NamespaceKind::kMount).action != NamespaceAction::kKeep) return {};
  return std::unexpected(
      unsupported("without a mount namespace the container's mounts would be the host's")
          .where("linux.namespaces")
          .cure("Add {\"type\": \"mount\"} to linux.namespaces."));
}

}  // namespace

bool other_user_namespace(const NamespacePlan& namespaces) {
  return namespaces.of(NamespaceKind::kUser).action != NamespaceAction::kKeep;
}

bool in_any_user_namespace(const Input& in, const NamespacePlan& namespaces) {
  return in.host.in_user_namespace || other_user_namespace(namespaces);
}

bool is_mapped(const Input& in, const NamespacePlan& namespaces, IdKind kind, std::uint32_t id) {
  const bool group = kind == IdKind::kGroup;
  const auto& ours = group ? in.host.gid_map : in.host.uid_map;
  const auto& others = group ? namespaces.ids.gid : namespaces.ids.uid;
  const auto& mappings = other_user_namespace(namespaces) ? others : ours;
  if (mappings.empty()) return true;
  for (const IdMapping& mapping : mappings) {
    if (id >= mapping.container_id && id - mapping.container_id < mapping.size) return true;
  }
  return false;
}

Result<NamespacePlan> plan_namespaces(const Input& in) {
  NamespacePlan plan;
  plan.steps = TRY(namespace_steps(in));
  TRY(check_mount_namespace(plan));
  TRY(check_privilege(in, plan));
  plan.ids = TRY(plan_ids(in, plan.of(NamespaceKind::kUser)));
  if (!in.os.time_offsets.empty() && !plan.is_new(NamespaceKind::kTime)) {
    return std::unexpected(invalid("clocks can be shifted in a new time namespace only")
                               .where("linux.timeOffsets")
                               .cure("Add {\"type\": \"time\"} to linux.namespaces."));
  }
  plan.time_offsets = in.os.time_offsets;
  plan.loopback_up = plan.is_new(NamespaceKind::kNetwork);
  return plan;
}

}  // namespace caisson::plan
