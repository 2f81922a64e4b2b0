// Builds the tree of a dump; leaves out what is empty. Internal to plan/.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "plan/dump.h"

namespace caisson::plan {

class NodeBuilder {
 public:
  explicit NodeBuilder(DumpNode& node) : node_(node) {}

  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) add(DumpNode::Kind::kText, name).text = value;
  }
  void flag(std::string_view name, bool value) {
    if (value) add(DumpNode::Kind::kBool, name).text = "true";
  }
  template <std::integral Int>
  void number(std::string_view name, Int value) {
    add(DumpNode::Kind::kNumber, name).text = cat(value);
  }
  DumpNode& list(std::string_view name) { return add(DumpNode::Kind::kList, name); }
  DumpNode& map(std::string_view name) { return add(DumpNode::Kind::kMap, name); }
  void texts(std::string_view name, const Strings& values) {
    if (values.empty()) return;
    NodeBuilder items(list(name));
    for (const std::string& value : values) items.add(DumpNode::Kind::kText, "").text = value;
  }
  DumpNode& add(DumpNode::Kind kind, std::string_view name) {
    DumpNode& child = node_.children.emplace_back();
    child.kind = kind;
    child.name = name;
    return child;
  }

 private:
  DumpNode& node_;
};

void dump_mounts(const MountPlan& plan, DumpNode& node);     // dump_mounts.cc
void dump_process(const ProcessPlan& plan, DumpNode& node);  // dump_process.cc

std::string describe(const IdMapping& mapping);  // "0 1000 1": inside, outside, size

}  // namespace caisson::plan
