// Errors of the JSON reader: all of this runs at most once per text.
#include "formats/json.h"
#include "formats/utf8.h"

namespace caisson::formats {

namespace {

// Whether a key can stand in a path without quotes.
bool is_word(std::string_view key) {
  auto is_word_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  for (char c : key) {
    if (!is_word_character(c)) return false;
  }
  return !key.empty();
}

// At most `limit` bytes of `text`, cut between characters, with a mark when something was left out.
std::string shortened(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && is_utf8_continuation(text[limit])) --limit;
  return cat(text.substr(0, limit), "...");
}

}  // namespace

void append_member(std::string& path, std::string_view key) {
  if (is_word(key)) {
    append(path, path.empty() ? "" : ".", key);
  } else {
    append(path, "[", quoted(key), "]");
  }
}

std::string JsonReader::path() const {
  std::string out;
  for (std::size_t i = 0; i < depth_; ++i) {
    const auto& frame = frames_[i];
    if (frame.is_array && frame.count != 0) append(out, "[", frame.count - 1, "]");
    if (frame.is_array || frame.key == 0) continue;
    JsonReader key_reader(text_.substr(frame.key));
    append_member(out, key_reader.read_string().value_or(""));
  }
  return out;
}

std::string JsonReader::place(std::size_t offset) const {
  std::size_t line = 1, column = 1;
  for (char c : text_.substr(0, offset)) {
    if (c == '\n') {
      ++line;
      column = 1;
    } else if (!is_utf8_continuation(c)) {
      ++column;
    }
  }
  auto out = cat(name_, name_.empty() ? "" : ":", line, ":", column);
  if (auto where = path(); !where.empty()) append(out, ": ", where);
  return out;
}

Error JsonReader::error_at(std::size_t offset, std::string cause) const {
  return Error::invalid(std::move(cause)).where(place(offset));
}

Error JsonReader::error(std::string cause) const { return error_at(value_, std::move(cause)); }

std::string JsonReader::describe_value() const {
  constexpr std::size_t kShown = 40;
  JsonReader value_reader(text_.substr(value_));
  auto kind = value_reader.peek_kind();
  if (!kind) return "something else";
  switch (*kind) {
    case JsonKind::kObject: return "an object";
    case JsonKind::kArray: return "an array";
    case JsonKind::kString:
      return cat("the string ", quoted(shortened(value_reader.read_string().value_or(""), kShown)));
    case JsonKind::kNumber:
      return cat("the number ", shortened(value_reader.read_raw().value_or(""), kShown));
    case JsonKind::kBool:
    case JsonKind::kNull: break;
  }
  return std::string(value_reader.read_raw().value_or("something else"));
}

Error JsonReader::wrong_kind(std::string_view expected) const {
  return error(cat("expected ", expected, ", found ", describe_value()));
}

Error JsonReader::range_error(std::string_view token, const std::string& min,
                              const std::string& max) const {
  return error(cat(shortened(token, 40), " is out of range: allowed are ", min, " to ", max));
}

Error JsonReader::syntax_error(std::string_view expected) const {
  auto rest = text_.substr(std::min(at_, text_.size()));
  if (rest.empty()) return error_at(text_.size(), cat("expected ", expected, ", found the end"));
  if (rest.starts_with("\xef\xbb\xbf")) {
    return error_at(at_, "the text begins with a byte order mark").cure("save it as plain UTF-8");
  }
  if (rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with("#")) {
    return error_at(at_, "JSON has no comments").cure("remove the comment");
  }
  std::size_t length = 0;
  while (length < rest.size() && is_word(rest.substr(length, 1))) ++length;
  if (length == 0) length = std::max<std::size_t>(utf8_length(rest), 1);
  return error_at(
      at_, cat("expected ", expected, ", found ", quoted(shortened(rest.substr(0, length), 20))));
}

}  // namespace caisson::formats
