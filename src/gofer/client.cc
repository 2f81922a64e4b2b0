#include "gofer/client.h"

#include <cerrno>

#include "sys/socket.h"

namespace caisson::gofer {

ErrnoOr<Client::Answer> Client::ask(const Request& request) {
  std::string bytes = encode(request);
  if (bytes.size() > kMaxMessage) return std::unexpected(Errno{E2BIG});
  sys::Message message;
  {
    Locked lock(mutex_);
    if (!socket_) return std::unexpected(Errno{EPIPE});
    TRY(sys::send_message(socket_, bytes));
    auto received = sys::receive_message(socket_, kMaxMessage);
    // What comes next could be the answer to another request.
    if (!received || received->data.empty()) socket_.reset();
    if (!received) return std::unexpected(received.error());
    if (received->data.empty()) return std::unexpected(Errno{EPIPE});
    message = std::move(*received);
  }
  Answer answer;
  answer.reply = TRY(decode_reply(message.data));
  if (answer.reply.errno_value != 0) return std::unexpected(Errno{answer.reply.errno_value});
  if (!message.fds.empty()) answer.fd = std::move(message.fds.front());
  return answer;
}

void Client::close() {
  Locked lock(mutex_);
  socket_.reset();
}

}  // namespace caisson::gofer
