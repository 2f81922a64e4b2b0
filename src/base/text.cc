#include "base/text.h"

#include <string.h>

#include <algorithm>
#include <limits>

namespace caisson {
namespace {

std::string in_base(std::uint64_t value, int base) {
  char buffer[70];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, base).ptr};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, change});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

std::string octal(std::uint64_t value) { return in_base(value, 8); }
std::string hex(std::uint64_t value) { return in_base(value, 16); }

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          constexpr char kDigits[] = "0123456789abcdef";
          append(out, "\\x", kDigits[byte >> 4], kDigits[byte & 15]);
        } else {
          out += c;
        }
    }
  }
  out += '"';
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    auto at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + 1);
  }
}

std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator) {
  auto at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  std::size_t best_distance = 3;
  for (auto candidate : candidates) {
    auto distance = edit_distance(word, candidate);
    if (distance < best_distance && distance * 2 < std::max<std::size_t>(word.size(), 2)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

namespace {

// The power of two that a suffix stands for: "", "b", "k", "kb", "KiB", ...
std::optional<int> size_shift(std::string_view text) {
  std::string suffix;
  for (char c : text.starts_with(' ') ? text.substr(1) : text) suffix += lower(c);
  if (suffix.empty()) return text.empty() ? std::optional(0) : std::nullopt;
  constexpr std::string_view kUnits = "bkmgtp";
  auto unit = kUnits.find(suffix[0]);
  if (unit == std::string_view::npos) return std::nullopt;
  auto rest = std::string_view(suffix).substr(1);
  if (!rest.empty() && (unit == 0 || (rest != "b" && rest != "ib"))) return std::nullopt;
  return static_cast<int>(unit) * 10;
}

// What "0.DIGITS" makes of `unit`, at most 2^50, rounded down.
std::int64_t fraction_of(std::string_view digits, std::int64_t unit) {
  std::int64_t value = 0;
  for (; !digits.empty(); digits.remove_suffix(1)) {
    value = ((digits.back() - '0') * unit + value) / 10;
  }
  return value;
}

}  // namespace

std::optional<std::int64_t> parse_size(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  auto whole_end = std::min(text.find_first_not_of(kDigits), text.size());
  auto whole = parse_number<std::int64_t>(text.substr(0, whole_end));
  std::string_view fraction, rest = text.substr(whole_end);
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    fraction = rest.substr(0, std::min(rest.find_first_not_of(kDigits), rest.size()));
    if (fraction.empty()) return std::nullopt;
    rest.remove_prefix(fraction.size());
  }
  auto shift = size_shift(rest);
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  if (!whole || !shift || *whole > (kMax >> *shift)) return std::nullopt;
  std::int64_t bytes = *whole << *shift;
  std::int64_t part = fraction_of(fraction, std::int64_t{1} << *shift);
  return bytes > kMax - part ? std::nullopt : std::optional(bytes + part);
}

std::string killed_text(int signal) {
  const char* name = ::strsignal(signal);
  std::string text = cat("killed by signal ", signal);
  if (name == nullptr || *name == '\0') return text;
  return cat(text, " (", lower(*name), name + 1, ")");
}

std::string human_size(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t whole = bytes;
  std::uint64_t tenths = 0;
  while (whole >= 1024 && unit + 1 < std::size(kUnits)) {
    tenths = (whole % 1024) * 10 / 1024;
    whole /= 1024;
    ++unit;
  }
  if (unit == 0) return cat(whole, " B");
  return cat(whole, ".", tenths, " ", kUnits[unit]);
}

}  // namespace caisson
