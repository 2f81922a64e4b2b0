#include <algorithm>

#include "formats/json.h"
#include "formats/utf8.h"

namespace caisson::formats {

void JsonWriter::new_line() {
  if (indent_.empty()) return;
  out_ += '\n';
  for (std::size_t i = 0; i < depth_; ++i) out_ += indent_;
}

void JsonWriter::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (!first_) out_ += ',';
  if (depth_ != 0) new_line();
  first_ = false;
}

JsonWriter& JsonWriter::begin(char opening) {
  before_value();
  out_ += opening;
  ++depth_;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(char closing) {
  --depth_;
  if (!first_) new_line();
  out_ += closing;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  before_value();
  append_string(name);
  out_ += indent_.empty() ? ":" : ": ";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  before_value();
  out_ += json;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  before_value();
  append_string(text);
  return *this;
}

namespace {

// Printable ASCII that needs no escape.
bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

}  // namespace

void JsonWriter::append_string(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  constexpr char kDigits[] = "0123456789abcdef";
  out_ += '"';
  for (;;) {
    auto plain = std::ranges::find_if_not(text, is_plain) - text.begin();
    out_ += text.substr(0, static_cast<std::size_t>(plain));
    text.remove_prefix(static_cast<std::size_t>(plain));
    if (text.empty()) break;
    auto byte = static_cast<unsigned char>(text.front());
    auto length = utf8_length(text);
    switch (byte) {
      case '"': out_ += "\\\""; break;
      case '\\': out_ += "\\\\"; break;
      case '\b': out_ += "\\b"; break;
      case '\f': out_ += "\\f"; break;
      case '\n': out_ += "\\n"; break;
      case '\r': out_ += "\\r"; break;
      case '\t': out_ += "\\t"; break;
      default:
        if (length == 0) {
          out_ += kReplacement;
          length = 1;
        } else if (byte < 0x20) {
          append(out_, "\\u00", kDigits[byte >> 4], kDigits[byte & 15]);
        } else {
          out_ += text.substr(0, length);
        }
    }
    text.remove_prefix(length);
  }
  out_ += '"';
}

}  // namespace caisson::formats
