#include "gofer/server.h"

#include <array>

#include "gofer/protocol.h"
#include "sys/socket.h"

namespace caisson::gofer {

ErrnoOr<> serve(FdRef socket, const Files& files) {
  for (;;) {
    sys::Message message = TRY(sys::receive_message(socket, kMaxMessage));
    if (message.data.empty()) return {};
    // Descriptors that came along were closed by nobody's taking them.
    message.fds.clear();
    Request request = TRY(decode_request(message.data));
    Answer answer = files.answer(request);
    std::array<int, 1> fds{answer.fd.number()};
    TRY(sys::send_message(socket, encode(answer.reply),
                          std::span<const int>(fds.data(), answer.fd ? 1U : 0U)));
  }
}

}  // namespace caisson::gofer
