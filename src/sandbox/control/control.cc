#include "sandbox/control/control.h"

#include <cerrno>
#include <cstring>

#include "sys/socket.h"

namespace caisson::sandbox::control {
namespace {

struct Header {
  std::uint32_t magic = 0x63736331;
  std::uint8_t kind = 0;
  std::uint8_t reserved[3] = {};
  std::int64_t value = 0;
};

}  // namespace

std::string encode_control(std::uint8_t kind, std::int64_t value, std::string_view text) {
  Header header;
  header.kind = kind;
  header.value = value;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += text;
  return bytes;
}

ErrnoOr<ControlMessage> decode_control(std::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof header) return std::unexpected(Errno{EPROTO});
  Header expected;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != expected.magic) return std::unexpected(Errno{EPROTO});
  ControlMessage message;
  message.kind = header.kind;
  message.value = header.value;
  message.text = bytes.substr(sizeof header);
  return message;
}

ErrnoOr<> send_control(FdRef socket, Request request, std::int64_t value, std::string_view text,
                       const std::vector<int>& descriptors) {
  return sys::send_message(socket, encode_control(static_cast<std::uint8_t>(request), value, text),
                           descriptors);
}

ErrnoOr<> send_control(FdRef socket, Answer answer, std::int64_t value, std::string_view text) {
  return sys::send_message(socket, encode_control(static_cast<std::uint8_t>(answer), value, text));
}

ErrnoOr<ControlMessage> receive_control(FdRef socket) {
  auto received = TRY(sys::receive_message(socket, kControlLimit));
  if (received.data.empty()) return std::unexpected(Errno{ECONNRESET});
  ControlMessage message = TRY(decode_control(received.data));
  message.descriptors = std::move(received.fds);
  return message;
}

}  // namespace caisson::sandbox::control
