// Times on the command line, as Go programs take them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace caisson::cli {

// Nanoseconds of "300ms", "-1.5h", "2h45m", "0": numbers with a unit each (ns us ms s m h). Empty
// optional when malformed or beyond int64.
std::optional<std::int64_t> parse_duration(std::string_view text);

}  // namespace caisson::cli
