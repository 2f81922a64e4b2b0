#include "formats/json.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/utf8.h"

namespace caisson::formats {

namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether a character stands for itself inside a string and is one byte long.
constexpr bool is_plain(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

constexpr std::uint64_t each_byte(unsigned char byte) { return 0x0101010101010101u * byte; }

// Marks, in the high bit of its byte, the first of eight characters that is not plain; what is
// marked above it means nothing, because the subtractions borrow. Zero: all are plain.
constexpr std::uint64_t not_plain(std::uint64_t word) {
  constexpr auto kOnes = each_byte(1), kHigh = each_byte(0x80);
  auto below_blank = word - each_byte(0x20);
  auto quote = (word ^ each_byte('"')) - kOnes;
  auto backslash = (word ^ each_byte('\\')) - kOnes;
  return (word | below_blank | quote | backslash) & kHigh;
}

// The first place at or after `from` whose character is not plain.
std::size_t skip_plain(std::string_view text, std::size_t from) {
  while (from + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + from, sizeof word);
    if (auto marks = not_plain(word); marks != 0) {
      if constexpr (std::endian::native != std::endian::little) break;
      return from + static_cast<std::size_t>(std::countr_zero(marks)) / 8;
    }
    from += 8;
  }
  while (from < text.size() && is_plain(text[from])) ++from;
  return from;
}

constexpr bool is_high_surrogate(std::uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
constexpr bool is_low_surrogate(std::uint32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

}  // namespace

void JsonReader::skip_more_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

Result<JsonKind> JsonReader::peek_kind() {
  skip_blanks();
  switch (current()) {
    case '"': return JsonKind::kString;
    case '{': return JsonKind::kObject;
    case '[': return JsonKind::kArray;
    case 't':
    case 'f': return JsonKind::kBool;
    case 'n': return JsonKind::kNull;
    case '-': return JsonKind::kNumber;
    default:
      if (is_digit(current())) return JsonKind::kNumber;
      return std::unexpected(syntax_error("a value"));
  }
}

// --- objects and arrays

Result<> JsonReader::enter(char opening, std::string_view expected) {
  skip_blanks();
  value_ = at_;
  if (current() != opening) [[unlikely]] {
    (void)TRY(peek_kind());
    return std::unexpected(wrong_kind(expected));
  }
  if (depth_ == kMaxDepth) [[unlikely]] {
    return std::unexpected(error_at(at_, cat("nested deeper than ", kMaxDepth, " levels")));
  }
  frames_[depth_++] = {.start = at_, .key = 0, .count = 0, .is_array = opening == '['};
  ++at_;
  return {};
}

void JsonReader::leave() {
  ++at_;
  --depth_;
  value_ = frames_[depth_].start;
}

Result<bool> JsonReader::advance(char closing) {
  auto& frame = frames_[depth_ - 1];
  skip_blanks();
  if (current() == closing) {
    leave();
    return false;
  }
  if (frame.count != 0) {
    if (current() != ',') [[unlikely]] {
      return std::unexpected(syntax_error(closing == '}' ? "\",\" or \"}\"" : "\",\" or \"]\""));
    }
    ++at_;
    skip_blanks();
    if (current() == closing) [[unlikely]] {
      return std::unexpected(syntax_error(closing == '}' ? "another key after the comma"
                                                         : "another value after the comma"));
    }
  }
  ++frame.count;
  return true;
}

Result<> JsonReader::enter_object() { return enter('{', "an object"); }

Result<std::optional<std::string_view>> JsonReader::next_key() {
  if (!TRY(advance('}'))) return std::nullopt;
  if (current() != '"') [[unlikely]]
    return std::unexpected(syntax_error("a key in double quotes"));
  auto start = at_;
  auto key = TRY(scan_string(key_scratch_));
  frames_[depth_ - 1].key = start;
  TRY(expect_colon());
  return key;
}

Result<> JsonReader::expect_colon() {
  skip_blanks();
  if (current() != ':') [[unlikely]]
    return std::unexpected(syntax_error("\":\" after the key"));
  ++at_;
  return {};
}

Result<> JsonReader::enter_array() { return enter('[', "an array"); }

Result<bool> JsonReader::next_element() { return advance(']'); }

// --- scalars

Result<std::string_view> JsonReader::read_string() {
  skip_blanks();
  value_ = at_;
  if (current() == '"') [[likely]]
    return scan_string(string_scratch_);
  (void)TRY(peek_kind());
  return std::unexpected(wrong_kind("a string"));
}

Result<bool> JsonReader::read_bool() {
  auto kind = TRY(peek_kind());
  value_ = at_;
  if (kind != JsonKind::kBool) [[unlikely]]
    return std::unexpected(wrong_kind("true or false"));
  return scan_literal();
}

Result<bool> JsonReader::skip_null() {
  skip_blanks();
  if (current() != 'n') return false;
  value_ = at_;
  (void)TRY(scan_literal());
  return true;
}

Result<bool> JsonReader::scan_literal() {
  auto word = text_.substr(at_);
  for (std::string_view literal : {"true", "false", "null"}) {
    if (word.starts_with(literal)) {
      at_ += literal.size();
      return literal == "true";
    }
  }
  return std::unexpected(syntax_error("a value"));
}

Result<std::string_view> JsonReader::integer_token() {
  auto kind = TRY(peek_kind());
  value_ = at_;
  if (kind != JsonKind::kNumber) [[unlikely]]
    return std::unexpected(wrong_kind("an integer"));
  auto token = TRY(scan_number());
  if (token.find_first_of(".eE") != std::string_view::npos) [[unlikely]] {
    return std::unexpected(
        error(cat("expected an integer without fraction and exponent, found the number ", token)));
  }
  return token;
}

Result<> JsonReader::scan_digits() {
  if (!is_digit(current())) [[unlikely]]
    return std::unexpected(syntax_error("a digit"));
  while (is_digit(current())) ++at_;
  return {};
}

Result<std::string_view> JsonReader::scan_number() {
  auto start = at_;
  if (current() == '-') ++at_;
  if (current() == '0') {
    ++at_;
    if (is_digit(current())) [[unlikely]] {
      return std::unexpected(error_at(start, "a number must not begin with 0"));
    }
  } else {
    TRY(scan_digits());
  }
  if (current() == '.') {
    ++at_;
    TRY(scan_digits());
  }
  if (current() == 'e' || current() == 'E') {
    ++at_;
    if (current() == '+' || current() == '-') ++at_;
    TRY(scan_digits());
  }
  return text_.substr(start, at_ - start);
}

// --- anything

Result<bool> JsonReader::next_part() {
  if (frames_[depth_ - 1].is_array) return next_element();
  return TRY(next_key()).has_value();
}

// One scalar, or the opening of an object or array.
Result<> JsonReader::skip_one() {
  auto kind = TRY(peek_kind());
  value_ = at_;
  switch (kind) {
    case JsonKind::kObject: return enter_object();
    case JsonKind::kArray: return enter_array();
    case JsonKind::kString: TRY(scan_string(string_scratch_)); break;
    case JsonKind::kNumber: TRY(scan_number()); break;
    case JsonKind::kBool:
    case JsonKind::kNull: (void)TRY(scan_literal()); break;
  }
  return {};
}

Result<> JsonReader::skip_value() {
  const auto outer = depth_;
  do {
    TRY(skip_one());
    while (depth_ > outer && !TRY(next_part())) {
    }
  } while (depth_ > outer);
  return {};
}

Result<std::string_view> JsonReader::read_raw() {
  skip_blanks();
  auto start = at_;
  TRY(skip_value());
  return text_.substr(start, at_ - start);
}

Result<> JsonReader::finish() {
  skip_blanks();
  if (at_ < text_.size()) return std::unexpected(syntax_error("nothing after the JSON value"));
  return {};
}

// --- strings

Result<std::string_view> JsonReader::scan_string(std::string& scratch) {
  auto start = at_ + 1;
  auto end = skip_plain(text_, start);
  if (end < text_.size() && text_[end] == '"') [[likely]] {
    at_ = end + 1;
    return text_.substr(start, end - start);
  }
  at_ = end;
  return scan_string_slowly(start, scratch);
}

// `at_` is the first character of the string that begins at `from` that needs care.
Result<std::string_view> JsonReader::scan_string_slowly(std::size_t from, std::string& scratch) {
  bool escaped = false;
  auto copied = from;
  scratch.clear();
  for (;;) {
    if (at_ >= text_.size()) {
      return std::unexpected(error_at(from - 1, "the text ends inside this string"));
    }
    auto byte = static_cast<unsigned char>(current());
    if (byte == '"') break;
    if (byte < 0x20) {
      return std::unexpected(
          error_at(at_, cat("control character ", quoted(text_.substr(at_, 1)), " in a string")));
    }
    if (byte == '\\') {
      escaped = true;
      scratch += text_.substr(copied, at_ - copied);
      TRY(scan_escape(scratch));
      copied = at_;
    } else {
      at_ += TRY(scan_character());
    }
    at_ = skip_plain(text_, at_);
  }
  auto end = at_++;
  if (!escaped) return text_.substr(from, end - from);
  scratch += text_.substr(copied, end - copied);
  return scratch;
}

// The length of the character at `at_`.
Result<std::size_t> JsonReader::scan_character() {
  auto length = utf8_length(text_.substr(at_));
  if (length == 0) return std::unexpected(error_at(at_, "this byte is not UTF-8"));
  return length;
}

Result<> JsonReader::scan_escape(std::string& scratch) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  auto start = at_++;
  auto name = current();
  ++at_;
  if (auto found = kNames.find(name); found != std::string_view::npos && at_ <= text_.size()) {
    scratch += kMeanings[found];
    return {};
  }
  if (name != 'u') {
    return std::unexpected(error_at(
        start, cat("no such escape in JSON: ", text_.substr(start, is_plain(name) ? 2 : 1))));
  }
  auto unit = TRY(scan_hex());
  if (is_high_surrogate(unit) && text_.substr(at_).starts_with("\\u")) {
    at_ += 2;
    auto low = TRY(scan_hex());
    if (!is_low_surrogate(low)) return std::unexpected(error_at(start, "half of a surrogate pair"));
    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  } else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
    return std::unexpected(error_at(start, "half of a surrogate pair"));
  }
  append_utf8(scratch, unit);
  return {};
}

Result<std::uint32_t> JsonReader::scan_hex() {
  auto digits = text_.substr(std::min(at_, text_.size()), 4);
  auto unit = parse_number<std::uint16_t>(digits, 16);
  if (digits.size() != 4 || !unit) {
    return std::unexpected(syntax_error("four hexadecimal digits after \\u"));
  }
  at_ += 4;
  return *unit;
}

}  // namespace caisson::formats
