#include "base/error.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/result.h"

namespace caisson {

std::string_view errno_name(int value) {
  const char* name = strerrorname_np(value);
  return name != nullptr ? std::string_view(name) : std::string_view("unknown errno");
}

std::string_view errno_text(int value) {
  const char* text = strerrordesc_np(value);
  return text != nullptr ? std::string_view(text) : std::string_view("unknown error");
}

Error::Error(Errno errno_value) : info_(std::make_unique<Info>()) {
  info_->errno_value = errno_value.value;
}

Error Error::with_cause(int errno_value, std::string cause) {
  Error error(Errno{errno_value});
  error.info_->cause = std::move(cause);
  return error;
}

Error Error::code(std::string_view code) && {
  if (info_->code.empty()) info_->code = code;
  return std::move(*this);
}

Error Error::step(std::string_view step) && {
  if (info_->step.empty()) info_->step = step;
  return std::move(*this);
}

void Error::add_context(std::string context) {
  if (!info_->doing.empty()) append(context, ": ", info_->doing);
  info_->doing = std::move(context);
}

std::string Error::cause() const {
  return info_->cause.empty() ? std::string(errno_text(info_->errno_value)) : info_->cause;
}

std::string Error::message() const {
  std::string out;
  for (const std::string* part : {&info_->step, &info_->doing, &info_->where}) {
    if (!part->empty()) append(out, *part, ": ");
  }
  out += cause();
  return out;
}

namespace detail {

void must_failed(const char* expression, const char* file, int line, int errno_value) {
  std::string text = cat("caisson: internal error at ", file, ":", line, ": ", expression, ": ",
                         errno_text(errno_value), "\n");
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

}  // namespace detail
}  // namespace caisson
