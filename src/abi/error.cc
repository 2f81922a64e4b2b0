// caisson_error: an Error whose texts stand ready.
#include "abi/call.h"

struct caisson_error {
  explicit caisson_error(caisson::Error e)
      : error(std::move(e)), cause(error.cause()), message(error.message()) {}
  caisson::Error error;
  std::string cause, message;
};

namespace caisson::abi {

int finish(Result<> result, caisson_error** error) {
  if (error != nullptr) *error = nullptr;
  if (result) return 0;
  int value = result.error().errno_value();
  if (value <= 0) value = EINVAL;
  if (error != nullptr) *error = new caisson_error(std::move(result).error());
  return value;
}

}  // namespace caisson::abi

extern "C" {

int caisson_error_errno(const caisson_error* error) {
  int value = error->error.errno_value();
  return value > 0 ? value : EINVAL;
}
const char* caisson_error_code(const caisson_error* error) { return error->error.code().c_str(); }
const char* caisson_error_step(const caisson_error* error) { return error->error.step().c_str(); }
const char* caisson_error_object(const caisson_error* error) {
  return error->error.doing().c_str();
}
const char* caisson_error_where(const caisson_error* error) { return error->error.where().c_str(); }
const char* caisson_error_cause(const caisson_error* error) { return error->cause.c_str(); }
const char* caisson_error_cure(const caisson_error* error) { return error->error.cure().c_str(); }
const char* caisson_error_message(const caisson_error* error) { return error->message.c_str(); }
void caisson_error_free(caisson_error* error) { delete error; }
}
