// What stands around a stream in a file: by it a file is known as one of ours, of this version, and
// whole.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::sandbox::state {

// Of the objects' formats: another number for every change of what any of them writes.
inline constexpr std::uint32_t kVersion = 1;

// What the clocks of the sandbox showed, so that who restores it can let them go on from there.
struct Clocks {
  std::int64_t monotonic_ns = 0, boottime_ns = 0;
  friend bool operator==(const Clocks&, const Clocks&) = default;
};

std::string seal(std::string_view stream, const Clocks& clocks = {});
// The stream in a file. Views `file`.
Result<std::string_view> unseal(std::string_view file);
// By the beginning of a file.
Result<Clocks> clocks_of(std::string_view file);

}  // namespace caisson::sandbox::state
