// Small text helpers: concatenation, splitting, strict number parsing, quoting. No locale.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace caisson {

namespace detail {

inline void append_part(std::string& out, std::string_view part) { out += part; }
inline void append_part(std::string& out, const char* part) { out += part; }
inline void append_part(std::string& out, const std::string& part) { out += part; }
inline void append_part(std::string& out, char part) { out += part; }
inline void append_part(std::string& out, bool part) { out += part ? "true" : "false"; }
template <std::integral Int>
void append_part(std::string& out, Int part) {
  char buffer[24];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, part).ptr;
  out.append(buffer, end);
}

}  // namespace detail

// Appends the parts (strings, characters, integers, bools) to `out`.
template <typename... Parts>
void append(std::string& out, const Parts&... parts) {
  (detail::append_part(out, parts), ...);
}

// Joins the parts into one string: cat("pid ", 12, " is gone").
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  append(out, parts...);
  return out;
}

// The whole of `text` as a number of type Int in the given base: no sign but '-' for signed types,
// no white space, no overflow. Empty optional otherwise.
template <std::integral Int>
std::optional<Int> parse_number(std::string_view text, int base = 10) {
  Int value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "644" for 0644. No leading zero.
std::string octal(std::uint64_t value);
std::string hex(std::uint64_t value);

// `text` in double quotes with C escapes for control characters, quotes and backslashes.
std::string quoted(std::string_view text);

// "killed by signal 31 (bad system call)".
std::string killed_text(int signal);

// Splits at each `separator`; an empty text gives one empty piece.
std::vector<std::string_view> split(std::string_view text, char separator);
// Splits at the first `separator`; the second half is empty without one.
std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator);
std::string_view trim(std::string_view text);

template <typename Range>
std::string join(const Range& pieces, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& piece : pieces) {
    if (!first) out += separator;
    first = false;
    append(out, piece);
  }
  return out;
}

// The candidate nearest to `word` (edit distance at most 2 and below half its length), or "".
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

// Bytes with a binary suffix of one letter: "64m", "1.5g", "512k", "100" (b, k, m, g, t, p; any
// case; an optional trailing "b" or "ib" after the letter, a space before it); rounded down. Empty
// optional when malformed or above int64.
std::optional<std::int64_t> parse_size(std::string_view text);

// "12.3 MiB"
std::string human_size(std::uint64_t bytes);

}  // namespace caisson
