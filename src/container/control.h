// The control socket of a supervisor: `control` in the container's folder, SOCK_SEQPACKET, one JSON
// text per message, one answer per request.
//   {"op":"wait"}                         -> {"exit":{...}} when the program has ended
//   {"op":"status"}                       -> {"status":"running","pid":12}
//   {"op":"resize","rows":24,"cols":80}   -> {"ok":true}
//   {"op":"release"}                      -> {"ok":true}; the supervisor of an ended container ends
// Anything else: {"error":"..."}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"
#include "container/store.h"

namespace caisson::container {

inline constexpr const char* kControlSocket = "control";
inline constexpr std::size_t kControlMessageLimit = 4096;

struct ControlRequest {
  enum class Op { kWait, kStatus, kResize, kRelease };
  Op op{};
  int rows = 0, columns = 0;
};
Result<ControlRequest> parse_request(std::string_view text);
std::string to_json(const ControlRequest& request);
std::string exit_answer(const Exit& exit);
std::string error_answer(std::string_view why);
// The exit in an answer to kWait.
Result<Exit> parse_exit_answer(std::string_view text);

// The connected socket; nothing when no supervisor listens.
bool has_control(const Folder& folder);
std::optional<Fd> connect_control(const Folder& folder);
// Sends and returns the answer's text; an answer with "error" is an Error, as is none in
// `timeout_ms`.
Result<std::string> ask(FdRef control, const ControlRequest& request, int timeout_ms);

}  // namespace caisson::container
