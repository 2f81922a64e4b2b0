#include "base/text.h"

#include <algorithm>

#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::fs {
namespace {

bool has(const std::vector<std::uint64_t>& mask, unsigned processor) {
  if (mask.empty()) return true;
  return processor / 64 < mask.size() && (mask[processor / 64] >> (processor % 64) & 1) != 0;
}

}  // namespace

std::string padded_left(std::string_view text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ').append(text);
}

std::string padded_right(std::string_view text, std::size_t width) {
  return std::string(text).append(width - std::min(width, text.size()), ' ');
}

std::string zero_padded(std::uint64_t value, std::size_t width) {
  std::string digits = cat(value);
  return std::string(width - std::min(width, digits.size()), '0') + digits;
}

std::string processor_list(const std::vector<std::uint64_t>& mask, unsigned processors) {
  std::string text;
  for (unsigned first = 0; first < processors; ++first) {
    if (!has(mask, first)) continue;
    unsigned last = first;
    while (last + 1 < processors && has(mask, last + 1)) ++last;
    append(text, text.empty() ? "" : ",", first);
    if (last > first) append(text, "-", last);
    first = last;
  }
  return text;
}

// Groups of 32 bits, the highest first.
std::string processor_mask(const std::vector<std::uint64_t>& mask, unsigned processors) {
  std::string text;
  for (unsigned group = (processors + 31) / 32; group-- > 0;) {
    std::uint64_t bits = 0;
    for (unsigned bit = 0; bit < 32 && group * 32 + bit < processors; ++bit)
      if (has(mask, group * 32 + bit)) bits |= std::uint64_t{1} << bit;
    std::string digits = hex(bits);
    if (text.empty()) {
      text = digits;
      continue;
    }
    append(text, ",", std::string(8 - digits.size(), '0'), digits);
  }
  return text;
}

}  // namespace caisson::sandbox::fs
