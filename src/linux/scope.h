// The container's cgroup as a scope of systemd: started with the container's init in it, changed,
// stopped. How systemd is reached: linux/systemd_bus.h.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "linux/cgroup.h"
#include "plan/executor.h"
#include "plan/plan.h"

namespace caisson::linux {

// Starts the plan's scope with process `pid` in it and makes the plan's directories say where it
// is. A scope lives as long as a process is in it: if we are killed on the way, init dies with us
// and systemd collects the scope.
Result<> start_scope(plan::CgroupPlan& plan, int pid, plan::UndoLog& undo);

// New limits of a running scope, kept by systemd until it is stopped.
Result<> set_scope_properties(const plan::ScopePlan& scope,
                              const std::vector<plan::ScopeProperty>& properties);

// Stops a unit ("system/UNIT", "user/UNIT"); no such unit, or no systemd any more, is fine.
Result<> stop_unit(const std::string& target);

}  // namespace caisson::linux
