// A plan as people and programs read it: a tree of named values, for `explain`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/plan.h"

namespace caisson::plan {

struct DumpNode {
  enum class Kind {
    kText,
    kNumber,  // `text` is the number
    kBool,    // `text` is "true" or "false"
    kList,    // of `children`, whose names are empty
    kMap,     // of `children` by name
  };
  Kind kind = Kind::kText;
  std::string name;
  std::string text;
  // For people: one line that takes the place of the children. Always empty for scalars.
  std::string summary;
  std::vector<DumpNode> children;
};

// Everything that is decided; what is empty or off is left out.
DumpNode dump(const Plan& plan);

// The tree as indented lines.
std::string dump_text(const DumpNode& node);

// One line: "tmpfs on /dev: nosuid,strictatime size=65536k".
std::string describe(const MountStep& step);

std::string_view name_of(NamespaceKind kind);  // "pid", as in the OCI configuration
std::string_view name_of(MountOp op);          // "new-filesystem"
std::string_view name_of(CgroupMode mode);     // "hybrid"

}  // namespace caisson::plan
