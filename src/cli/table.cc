#include "cli/table.h"

#include <algorithm>
#include <cstdint>

#include "base/text.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kGap = 3;

// Characters, not bytes: what follows the first byte of a UTF-8 sequence has no width of its own.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

}  // namespace

Table::Table(std::vector<std::string> headings, std::size_t minimum)
    : widths_(headings.size(), minimum) {
  add(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(widths_.size());
  for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], width(cells[i]));
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths_[i] - width(row[i]) + kGap, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string human_age(std::int64_t ns) {
  std::int64_t seconds = std::max<std::int64_t>(ns, 0) / 1'000'000'000;
  struct Unit {
    std::int64_t seconds;
    std::string_view name;
  };
  for (Unit unit : {Unit{86400, "day"}, Unit{3600, "hour"}, Unit{60, "minute"}}) {
    std::int64_t count = seconds / unit.seconds;
    if (count > 0) return cat(count, " ", unit.name, count == 1 ? "" : "s");
  }
  return cat(seconds, " second", seconds == 1 ? "" : "s");
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return out;
}

std::string command_text(const std::vector<std::string>& words, std::size_t limit) {
  std::string out;
  for (const auto& word : words) {
    bool plain =
        !word.empty() && word.find_first_of(" \t\n'\"\\$`*?;&|<>(){}[]#~!") == std::string::npos;
    append(out, out.empty() ? "" : " ", plain ? printable(word) : cat("'", printable(word), "'"));
  }
  if (out.size() <= limit) return out;
  // Not in the middle of a UTF-8 sequence.
  std::size_t end = limit > 3 ? limit - 3 : 0;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80) --end;
  return cat(std::string_view(out).substr(0, end), "...");
}

}  // namespace caisson::cli
