#include "spec/oci_fields.h"

#include <algorithm>

namespace caisson::spec {

namespace {

Result<> refuse_nul(const JsonReader& json, std::string_view text) {
  if (!json.is_verbatim(text) && text.find('\0') != std::string_view::npos) [[unlikely]] {
    return std::unexpected(json.error("a NUL character is not allowed here"));
  }
  return {};
}

// A number, or "N" for the highest one there is.
bool is_list_number(std::string_view text) {
  return text == "N" || parse_number<std::uint32_t>(text).has_value();
}

// "3", "0-3", "0-31:2/4", "all"
bool is_list_range(std::string_view text) {
  if (text == "all") return true;
  auto [range, group] = split_once(text, ':');
  if (range.size() != text.size()) {
    auto [used, of] = split_once(group, '/');
    if (!is_list_number(used) || !is_list_number(of)) return false;
  }
  auto [first, last] = split_once(range, '-');
  if (!is_list_number(first)) return false;
  if (first.size() == range.size()) return true;
  auto low = parse_number<std::uint32_t>(first), high = parse_number<std::uint32_t>(last);
  return is_list_number(last) && (!low || !high || *low <= *high);
}

}  // namespace

Result<> read_value(JsonReader& json, std::string& out) {
  auto text = TRY(json.read_string());
  TRY(refuse_nul(json, text));
  out = text;
  return {};
}

Result<std::string> map_key(JsonReader& json, std::string_view key) {
  if (key.find('\0') != std::string_view::npos) [[unlikely]] {
    return std::unexpected(json.error("a NUL character is not allowed in a key"));
  }
  return std::string(key);
}

Result<> check_word(const JsonReader& json, std::string_view word, std::string_view what,
                    Words allowed) {
  if (std::ranges::find(allowed, word) != allowed.end()) [[likely]]
    return {};
  auto error =
      json.error(cat(quoted(word), " is not a ", what, ": allowed are ", join(allowed, ", ")));
  auto meant = nearest(word, allowed);
  if (meant.empty()) return std::unexpected(std::move(error));
  return std::unexpected(std::move(error).cure("did you mean ", quoted(meant), "?"));
}

Result<> read_word(JsonReader& json, std::string& out, std::string_view what, Words allowed) {
  auto word = TRY(json.read_string());
  TRY(check_word(json, word, what, allowed));
  out = word;
  return {};
}

Result<> read_words(JsonReader& json, Strings& out, std::string_view what, Words allowed) {
  out.clear();
  TRY(json.enter_array());
  while (TRY(json.next_element())) TRY(read_word(json, out.emplace_back(), what, allowed));
  return {};
}

Result<> read_environment(JsonReader& json, Strings& out) {
  out.clear();
  TRY(json.enter_array());
  while (TRY(json.next_element())) {
    auto& entry = out.emplace_back();
    TRY(read_value(json, entry));
    auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return std::unexpected(
          json.error(cat(quoted(entry), " is not an environment variable: expected NAME=value")));
    }
  }
  return {};
}

bool same_letters(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

Result<> read_number_list(JsonReader& json, std::string& out) {
  TRY(read_value(json, out));
  for (auto range : split(out, ',')) {
    range = trim(range);
    if (!range.empty() && !is_list_range(range)) {
      return std::unexpected(json.error(
          cat(quoted(out), " is not a list of numbers and ranges like ", quoted("0-3,7"))));
    }
  }
  return {};
}

}  // namespace caisson::spec
