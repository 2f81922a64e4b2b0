// Any bytes: what the reader skips it must also be able to read value by value, and what the writer
// makes of that must read the same again.
#include "formats/json.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace caisson::formats {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Reads the next value and writes it again. Nesting is bounded by the reader.
Result<> copy_value(JsonReader& json, JsonWriter& out) {
  switch (TRY(json.peek_kind())) {
    case JsonKind::kNull:
      require(TRY(json.skip_null()));
      out.null();
      break;
    case JsonKind::kBool: out.value(TRY(json.read_bool())); break;
    case JsonKind::kNumber: out.raw(TRY(json.read_raw())); break;
    case JsonKind::kString: out.value(TRY(json.read_string())); break;
    case JsonKind::kArray:
      TRY(json.enter_array());
      out.begin_array();
      while (TRY(json.next_element())) TRY(copy_value(json, out));
      out.end_array();
      break;
    case JsonKind::kObject:
      TRY(json.enter_object());
      out.begin_object();
      while (auto key = TRY(json.next_key())) {
        out.key(*key);
        TRY(copy_value(json, out));
      }
      out.end_object();
      break;
  }
  return {};
}

// The error's text, or "" when the whole text could be copied to `out`.
std::string copy(std::string_view text, std::string_view indent, std::string& out) {
  JsonReader json(text, "fuzz");
  JsonWriter writer(out, indent);
  auto done = copy_value(json, writer);
  if (done) done = json.finish();
  return done ? "" : done.error().message();
}

std::string skip(std::string_view text) {
  JsonReader json(text, "fuzz");
  auto done = json.skip_value();
  if (done) done = json.finish();
  return done ? "" : done.error().message();
}

void check(std::string_view text) {
  std::string compact, again, indented, from_indented;
  auto refusal = copy(text, "", compact);
  require(refusal == skip(text));
  if (!refusal.empty()) return;
  require(copy(compact, "", again).empty() && again == compact);
  require(copy(text, "  ", indented).empty());
  require(copy(indented, "", from_indented).empty() && from_indented == compact);
}

}  // namespace
}  // namespace caisson::formats

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  caisson::formats::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
