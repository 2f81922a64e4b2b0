// Changing the limits of a container that exists: which resources it has afterwards, and what is
// written for that. Pure. The words of cgroup files come from the passes that `create` uses.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/compile.h"
#include "plan/executor.h"
#include "spec/container_spec.h"

namespace caisson::plan {

// `present` after `change`: what is absent in `change` stays. Lists are joined by what they name (a
// device, a page size, an interface); device rules are replaced as a whole.
spec::Resources changed_resources(const spec::Resources& present, const spec::Resources& change);

struct UpdateInput {
  const spec::Resources& present;
  const spec::Resources& change;
  const CgroupLocations& cgroups;
  const Stats& stats;         // what the container uses now
  std::string systemd_scope;  // the unit that its cgroup is; empty: none
  bool systemd_user = false;  // of the user's own systemd
};

struct Update {
  spec::Resources resources;  // those that the container has afterwards
  CgroupUpdate cgroups;
  Strings notices;
};

// Refuses what is wrong with the result, or asks for controllers that the container does not have.
// Nothing is written but what `change` names and what has to be written together with it (quota and
// period, memory and swap).
Result<Update> compile_update(const UpdateInput& input, const HostFacts& host,
                              const Options& options);

}  // namespace caisson::plan
