// Limits and annotations in the words of systemd, for a scope that is a container's cgroup.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace caisson::plan {

// What the writes of a plan's directories are as properties: for a new scope, or for changes of one
// (SetUnitProperties). What systemd has no word for is left out: the files have it all the same.
std::vector<ScopeProperty> limit_properties(const CgroupPlan& plan);

// The annotation org.systemd.property.NAME with a value in GVariant's text format: true, 'text', 5,
// uint64 5, ['a', 'b'], @as []. A NAME in seconds becomes the one in microseconds.
Result<ScopeProperty> parse_scope_property(std::string_view name, std::string_view value);

// "0-2,7" as a bit mask, least significant byte first. Absent: no list of numbers below 8192.
std::optional<std::string> cpu_set_mask(std::string_view list);

}  // namespace caisson::plan
