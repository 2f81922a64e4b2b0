// What stands around a stream in a file: by it a file is known as one of ours, of this version, and
// whole.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::sandbox::state {

// Of the objects' formats: another number for every change of what any of them writes.
inline constexpr std::uint32_t kVersion = 1;

std::string seal(std::string_view stream);
// The stream in a file. Views `file`.
Result<std::string_view> unseal(std::string_view file);

}  // namespace caisson::sandbox::state
