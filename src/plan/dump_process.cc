#include "base/text.h"
#include "plan/capabilities.h"
#include "plan/dump_nodes.h"

namespace caisson::plan {
namespace {

std::string limit_text(std::uint64_t limit) {
  return limit == UINT64_MAX ? "unlimited" : cat(limit);
}

void dump_user(const ProcessPlan& plan, DumpNode& node) {
  node.summary = cat(plan.uid, ':', plan.gid);
  if (!plan.additional_gids.empty()) append(node.summary, " and ", join(plan.additional_gids, ","));
  if (!plan.set_groups) node.summary += " (groups are kept)";
  if (plan.umask) append(node.summary, " umask ", octal(*plan.umask));
  NodeBuilder user(node);
  user.number("uid", plan.uid);
  user.number("gid", plan.gid);
  if (!plan.additional_gids.empty()) {
    NodeBuilder gids(user.list("additionalGids"));
    for (std::uint32_t gid : plan.additional_gids) gids.number("", gid);
  }
  user.flag("keepGroups", !plan.set_groups);
  if (plan.umask) user.number("umask", *plan.umask);
}

void dump_capabilities(const CapabilityPlan& plan, DumpNode& node) {
  NodeBuilder sets(node);
  sets.text("bounding", capability_names(plan.bounding));
  sets.text("effective", capability_names(plan.effective));
  sets.text("inheritable", capability_names(plan.inheritable));
  sets.text("permitted", capability_names(plan.permitted));
  sets.text("ambient", capability_names(plan.ambient));
  if (node.children.empty()) node.summary = "none";
}

void dump_rlimits(const std::vector<RlimitStep>& rlimits, NodeBuilder& fields) {
  if (rlimits.empty()) return;
  NodeBuilder list(fields.list("rlimits"));
  for (const RlimitStep& limit : rlimits) {
    DumpNode& node = list.add(DumpNode::Kind::kMap, "");
    node.summary = cat(limit.name, ' ', limit_text(limit.soft), ' ', limit_text(limit.hard));
    NodeBuilder fields_of_limit(node);
    fields_of_limit.text("type", limit.name);
    fields_of_limit.number("soft", limit.soft);
    fields_of_limit.number("hard", limit.hard);
  }
}

void dump_scheduler(const SchedulerPlan& plan, DumpNode& node) {
  NodeBuilder fields(node);
  fields.number("policy", plan.policy);
  fields.number("flags", plan.flags);
  fields.number("nice", plan.nice);
  fields.number("priority", plan.priority);
  fields.number("runtime", plan.runtime);
  fields.number("deadline", plan.deadline);
  fields.number("period", plan.period);
}

void dump_scheduling(const ProcessPlan& plan, NodeBuilder& fields) {
  if (plan.scheduler) dump_scheduler(*plan.scheduler, fields.map("scheduler"));
  if (plan.io_priority) fields.number("ioPriority", *plan.io_priority);
  if (plan.memory_policy) {
    NodeBuilder policy(fields.map("memoryPolicy"));
    policy.number("mode", plan.memory_policy->mode);
    NodeBuilder words(policy.list("nodes"));
    for (std::uint64_t word : plan.memory_policy->nodes) words.number("", word);
  }
  if (plan.personality) fields.number("personality", *plan.personality);
  if (plan.oom_score_adj) fields.number("oomScoreAdj", *plan.oom_score_adj);
}

void dump_seccomp(const SeccompPlan& plan, NodeBuilder& fields) {
  if (plan.program.empty()) return;
  NodeBuilder seccomp(fields.map("seccomp"));
  seccomp.number("instructions", plan.program.size());
  seccomp.number("flags", plan.filter_flags);
  if (!plan.unknown_syscalls.empty()) seccomp.texts("unknownSyscalls", plan.unknown_syscalls);
  seccomp.text("listenerPath", plan.listener_path);
}

}  // namespace

void dump_process(const ProcessPlan& plan, DumpNode& node) {
  NodeBuilder fields(node);
  fields.texts("args", plan.args);
  fields.texts("env", plan.env);
  fields.flag("homeFromPasswd", plan.set_home);
  fields.text("cwd", plan.cwd);
  dump_user(plan, fields.map("user"));
  if (plan.capabilities.apply) dump_capabilities(plan.capabilities, fields.map("capabilities"));
  dump_rlimits(plan.rlimits, fields);
  fields.flag("noNewPrivileges", plan.no_new_privileges);
  if (plan.apparmor_profile) fields.text("apparmorProfile", *plan.apparmor_profile);
  if (plan.selinux_label) fields.text("selinuxLabel", *plan.selinux_label);
  dump_scheduling(plan, fields);
  fields.flag("terminal", plan.terminal);
  if (plan.console_rows != 0 || plan.console_columns != 0) {
    fields.text("consoleSize", cat(plan.console_columns, 'x', plan.console_rows));
  }
  if (plan.new_session_keyring) fields.text("keyring", plan.keyring_name);
  dump_seccomp(plan.seccomp, fields);
}

}  // namespace caisson::plan
