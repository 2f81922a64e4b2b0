// UTF-8 (RFC 3629): length of a character, encoding. Overlong forms and surrogates are not UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace caisson::formats {

inline bool is_utf8_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes of the character that `text` begins with: 1 to 4, or 0 when that is not UTF-8.
std::size_t utf8_length(std::string_view text);

// `code_point` is below 0x110000 and no surrogate.
void append_utf8(std::string& out, std::uint32_t code_point);

}  // namespace caisson::formats
