// What a running sandbox tells of itself, as text for people: `caisson sandbox stacks|maps|fds|
// mounts|processes|syscalls NAME`.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

// The calls that guests made and that there are no handlers for, a line each.
std::string missing_calls_text(const kernel::Kernel& kernel);

std::string show_text(kernel::Kernel& kernel, kernel::Container& container, std::string_view what);

}  // namespace caisson::sandbox::boot
