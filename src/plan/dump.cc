#include "plan/dump.h"

#include "base/text.h"
#include "plan/dump_nodes.h"

namespace caisson::plan {
namespace {

void dump_namespaces(const NamespacePlan& plan, DumpNode& node) {
  NodeBuilder kinds(node);
  for (const NamespaceStep& step : plan.steps) {
    std::string text;
    if (step.action == NamespaceAction::kKeep) text = "the host's";
    if (step.action == NamespaceAction::kNew) text = "new";
    if (step.action == NamespaceAction::kJoin) text = cat("joins ", step.path);
    kinds.text(name_of(step.kind), text);
  }
}

void dump_ids(const IdMapPlan& plan, NodeBuilder& fields) {
  if (plan.uid.empty() && plan.gid.empty()) return;
  constexpr std::string_view kMethods[] = {"none", "direct", "single", "helpers"};
  NodeBuilder ids(fields.map("ids"));
  ids.text("method", kMethods[static_cast<std::size_t>(plan.method)]);
  Strings uid, gid;
  for (const IdMapping& mapping : plan.uid) uid.push_back(describe(mapping));
  for (const IdMapping& mapping : plan.gid) gid.push_back(describe(mapping));
  ids.texts("uid", uid);
  ids.texts("gid", gid);
  ids.flag("denySetgroups", plan.deny_setgroups);
}

void dump_clocks(const NamespacePlan& plan, NodeBuilder& fields) {
  if (plan.time_offsets.empty()) return;
  NodeBuilder clocks(fields.map("timeOffsets"));
  for (const auto& [clock, offset] : plan.time_offsets) {
    clocks.text(clock, cat(offset.seconds, " s ", offset.nanoseconds, " ns"));
  }
}

void dump_write(const CgroupWrite& write, DumpNode& node) {
  node.summary = cat(write.file, " = ", write.value);
  if (!write.alternative_file.empty()) {
    append(node.summary, " or ", write.alternative_file, " = ", write.alternative_value);
  }
  append(node.summary, write.optional ? " optional" : "", "  (", write.field, ")");
  NodeBuilder fields(node);
  fields.text("file", write.file);
  fields.text("value", write.value);
  fields.text("alternativeFile", write.alternative_file);
  fields.text("alternativeValue", write.alternative_value);
  fields.flag("optional", write.optional);
  fields.text("field", write.field);
}

void dump_directory(const CgroupDirectory& directory, DumpNode& node) {
  NodeBuilder fields(node);
  fields.text("hierarchy", directory.v2 ? "v2" : directory.controllers);
  fields.text("mountPoint", directory.mount_point);
  fields.text("path", directory.path);
  fields.flag("required", directory.required);
  fields.flag("inheritCpuset", directory.inherit_cpuset);
  fields.text("enableControllers", join(directory.enable_controllers, " "));
  if (directory.writes.empty() && !directory.required) {
    node.summary = cat(directory.v2 ? "v2" : directory.controllers, ": ", directory.mount_point,
                       directory.path);
    if (!directory.enable_controllers.empty()) {
      append(node.summary, " with ", join(directory.enable_controllers, " "));
    }
    return;
  }
  if (directory.writes.empty()) return;
  NodeBuilder writes(fields.list("writes"));
  for (const CgroupWrite& write : directory.writes)
    dump_write(write, writes.add(DumpNode::Kind::kMap, ""));
}

std::string describe(const CgroupDevice& rule) {
  std::string out = cat(rule.allow ? "allow " : "deny ", std::string_view(&rule.type, 1), ' ');
  append(out, rule.major ? cat(*rule.major) : "*", ':', rule.minor ? cat(*rule.minor) : "*");
  append(out, ' ', rule.access);
  return out;
}

std::string describe(const ScopeProperty& property) {
  std::string out = cat(property.name, ' ', property.type, ' ');
  if (property.type == "s") {
    append(out, property.text);
  } else if (property.type == "ay") {
    for (char byte : property.text) append(out, cat(static_cast<unsigned char>(byte)), ' ');
  } else if (property.type == "as") {
    append(out, join(property.texts, " "));
  } else if (property.type == "a(ss)") {
    for (const KeyValue& pair : property.pairs) append(out, pair.key, '=', pair.value, ' ');
  } else {
    append(out, property.number);
  }
  return std::string(trim(out));
}

void dump_scope(const ScopePlan& scope, DumpNode& node) {
  NodeBuilder fields(node);
  fields.text("unit", scope.unit);
  fields.text("slice", scope.slice);
  fields.flag("user", scope.user);
  Strings properties;
  for (const ScopeProperty& property : scope.properties) properties.push_back(describe(property));
  fields.texts("properties", properties);
}

void dump_cgroup(const CgroupPlan& plan, DumpNode& node) {
  NodeBuilder fields(node);
  fields.text("mode", name_of(plan.mode));
  fields.flag("ownNamespace", plan.own_namespace);
  if (plan.owner) fields.text("owner", cat(*plan.owner));
  if (plan.tight_memory) fields.flag("tightMemory", true);
  if (plan.scope) dump_scope(*plan.scope, fields.map("scope"));
  if (!plan.directories.empty()) {
    NodeBuilder directories(fields.list("directories"));
    for (const CgroupDirectory& directory : plan.directories) {
      dump_directory(directory, directories.add(DumpNode::Kind::kMap, ""));
    }
  }
  if (!plan.device_rules) return;
  Strings rules;
  for (const CgroupDevice& rule : plan.devices) rules.push_back(describe(rule));
  fields.texts("devices", rules);
}

void dump_map(std::string_view name, const std::map<std::string, std::string>& values,
              NodeBuilder& fields) {
  if (values.empty()) return;
  NodeBuilder entries(fields.map(name));
  for (const auto& [key, value] : values) entries.add(DumpNode::Kind::kText, key).text = value;
}

void dump_hooks(const spec::Hooks& hooks, NodeBuilder& fields) {
  const std::pair<std::string_view, const std::vector<spec::Hook>&> lists[] = {
      {"prestart", hooks.prestart},
      {"createRuntime", hooks.create_runtime},
      {"createContainer", hooks.create_container},
      {"startContainer", hooks.start_container},
      {"poststart", hooks.poststart},
      {"poststop", hooks.poststop},
  };
  DumpNode node;
  NodeBuilder phases(node);
  for (const auto& [phase, list] : lists) {
    Strings paths;
    for (const spec::Hook& hook : list) paths.push_back(hook.path);
    phases.texts(phase, paths);
  }
  if (!node.children.empty()) fields.map("hooks").children = std::move(node.children);
}

void dump_resctrl(const std::optional<ResctrlPlan>& resctrl, NodeBuilder& fields) {
  if (!resctrl) return;
  NodeBuilder entries(fields.map("resctrl"));
  entries.text("class", resctrl->group.empty() ? "/" : resctrl->group);
  entries.flag("mustExist", resctrl->must_exist);
  entries.text("schemata", resctrl->schemata);
  entries.text("monitoringGroup", resctrl->monitoring_group);
}

void dump_sysctls(const std::vector<SysctlStep>& sysctls, NodeBuilder& fields) {
  std::map<std::string, std::string> values;
  for (const SysctlStep& sysctl : sysctls) values[sysctl.path] = sysctl.value;
  dump_map("sysctl", values, fields);
}

// Control characters could do anything to a terminal.
std::string printable(const std::string& text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return quoted(text);
  }
  return text;
}

void render(const DumpNode& node, std::size_t depth, bool in_list, std::string& out) {
  const std::string indent(depth * 2, ' ');
  const bool scalar = node.kind != DumpNode::Kind::kList && node.kind != DumpNode::Kind::kMap;
  const std::string& line = scalar ? node.text : node.summary;
  append(out, indent, in_list ? "- " : "", printable(node.name), node.name.empty() ? "" : ":");
  if (scalar || !node.summary.empty()) {
    append(out, node.name.empty() ? "" : " ", printable(line), '\n');
    return;
  }
  const bool list = node.kind == DumpNode::Kind::kList;
  if (!in_list) {
    out += '\n';
    for (const DumpNode& child : node.children) render(child, depth + 1, list, out);
    return;
  }
  // A map in a list: its first field stands behind the dash.
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    std::string piece;
    render(node.children[i], depth + 1, list, piece);
    if (i == 0) piece.erase(0, (depth + 1) * 2);
    out += piece;
  }
  if (node.children.empty()) out += '\n';
}

}  // namespace

std::string_view name_of(NamespaceKind kind) {
  constexpr std::string_view kNames[] = {"pid", "network", "mount",  "ipc",
                                         "uts", "user",    "cgroup", "time"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(CgroupMode mode) {
  constexpr std::string_view kNames[] = {"none", "v1", "hybrid", "v2"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::string describe(const IdMapping& mapping) {
  return cat(mapping.container_id, ' ', mapping.host_id, ' ', mapping.size);
}

DumpNode dump(const Plan& plan) {
  DumpNode node;
  node.kind = DumpNode::Kind::kMap;
  NodeBuilder fields(node);
  fields.text("id", plan.id);
  fields.text("bundle", plan.bundle);
  dump_namespaces(plan.namespaces, fields.map("namespaces"));
  dump_ids(plan.namespaces.ids, fields);
  dump_clocks(plan.namespaces, fields);
  fields.flag("loopbackUp", plan.namespaces.loopback_up);
  dump_mounts(plan.mounts, fields.map("mounts"));
  dump_cgroup(plan.cgroup, fields.map("cgroup"));
  fields.text("hostname", plan.hostname);
  fields.text("domainname", plan.domainname);
  dump_sysctls(plan.sysctls, fields);
  dump_map("netDevices", plan.net_devices, fields);
  dump_resctrl(plan.resctrl, fields);
  dump_process(plan.process, fields.map("process"));
  dump_hooks(plan.hooks, fields);
  dump_map("annotations", plan.annotations, fields);
  fields.texts("notices", plan.notices);
  return node;
}

std::string dump_text(const DumpNode& node) {
  std::string out;
  for (const DumpNode& child : node.children) render(child, 0, false, out);
  return out;
}

}  // namespace caisson::plan
