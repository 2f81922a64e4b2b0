// Faults for tests: a command that kills itself at a named step, to see that the next one cleans
// up.
#pragma once

#include <string_view>
#include <vector>

#include "container/api.h"

namespace caisson::container {

// Does not return when the context's fault_step is "VERB:STEP".
void fault_point(const Context& context, std::string_view verb, std::string_view step);

// All names that fault_point() is called with.
std::vector<std::string_view> fault_steps();

}  // namespace caisson::container
