#include "sandbox/control/client.h"

#include <sys/socket.h>

#include <cerrno>

#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::control {

Result<Client> Client::connect(const std::string& path, std::string_view container) {
  Client client(
      TRY_CTX(sys::connect_unix(path, SOCK_SEQPACKET), "reach the sandbox's kernel at ", path));
  TRY(client.ask(Request::kContainer, 0, container));
  return client;
}

Result<ControlMessage> Client::receive(int timeout_ms) {
  if (!sys::wait_readable(socket_, timeout_ms).value_or(false)) {
    return std::unexpected(Error(Errno{ETIMEDOUT})
                               .doing("wait for the sandbox's kernel")
                               .cure("when it hangs, end the container with SIGKILL"));
  }
  return TRY_CTX(receive_control(socket_), "hear from the sandbox's kernel");
}

Result<Reply> Client::ask(Request request, std::int64_t value, std::string_view text,
                          const std::vector<int>& descriptors) {
  TRY_CTX(send_control(socket_, request, value, text, descriptors), "ask the sandbox's kernel");
  Reply reply;
  for (;;) {
    ControlMessage message = TRY(receive());
    switch (static_cast<Answer>(message.kind)) {
      case Answer::kText: reply.text += message.text; break;
      case Answer::kFailed:
        return std::unexpected(
            Error::with_cause(static_cast<int>(message.value), std::move(message.text))
                .doing("ask the sandbox's kernel"));
      case Answer::kDone:
      case Answer::kStarted:
      case Answer::kExited: reply.value = message.value; return reply;
    }
    if (reply.text.size() > kReplyLimit)
      return std::unexpected(Error(Errno{EMSGSIZE}).doing("hear from the sandbox's kernel"));
  }
}

}  // namespace caisson::sandbox::control
