// Columns of text for people: left-aligned, three spaces between, nothing behind the last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caisson::cli {

class Table {
 public:
  // `minimum`: of every column but the last.
  explicit Table(std::vector<std::string> headings, std::size_t minimum = 0);
  void add(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

// "3 seconds", "5 minutes", "2 hours", "4 days" for nanoseconds.
std::string human_age(std::int64_t ns);

// Words as a shell would have to read them, cut to `limit` characters.
std::string command_text(const std::vector<std::string>& words, std::size_t limit);

// Control characters, which a terminal would obey, as "?".
std::string printable(std::string_view text);

}  // namespace caisson::cli
