#include "container/control.h"

#include <utility>

#include "formats/json.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr std::pair<ControlRequest::Op, std::string_view> kOpNames[] = {
    {ControlRequest::Op::kWait, "wait"},
    {ControlRequest::Op::kStatus, "status"},
    {ControlRequest::Op::kResize, "resize"},
    {ControlRequest::Op::kRelease, "release"},
};
constexpr int kMaxSize = 65535;  // of a terminal, in characters

Result<> check_answer(std::string_view text) {
  formats::JsonReader json(text, "answer");
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    if (*key == "error") {
      return std::unexpected(Error::with_cause(EINVAL, std::string(TRY(json.read_string())))
                                 .doing("ask the supervisor"));
    }
    TRY(json.skip_value());
  }
  return {};
}

}  // namespace

Result<ControlRequest> parse_request(std::string_view text) {
  formats::JsonReader json(text, "request");
  std::optional<ControlRequest::Op> op;
  ControlRequest request;
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    if (*key == "op") {
      auto word = TRY(json.read_string());
      for (const auto& [value, name] : kOpNames) {
        if (name == word) op = value;
      }
    } else if (*key == "rows") {
      request.rows = TRY(json.read_int<int>(0, kMaxSize));
    } else if (*key == "cols") {
      request.columns = TRY(json.read_int<int>(0, kMaxSize));
    } else {
      TRY(json.skip_value());
    }
  }
  TRY(json.finish());
  if (!op) return std::unexpected(Error::invalid("unknown op"));
  request.op = *op;
  return request;
}

std::string to_json(const ControlRequest& request) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object();
  for (const auto& [value, name] : kOpNames) {
    if (value == request.op) json.field("op", name);
  }
  if (request.op == ControlRequest::Op::kResize) {
    json.field("rows", request.rows).field("cols", request.columns);
  }
  json.end_object();
  return out;
}

std::string exit_answer(const Exit& exit) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().key("exit").raw(trim(to_json(exit))).end_object();
  return out;
}

std::string error_answer(std::string_view why) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("error", why).end_object();
  return out;
}

Result<Exit> parse_exit_answer(std::string_view text) {
  formats::JsonReader json(text, "answer");
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    if (*key == "exit") return parse_exit(TRY(json.read_raw()), "answer");
    TRY(json.skip_value());
  }
  return std::unexpected(Error::invalid("the supervisor's answer holds no exit"));
}

bool has_control(const Folder& folder) {
  return sys::faccessat(sys::kCwd, cat(folder.path, "/", kControlSocket).c_str(), F_OK).has_value();
}

std::optional<Fd> connect_control(const Folder& folder) {
  auto dir = sys::openat(sys::kCwd, folder.path.c_str(), O_PATH | O_DIRECTORY);
  if (!dir) return std::nullopt;
  auto socket = sys::connect_unix(*dir, kControlSocket);
  if (!socket) return std::nullopt;
  return std::move(*socket);
}

Result<std::string> ask(FdRef control, const ControlRequest& request, int timeout_ms) {
  TRY_CTX(sys::send_message(control, to_json(request)), "ask the supervisor");
  if (!TRY_CTX(sys::wait_readable(control, timeout_ms), "wait for the supervisor")) {
    return std::unexpected(Error(Errno{ETIMEDOUT}).doing("wait for the supervisor's answer"));
  }
  auto message =
      TRY_CTX(sys::receive_message(control, kControlMessageLimit), "read the supervisor's answer");
  if (message.data.empty()) {
    return std::unexpected(Error::with_cause(ECONNRESET, "the supervisor went away"));
  }
  TRY(check_answer(message.data));
  return std::move(message.data);
}

}  // namespace caisson::container
