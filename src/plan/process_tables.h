// Names of process attributes to the kernel's numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

std::optional<int> rlimit_number(std::string_view name);  // "RLIMIT_NOFILE"
Strings known_memory_policy_modes();
Strings known_memory_policy_flags();

// The errors name the field below `where`: "process.scheduler".
Result<std::vector<RlimitStep>> plan_rlimits(const std::vector<spec::Rlimit>& rlimits);
Result<SchedulerPlan> plan_scheduler(const spec::Scheduler& scheduler);
Result<int> plan_io_priority(const spec::IoPriority& priority);
Result<MemoryPolicyPlan> plan_memory_policy(const spec::MemoryPolicy& policy);
Result<std::uint64_t> plan_personality(std::string_view domain);

// "0-3,7" as a bit mask, 64 to a word; empty optional when malformed or beyond 8192 (the kernel's
// largest number of processors).
std::optional<std::vector<std::uint64_t>> parse_bit_list(std::string_view list);

}  // namespace caisson::plan
