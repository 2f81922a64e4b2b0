#include <algorithm>
#include <ranges>
#include <string_view>

#include "base/text.h"
#include "plan/capabilities.h"
#include "plan/passes.h"
#include "plan/process_tables.h"
#include "plan/seccomp.h"

namespace caisson::plan {
namespace {

// The last setting of a variable counts, at its own place, as with every shell.
Result<Strings> plan_environment(const Strings& wanted, bool& set_home) {
  Strings env;
  std::vector<std::string_view> seen;
  set_home = true;
  for (const std::string& entry : wanted | std::views::reverse) {
    auto separator = entry.find('=');
    if (separator == std::string::npos || separator == 0 || entry.find('\0') != std::string::npos) {
      return std::unexpected(invalid(cat(quoted(entry), " is no environment variable"))
                                 .where("process.env")
                                 .cure("Write NAME=value."));
    }
    std::string_view name = std::string_view(entry).substr(0, separator);
    if (std::ranges::find(seen, name) != seen.end()) continue;
    seen.push_back(name);
    if (name == "HOME") {
      if (entry.size() == separator + 1) continue;
      set_home = false;
    }
    env.push_back(entry);
  }
  std::ranges::reverse(env);
  return env;
}

Result<> check_mapped(const Input& in, const NamespacePlan& namespaces, std::uint32_t id,
                      IdKind kind, std::string_view where) {
  if (is_mapped(in, namespaces, kind, id)) return {};
  const bool group = kind == IdKind::kGroup;
  const bool ours = !other_user_namespace(namespaces);
  return std::unexpected(
      invalid(cat(group ? "gid " : "uid ", id, " is not mapped in the container's user namespace"))
          .where(where)
          .cure(ours ? "Map it in the user namespace that this command runs in, or use another id."
                : group ? "Map it in linux.gidMappings, or use another id."
                        : "Map it in linux.uidMappings, or use another id."));
}

Result<> plan_user(const spec::User& user, const NamespacePlan& namespaces, const Input& in,
                   ProcessPlan& plan) {
  plan.uid = user.uid;
  plan.gid = user.gid;
  plan.umask = user.umask;
  plan.additional_gids = user.additional_gids;
  TRY(check_mapped(in, namespaces, user.uid, IdKind::kUser, "process.user.uid"));
  TRY(check_mapped(in, namespaces, user.gid, IdKind::kGroup, "process.user.gid"));
  for (std::uint32_t gid : user.additional_gids) {
    TRY(check_mapped(in, namespaces, gid, IdKind::kGroup, "process.user.additionalGids"));
  }
  const bool joined = namespaces.of(NamespaceKind::kUser).action == NamespaceAction::kJoin;
  const bool denied = namespaces.ids.deny_setgroups || in.host.setgroups_denied;
  // The caller's groups give access that no number in the container could stand for.
  const bool keep = in.spec.annotations.contains("run.oci.keep_original_groups");
  plan.set_groups = !denied && !keep && (in.host.privileged || !joined);
  if (keep) return {};
  if (plan.set_groups || user.additional_gids.empty()) return {};
  return std::unexpected(
      Error::with_cause(EPERM, "groups cannot be set in a user namespace that maps one group only")
          .code("host.unprivileged")
          .where("process.user.additionalGids")
          .cure("Map more groups (newgidmap with a range in /etc/subgid), or leave additionalGids "
                "out."));
}

Result<> plan_labels(const spec::Process& process, const HostFacts& host, ProcessPlan& plan) {
  if (process.apparmor_profile && !process.apparmor_profile->empty()) {
    if (!host.apparmor) {
      return std::unexpected(
          unsupported("apparmor profile is specified in config, but apparmor is disabled "
                      "or not supported on this host")
              .where("process.apparmorProfile")
              .cure("Leave the field out, or enable AppArmor."));
    }
    plan.apparmor_profile = process.apparmor_profile;
  }
  if (process.selinux_label && !process.selinux_label->empty()) {
    if (!host.selinux) {
      return std::unexpected(
          unsupported("selinux label is specified in config, but selinux is disabled or "
                      "not supported on this host")
              .where("process.selinuxLabel")
              .cure("Leave the field out, or enable SELinux."));
    }
    plan.selinux_label = process.selinux_label;
  }
  return {};
}

// What the new process can hold at most: everything in a new user namespace, what we hold
// otherwise.
std::uint64_t grantable_capabilities(const Input& in, const NamespacePlan& namespaces) {
  std::uint64_t all = all_capabilities(in.host.last_capability);
  if (other_user_namespace(namespaces)) return all;
  return all & in.host.own_capabilities.value_or(all);
}

Result<> plan_attributes(const Input& in, const spec::Process& process, ProcessPlan& plan) {
  plan.rlimits = TRY(plan_rlimits(process.rlimits));
  if (process.scheduler) plan.scheduler = TRY(plan_scheduler(*process.scheduler));
  if (process.io_priority) plan.io_priority = TRY(plan_io_priority(*process.io_priority));
  if (in.os.memory_policy) plan.memory_policy = TRY(plan_memory_policy(*in.os.memory_policy));
  if (in.os.personality) plan.personality = TRY(plan_personality(*in.os.personality));
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    return std::unexpected(invalid(cat(*process.oom_score_adj, " is not within -1000..1000"))
                               .where("process.oomScoreAdj"));
  }
  plan.oom_score_adj = process.oom_score_adj;
  plan.oom_score_adj_optional = in.limited();
  return {};
}

Result<std::vector<std::uint64_t>> plan_cpus(const std::string& list, std::string_view where) {
  auto cpus = parse_bit_list(list);
  if (!cpus) {
    return std::unexpected(invalid(cat(quoted(list), " is no list of processors"))
                               .where(where)
                               .cure("Write it like \"0-3,7\"."));
  }
  return *std::move(cpus);
}

// Who is notified: the agent that the profile names, or the one of the annotation, or the caller's.
Result<std::string> seccomp_receiver(const Input& in, const spec::Seccomp& seccomp) {
  if (!seccomp.listener_path.empty()) return seccomp.listener_path;
  std::string where = "annotations.run.oci.seccomp.receiver";
  auto annotation = in.spec.annotations.find("run.oci.seccomp.receiver");
  std::string path;
  if (annotation != in.spec.annotations.end()) {
    path = annotation->second;
  } else {
    path = in.options.seccomp_receiver;
    where = "RUN_OCI_SECCOMP_RECEIVER";
  }
  if (path.empty() || path.starts_with('/')) return path;
  return std::unexpected(
      invalid(cat("the seccomp receiver ", quoted(path), " is not an absolute path")).where(where));
}

Result<SeccompPlan> plan_seccomp(const Input& in) {
  if (!in.os.seccomp) return SeccompPlan{};
  const spec::Seccomp& seccomp = *in.os.seccomp;
  const std::string receiver = TRY(seccomp_receiver(in, seccomp));
  spec::Seccomp completed;
  if (receiver != seccomp.listener_path) {
    completed = seccomp;
    completed.listener_path = receiver;
  }
  const bool as_is = receiver == seccomp.listener_path;
  // Profiles name system calls of all kernels and architectures: what is unknown is shown by
  // `explain`, and not told at every start.
  return compile_seccomp(as_is ? seccomp : completed, native_arch());
}

}  // namespace

Result<ProcessPlan> plan_process(const Input& in, const spec::Process& process,
                                 const NamespacePlan& namespaces) {
  ProcessPlan plan;
  plan.args = process.args;
  plan.env = TRY(plan_environment(process.env, plan.set_home));
  if (!in.options.notify_directory.empty()) {
    std::erase_if(plan.env, [](const auto& entry) { return entry.starts_with("NOTIFY_SOCKET="); });
    plan.env.emplace_back("NOTIFY_SOCKET=/run/notify/notify.sock");
  }
  plan.cwd = process.cwd;
  TRY(plan_user(process.user, namespaces, in, plan));
  plan.capabilities = plan_capabilities(process.capabilities ? &*process.capabilities : nullptr,
                                        grantable_capabilities(in, namespaces), in.notices);
  TRY(plan_attributes(in, process, plan));
  TRY(plan_labels(process, in.host, plan));
  plan.seccomp = TRY(plan_seccomp(in));
  plan.no_new_privileges = process.no_new_privileges;
  plan.terminal = process.terminal;
  if (process.terminal && process.console_size) {
    plan.console_rows = process.console_size->height;
    plan.console_columns = process.console_size->width;
  }
  if (process.exec_cpu_affinity) {
    const spec::ExecCpuAffinity& affinity = *process.exec_cpu_affinity;
    plan.cpus_initial = TRY(plan_cpus(affinity.initial, "process.execCPUAffinity.initial"));
    plan.cpus_final = TRY(plan_cpus(affinity.final_set, "process.execCPUAffinity.final"));
  }
  plan.new_session_keyring = !in.options.no_new_keyring;
  plan.keyring_name = cat("_ses.", in.options.id);
  return plan;
}

}  // namespace caisson::plan
