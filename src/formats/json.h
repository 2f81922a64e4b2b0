// JSON (RFC 8259): a pull parser over a text in memory and a writer. No document tree, no file
// access.
//
// The reader is strict: UTF-8 is checked, no comments, no trailing commas, no lone surrogates,
// nesting to 128 levels. Integers stay exact. Strings without escapes are views into the text. What
// the caller does not want is skipped, but its syntax is checked. Duplicate keys are handed out one
// by one.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caisson::formats {

enum class JsonKind { kNull, kBool, kNumber, kString, kArray, kObject };

// Appends a member to the path of a value: "linux.sysctl" or "sysctl[\"net.core.somaxconn\"]".
void append_member(std::string& path, std::string_view key);

// Reads one JSON text front to back:
//
//   JsonReader json(text, "config.json");
//   TRY(json.enter_object());
//   while (auto key = TRY(json.next_key())) {
//     if (*key == "pid") pid = TRY(json.read_int<int>());
//     else TRY(json.skip_value());
//   }
//   TRY(json.finish());
//
// After each key and each element exactly one value must be read or skipped. Once a call has failed
// nothing more may be read. Errors carry the place: "config.json:12:8: process.args[0]" (line and
// column from 1, column in characters, then the path of the value).
class JsonReader {
 public:
  static constexpr std::size_t kMaxDepth = 128;

  // `text` and `name` (what errors call the text; may be empty) must outlive the reader.
  explicit JsonReader(std::string_view text, std::string_view name = {})
      : text_(text), name_(name) {}
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // The kind of the value that comes next, by its first character.
  Result<JsonKind> peek_kind();

  Result<> enter_object();
  // The next key of the innermost object, or nothing after its end, which leaves the object.
  // The view is good until the next key is read.
  Result<std::optional<std::string_view>> next_key();

  Result<> enter_array();
  // Whether the innermost array has another element; false after its end, which leaves the array.
  Result<bool> next_element();

  // The view is good until the next string is read.
  Result<std::string_view> read_string();
  // Whether a string that was read had no escapes: then it holds no control character, NUL
  // included.
  bool is_verbatim(std::string_view read) const { return read.data() != string_scratch_.data(); }
  Result<bool> read_bool();
  // An integer written as one: no fraction, no exponent, within the bounds.
  template <std::integral Int>
  Result<Int> read_int(Int min = std::numeric_limits<Int>::min(),
                       Int max = std::numeric_limits<Int>::max());
  // Reads a null if that is what comes next.
  Result<bool> skip_null();
  Result<> skip_value();
  // The text of the next value, whatever it is, checked and without blanks around it.
  Result<std::string_view> read_raw();
  // Nothing but blanks may follow.
  Result<> finish();

  // An error about the value read or left last, for what the caller finds wrong with it.
  Error error(std::string cause) const;
  // "process.args[0]": where the reader stands. Empty for the whole text.
  std::string path() const;

 private:
  struct Frame {
    std::size_t start;  // of the object or array in the text
    std::size_t key;    // object: place of the key's opening quote, 0 before the first one
    std::size_t count;  // elements or members begun
    bool is_array;
  };

  char current() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    if (current() <= ' ') skip_more_blanks();
  }
  void skip_more_blanks();
  Result<> enter(char opening, std::string_view expected);
  void leave();
  // To the next member or element of the innermost frame: false when it ended.
  Result<bool> advance(char closing);
  Result<bool> next_part();
  Result<> expect_colon();
  Result<> skip_one();
  Result<std::string_view> scan_string(std::string& scratch);
  Result<std::string_view> scan_string_slowly(std::size_t from, std::string& scratch);
  Result<> scan_escape(std::string& scratch);
  Result<std::uint32_t> scan_hex();
  Result<std::size_t> scan_character();
  Result<std::string_view> scan_number();
  Result<> scan_digits();
  Result<bool> scan_literal();
  Result<std::string_view> integer_token();

  std::string describe_value() const;
  Error wrong_kind(std::string_view expected) const;
  Error range_error(std::string_view token, const std::string& min, const std::string& max) const;
  Error syntax_error(std::string_view expected) const;
  Error error_at(std::size_t offset, std::string cause) const;
  std::string place(std::size_t offset) const;

  std::string_view text_, name_;
  std::size_t at_ = 0;
  std::size_t value_ = 0;  // start of the value read or left last
  std::size_t depth_ = 0;
  std::array<Frame, kMaxDepth> frames_{};
  std::string key_scratch_, string_scratch_;
};

template <std::integral Int>
Result<Int> JsonReader::read_int(Int min, Int max) {
  auto token = TRY(integer_token());
  auto value = parse_number<Int>(token);
  if (!value || *value < min || *value > max) [[unlikely]] {
    return std::unexpected(range_error(token, cat(min), cat(max)));
  }
  return *value;
}

// Appends one JSON text to a string. With an `indent` each member and element stands on a line of
// its own ("\t" or "  " per level) and a blank follows the colon; empty objects and arrays stay
// "{}", "[]". Bytes that are not UTF-8 are written as U+FFFD, so that the result always is JSON.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out, std::string_view indent = {})
      : out_(out), indent_(indent) {}
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  template <std::integral Int>
  JsonWriter& value(Int number) {
    return raw(cat(number));
  }
  template <typename Element>
  JsonWriter& value(const std::vector<Element>& elements) {
    begin_array();
    for (const auto& element : elements) value(element);
    return end_array();
  }
  JsonWriter& null() { return raw("null"); }
  // A value that is JSON already.
  JsonWriter& raw(std::string_view json);

  template <typename Value>
  JsonWriter& field(std::string_view name, const Value& content) {
    return key(name).value(content);
  }

 private:
  JsonWriter& begin(char opening);
  JsonWriter& end(char closing);
  void before_value();
  void new_line();
  void append_string(std::string_view text);

  std::string& out_;
  std::string_view indent_;
  std::size_t depth_ = 0;
  bool first_ = true;  // nothing was written yet in the innermost object or array
  bool after_key_ = false;
};

}  // namespace caisson::formats
