// The part of a Plan that the kernel of a sandbox needs, as bytes: what its process is started
// with, what an exec into it sends, what a checkpoint keeps. Mounts, names, process; not what the
// host's kernel is asked for (cgroups, namespaces, hooks).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/guest.h"
#include "plan/plan.h"

namespace caisson::plan {

std::string encode(const Plan& plan);
// Into an empty plan. EINVAL: cut off, of another version, or with numbers that no plan has.
Result<> decode(std::string_view bytes, Plan& plan);

std::string encode(const ProcessPlan& process);
Result<> decode(std::string_view bytes, ProcessPlan& process);

std::string encode(const GuestLimits& limits);
Result<> decode(std::string_view bytes, GuestLimits& limits);
std::string encode(const std::vector<GuestChange>& changes);
Result<> decode(std::string_view bytes, std::vector<GuestChange>& changes);
std::string encode(const std::vector<GuestProcess>& processes);
Result<> decode(std::string_view bytes, std::vector<GuestProcess>& processes);

}  // namespace caisson::plan
