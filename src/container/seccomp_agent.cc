#include "container/seccomp_agent.h"

#include "base/text.h"
#include "container/api.h"
#include "formats/json.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr int kSendTimeoutS = 10;

Error unreachable(Errno error, const std::string& path) {
  return Error(error)
      .doing("failed to connect with seccomp agent ", path)
      .where("linux.seccomp.listenerPath")
      .cure("start the agent, or use a profile without SCMP_ACT_NOTIFY")
      .code("seccomp.agent");
}

std::string message(int pid, const std::string& metadata, const State& state, Status status) {
  Snapshot snapshot{state, status, {}};
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("ociVersion", state.oci_version);
  json.key("fds").begin_array().value("seccompFd").end_array();
  json.field("pid", pid).field("metadata", metadata);
  json.key("state").raw(state_json(snapshot, "")).end_object();
  return out;
}

}  // namespace

Result<SeccompAgent> SeccompAgent::connect(std::string path, std::string metadata) {
  SeccompAgent agent;
  auto socket = sys::connect_unix(path);
  if (!socket) return std::unexpected(unreachable(socket.error(), path));
  timeval limit{kSendTimeoutS, 0};
  TRY(sys::call_void(SYS_setsockopt, socket->number(), SOL_SOCKET, SO_SNDTIMEO, &limit,
                     sizeof limit));
  agent.socket_ = std::move(*socket);
  agent.path_ = std::move(path);
  agent.metadata_ = std::move(metadata);
  return agent;
}

Result<> SeccompAgent::check(const std::string& path) {
  auto info = sys::fstatat(sys::kCwd, path.c_str());
  if (!info) return std::unexpected(unreachable(info.error(), path));
  if (!S_ISSOCK(info->st_mode)) return std::unexpected(unreachable(Errno{ENOTSOCK}, path));
  return {};
}

Result<> SeccompAgent::send(FdRef listener, int pid, const State& state, Status status) {
  int number = listener.number();
  TRY_CTX(sys::send_message(socket_, message(pid, metadata_, state, status), std::span(&number, 1)),
          "send the seccomp listener to the agent ", path_);
  socket_.reset();
  return {};
}

}  // namespace caisson::container
