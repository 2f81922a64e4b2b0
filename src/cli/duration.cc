#include "cli/duration.h"

#include "base/text.h"

namespace caisson::cli {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
};

constexpr Unit kUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"\u00b5s", 1'000},    {"\u03bcs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

std::optional<std::int64_t> unit_of(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return unit.ns;
  }
  return std::nullopt;
}

// Takes the first characters off `text`; npos: all.
std::string_view take(std::string_view& text, std::size_t length) {
  const std::string_view out = text.substr(0, length);
  text.remove_prefix(out.size());
  return out;
}

// "1.5" units; the fraction is cut at nanoseconds.
std::optional<std::int64_t> part(std::string_view number, std::int64_t unit) {
  auto [whole, fraction] = split_once(number, '.');
  if (whole.empty() && fraction.empty()) return std::nullopt;
  const auto value = whole.empty() ? std::int64_t{0} : parse_number<std::int64_t>(whole);
  std::int64_t ns = 0;
  if (!value || __builtin_mul_overflow(*value, unit, &ns)) return std::nullopt;
  for (char digit : fraction) {
    if (digit < '0' || digit > '9') return std::nullopt;
    unit /= 10;
    if (__builtin_add_overflow(ns, (digit - '0') * unit, &ns)) return std::nullopt;
  }
  return ns;
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  constexpr std::string_view kNumber = "0123456789.";
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  std::int64_t sum = 0;
  while (!text.empty()) {
    const auto number = take(text, text.find_first_not_of(kNumber));
    const auto unit = unit_of(take(text, text.find_first_of(kNumber)));
    if (number.empty() || !unit) return std::nullopt;
    const auto ns = part(number, *unit);
    if (!ns || __builtin_add_overflow(sum, *ns, &sum)) return std::nullopt;
  }
  return negative ? -sum : sum;
}

}  // namespace caisson::cli
