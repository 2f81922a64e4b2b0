// What a running sandbox tells of itself, as text for people: `caisson sandbox stacks|maps|fds|
// mounts|processes|syscalls NAME`.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

std::string show_text(kernel::Kernel& kernel, kernel::Container& container, std::string_view what);

}  // namespace caisson::sandbox::boot
