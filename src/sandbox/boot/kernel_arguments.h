// What the kernel process of a sandbox is started with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caisson::sandbox::boot {

// argv[0] that makes our program a sandbox's kernel.
inline constexpr std::string_view kKernelName = "caisson-sandbox";

// Descriptors that it gets, by number; -1: none.
struct KernelDescriptors {
  int plan = -1;     // a memory file, see plan/wire.h
  int control = -1;  // listening socket, see control.h
  int strace = -1;   // takes the log of system calls
  int notes = -1;    // takes the calls that were missing, at the end
  // A checkpoint to be restored (image.h) instead of the plan's process; -1: none.
  int state = -1, memory = -1;
  std::vector<int> places;  // see descriptors.h
};
std::vector<std::string> to_arguments(const KernelDescriptors& numbers);
Result<KernelDescriptors> from_arguments(const std::vector<std::string_view>& words);

}  // namespace caisson::sandbox::boot
