// Turns what a child or the launcher reported into an Error for people.
#pragma once

#include "base/result.h"
#include "linux/child.h"
#include "linux/launch_data.h"

namespace caisson::linux {

// A step of the child failed. `process`: the plan of the process concerned.
Error child_error(const ChildReport& report, const plan::Plan& plan,
                  const plan::ProcessPlan& process);

// The launcher gave up.
Error launch_error(const LaunchReport& report, const std::string& program);

// What became of optional steps, in words.
plan::Strings notices_of(const ChildReport& report, const plan::Plan& plan);

}  // namespace caisson::linux
