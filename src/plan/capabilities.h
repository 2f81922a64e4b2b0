// Capability names to sets of bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "plan/host_facts.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

// The number of "CAP_CHOWN"; also without the prefix and in lower case.
std::optional<int> capability_number(std::string_view name);
// "CAP_CHOWN" for 0; empty for a number without a name.
std::string_view capability_name(int number);
// "CAP_CHOWN,CAP_KILL", in the order of numbers; "all" when every known one is there.
std::string capability_names(std::uint64_t set);
// Names of 0..last.
Strings known_capabilities(int last);

// What can be granted of what is asked for. The specification wants a warning, never an error, for
// a capability that the host does not know or that can't be had; each becomes a notice. `grantable`
// has a bit for everything that the new process can possibly hold.
CapabilityPlan plan_capabilities(const spec::Capabilities* wanted, std::uint64_t grantable,
                                 Strings& notices);

// All capabilities up to and including `last`.
std::uint64_t all_capabilities(int last);

}  // namespace caisson::plan
