// The errors of this folder: texts that engines match, with codes (see api.h).
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::container {

inline Error missing_container(std::string_view id) {
  return Error::with_cause(ENOENT, "container does not exist")
      .doing("container ", quoted(id))
      .code("container.missing");
}

inline Error taken_name(std::string_view id) {
  return Error::with_cause(EEXIST, "container with given ID already exists")
      .doing("container ", quoted(id))
      .cure("choose another id, or remove that container first")
      .code("container.exists");
}

// A verb that does not fit the status.
inline Error wrong_state(int errno_value, std::string cause) {
  return Error::with_cause(errno_value, std::move(cause)).code("container.state");
}

inline Error broken_container(std::string_view id, Error why) {
  return std::move(why).doing("container ", quoted(id)).code("container.broken");
}

// An Error as one JSON text, for the pipe between a supervisor and the command that waits for it.
std::string error_to_json(const Error& error);
Error error_from_json(std::string_view text);

}  // namespace caisson::container
