#include <sys/mount.h>

#include <iterator>

#include "base/text.h"
#include "plan/dump_nodes.h"
#include "plan/mount_options.h"

namespace caisson::plan {
namespace {

std::string_view name_of(IfMissing what) {
  constexpr std::string_view kNames[] = {"make-directory", "make-file", "make-like-source", "skip",
                                         "fail"};
  return kNames[static_cast<std::size_t>(what)];
}

std::string propagation_name(std::uint64_t flag, bool recursive) {
  std::string_view name;
  if (flag == MS_SHARED) name = "shared";
  if (flag == MS_SLAVE) name = "slave";
  if (flag == MS_PRIVATE) name = "private";
  if (flag == MS_UNBINDABLE) name = "unbindable";
  return name.empty() ? std::string() : cat(recursive ? "r" : "", name);
}

std::string option_text(const KeyValue& option) {
  return option.value.empty() ? option.key : cat(option.key, '=', option.value);
}

// Attributes to set, then those to clear with a minus: "ro,nosuid,-noexec".
std::string attribute_changes(std::uint64_t set, std::uint64_t clear, std::string_view prefix) {
  std::string out;
  auto add = [&](std::uint64_t attributes, std::string_view sign) {
    std::string names = attribute_names(attributes);
    for (std::string_view name : split(names, ',')) {
      if (!name.empty()) append(out, out.empty() ? "" : ",", sign, prefix, name);
    }
  };
  constexpr std::uint64_t kAtime = MOUNT_ATTR__ATIME;
  add(set, "");
  if ((clear & kAtime) == kAtime) {
    // The field is cleared for every mode; relatime is the mode without a bit.
    if ((set & kAtime) == 0) append(out, out.empty() ? "" : ",", prefix, "relatime");
    clear &= ~kAtime;
  }
  add(clear, "-");
  return out;
}

std::string device_text(const MountStep& step) {
  if (step.bind_device) return cat("bind of ", step.source, " mode ", octal(step.mode));
  if (step.device_type == 'p') return cat("fifo mode ", octal(step.mode));
  return cat(std::string_view(&step.device_type, 1), ' ', step.major, ':', step.minor, " mode ",
             octal(step.mode));
}

std::string subject(const MountStep& step) {
  switch (step.op) {
    case MountOp::kNewFilesystem: return cat(step.type, " on ", step.target);
    case MountOp::kOverlayView: return cat("overlay of ", step.source, " on ", step.target);
    case MountOp::kBind:
      return cat(step.recursive ? "rbind " : "bind ", step.source,
                 step.source_in_root ? " of the root on " : " on ", step.target);
    case MountOp::kSetAttributes: return cat("attributes of ", step.target);
    case MountOp::kPropagation: return cat("propagation of ", step.target);
    case MountOp::kMask: return cat("mask ", step.target);
    case MountOp::kReadonlyPath: return cat("read-only ", step.target);
    case MountOp::kSymlink: return cat("link ", step.target, " to ", step.source);
    case MountOp::kDirectory: return cat("directory ", step.target, " mode ", octal(step.mode));
    case MountOp::kDeviceNode: return cat("device ", step.target, ' ', device_text(step));
    case MountOp::kCopyUp: return cat("tmpfs with a copy of what is there on ", step.target);
    case MountOp::kCgroup: return cat("cgroups on ", step.target);
    case MountOp::kConsole: return cat("console on ", step.target);
    case MountOp::kUnmount: return cat("unmount ", step.target);
  }
  return {};
}

std::string details(const MountStep& step) {
  std::string out;
  auto word = [&out](std::string_view text) {
    if (!text.empty()) append(out, out.empty() ? "" : " ", text);
  };
  word(attribute_changes(step.attr_set, step.attr_clear, step.attr_recursive ? "r" : ""));
  word(attribute_changes(step.recursive_set, step.recursive_clear, "r"));
  Strings options;
  for (const KeyValue& option : step.options) options.push_back(option_text(option));
  word(join(options, ","));
  word(propagation_name(step.propagation, step.propagation_recursive));
  if (!step.uid_mappings.empty() || step.idmap_joined) {
    word(step.idmap_recursive ? "ridmap" : "idmap");
  }
  if (!step.layer.empty()) word(cat("layer ", step.layer));
  if (step.mode_of_target) word("mode as covered");
  if (step.uid) word(cat("uid ", *step.uid));
  if (step.gid) word(cat("gid ", *step.gid));
  if (step.inside_directory_only) word("directory-only");
  if (step.no_symlink_source) word("no-symlink");
  if (step.optional) word("optional");
  if (!step.host_tree.empty()) word(cat("or the host's ", step.host_tree));
  if (step.if_missing == IfMissing::kSkip) word("if there");
  return out;
}

void dump_mappings(std::string_view name, const std::vector<IdMapping>& mappings,
                   NodeBuilder& fields) {
  Strings lines;
  for (const IdMapping& mapping : mappings) lines.push_back(describe(mapping));
  fields.texts(name, lines);
}

void dump_device(const MountStep& step, NodeBuilder& fields) {
  if (step.op != MountOp::kDeviceNode) return;
  fields.text("deviceType", std::string_view(&step.device_type, 1));
  fields.number("major", step.major);
  fields.number("minor", step.minor);
  fields.flag("bindDevice", step.bind_device);
}

void dump_step(const MountStep& step, DumpNode& node) {
  node.summary = cat(describe(step), "  (", step.origin, ")");
  NodeBuilder fields(node);
  fields.text("op", name_of(step.op));
  fields.text("phase", step.phase == Phase::kFinal ? "final" : "before-pivot");
  fields.text("type", step.type);
  fields.text("source", step.source);
  fields.text("target", step.target);
  fields.text("attributes", attribute_changes(step.attr_set, step.attr_clear, ""));
  fields.flag("attributesRecursive", step.attr_recursive);
  fields.text("recursiveAttributes",
              attribute_changes(step.recursive_set, step.recursive_clear, ""));
  fields.text("propagation", propagation_name(step.propagation, step.propagation_recursive));
  fields.flag("recursive", step.recursive);
  Strings options;
  for (const KeyValue& option : step.options) options.push_back(option_text(option));
  fields.texts("options", options);
  dump_mappings("uidMappings", step.uid_mappings, fields);
  dump_mappings("gidMappings", step.gid_mappings, fields);
  fields.flag("idmapRecursive", step.idmap_recursive);
  fields.flag("idmapOfJoined", step.idmap_joined);
  fields.text("hostTree", step.host_tree);
  fields.flag("sourceInRoot", step.source_in_root);
  dump_device(step, fields);
  fields.text("ifMissing", name_of(step.if_missing));
  fields.flag("optional", step.optional);
  fields.text("layer", step.layer);
  fields.text("origin", step.origin);
}

}  // namespace

std::string_view name_of(MountOp op) {
  constexpr std::string_view kNames[] = {
      "new-filesystem", "overlay-view",  "bind",    "set-attributes", "propagation",
      "mask",           "readonly-path", "symlink", "directory",      "device-node",
      "copy-up",        "cgroup",        "console", "unmount",
  };
  return kNames[static_cast<std::size_t>(op)];
}

std::string describe(const MountStep& step) {
  std::string more = details(step);
  return more.empty() ? subject(step) : cat(subject(step), ": ", more);
}

void dump_mounts(const MountPlan& plan, DumpNode& node) {
  NodeBuilder fields(node);
  DumpNode& root_node = fields.map("root");
  NodeBuilder root(root_node);
  root.text("path", plan.root.path);
  root.flag("machineView", plan.root.machine_view);
  root.flag("emptyTmpfs", plan.root.empty_tmpfs);
  if (plan.root.layers_size != 0) root.number("layersSize", plan.root.layers_size);
  root.flag("readonly", plan.root.readonly);
  root.text("propagation",
            propagation_name(plan.root.propagation, plan.root.propagation_recursive));
  root.flag("noPivot", !plan.root.pivot);
  NodeBuilder steps(fields.list("steps"));
  for (const MountStep& step : plan.steps) dump_step(step, steps.add(DumpNode::Kind::kMap, ""));
}

}  // namespace caisson::plan
