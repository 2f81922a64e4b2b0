// The kernel process of a sandbox: what our program is when it runs inside of a jail.
#pragma once

#include <string_view>
#include <vector>

#include "sandbox/boot/inherited.h"

namespace caisson::sandbox::boot {

// Runs the sandbox until its container ends; returns the exit status: the program's, or 128 +
// signal. Never to be called by a process with threads.
int kernel_main(const std::vector<std::string_view>& arguments);

}  // namespace caisson::sandbox::boot
