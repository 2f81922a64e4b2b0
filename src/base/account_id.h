// Numbers of users and groups.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/text.h"

namespace caisson {

// The highest number is none: to setuid(2), setgroups(2) and their like it is "leave as it is", and
// the program would run as whoever we are.
inline std::optional<std::uint32_t> parse_account_id(std::string_view text) {
  auto id = parse_number<std::uint32_t>(text);
  return id && *id != 0xffffffff ? id : std::nullopt;
}

}  // namespace caisson
