// What the sandbox says that it is (uname(2), /proc/version).
#pragma once

#include <string_view>

namespace caisson::sandbox::syscalls {

// A release whose calls are here, so that programs that look at it use them.
constexpr std::string_view kRelease = "6.1.0-caisson";
constexpr std::string_view kVersion = "#1 SMP PREEMPT_DYNAMIC caisson " CAISSON_VERSION;
#if defined(__x86_64__)
constexpr std::string_view kMachine = "x86_64";
#elif defined(__aarch64__)
constexpr std::string_view kMachine = "aarch64";
#endif

}  // namespace caisson::sandbox::syscalls
