// The host's process of a container that runs in another one's sandbox: the program of its jail. It
// starts the gofer of the container's files, hands everything over to the sandbox's kernel, passes
// signals on and ends as the container's first process ends.
#pragma once

#include <string_view>
#include <vector>

namespace caisson::sandbox::boot {

// `arguments`: see inherited.h.
int member_main(const std::vector<std::string_view>& arguments);

}  // namespace caisson::sandbox::boot
