#include "container/errors.h"

#include "formats/json.h"

namespace caisson::container {

std::string error_to_json(const Error& error) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("errno", error.errno_value());
  json.field("code", error.code()).field("step", error.step()).field("doing", error.doing());
  json.field("where", error.where()).field("cause", error.cause()).field("cure", error.cure());
  json.end_object();
  return out;
}

Error error_from_json(std::string_view text) {
  int errno_value = EIO;
  std::string code, step, doing, where, cause, cure;
  formats::JsonReader json(text);
  auto read = [&]() -> Result<> {
    TRY(json.enter_object());
    while (auto key = TRY(json.next_key())) {
      if (*key == "errno") {
        errno_value = TRY(json.read_int<int>());
        continue;
      }
      std::string* part = *key == "code"    ? &code
                          : *key == "step"  ? &step
                          : *key == "doing" ? &doing
                          : *key == "where" ? &where
                          : *key == "cause" ? &cause
                                            : &cure;
      *part = TRY(json.read_string());
    }
    return json.finish();
  }();
  if (!read) return std::move(read).error().doing("read the answer of the supervisor");
  Error error = Error::with_cause(errno_value, std::move(cause));
  if (!code.empty()) error = std::move(error).code(code);
  if (!step.empty()) error = std::move(error).step(step);
  if (!doing.empty()) error = std::move(error).doing(doing);
  if (!where.empty()) error = std::move(error).where(where);
  if (!cure.empty()) error = std::move(error).cure(cure);
  return error;
}

}  // namespace caisson::container
