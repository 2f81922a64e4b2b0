// Who belongs to a container that has no cgroup of its own, where nothing else lists them.
#pragma once

#include <vector>

#include "base/result.h"

namespace caisson::container {

// The living processes in the pid namespace of `init`, when it is not ours, and those that descend
// from it or from them; ascending. What may not be looked at is left out. Processes come and go
// meanwhile: nobody may be signalled by these numbers.
Result<std::vector<int>> family_of(int init);

}  // namespace caisson::container
