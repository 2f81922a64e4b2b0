// Sockets of the internet families, for a sandbox that uses the host's network. Nothing here
// blocks: sockets are non-blocking from birth, and no call raises SIGPIPE.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "sys/call.h"

namespace caisson::sys {

inline ErrnoOr<Fd> inet_socket(int domain, int type, int protocol) {
  return call_fd(SYS_socket, domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}
inline ErrnoOr<> bind(FdRef socket, std::span<const std::byte> address) {
  return call_void(SYS_bind, socket.number(), address.data(), address.size());
}
inline ErrnoOr<> listen(FdRef socket, int backlog) {
  return call_void(SYS_listen, socket.number(), backlog);
}
// EINPROGRESS: it goes on.
inline ErrnoOr<> connect(FdRef socket, std::span<const std::byte> address) {
  return call_void(SYS_connect, socket.number(), address.data(), address.size());
}
inline ErrnoOr<Fd> accept_nonblocking(FdRef socket) {
  return call_fd(SYS_accept4, socket.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
inline ErrnoOr<> shutdown(FdRef socket, int how) {
  return call_void(SYS_shutdown, socket.number(), how);
}
// The address's length.
inline ErrnoOr<std::size_t> socket_name(FdRef socket, bool of_peer, std::span<std::byte> address) {
  auto length = static_cast<socklen_t>(address.size());
  TRY(call_void(of_peer ? SYS_getpeername : SYS_getsockname, socket.number(), address.data(),
                &length));
  return length;
}
// An empty address: to the peer.
inline ErrnoOr<std::size_t> send_to(FdRef socket, std::span<const std::byte> bytes, int flags,
                                    std::span<const std::byte> address) {
  const void* to = address.empty() ? nullptr : address.data();
  return static_cast<std::size_t>(
      TRY(call_retry(SYS_sendto, socket.number(), bytes.data(), bytes.size(),
                     flags | MSG_NOSIGNAL | MSG_DONTWAIT, to, address.size())));
}
inline ErrnoOr<std::size_t> receive(FdRef socket, msghdr& message, int flags) {
  return static_cast<std::size_t>(TRY(
      call_retry(SYS_recvmsg, socket.number(), &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC)));
}
inline ErrnoOr<> set_option(FdRef socket, int level, int name, std::span<const std::byte> value) {
  return call_void(SYS_setsockopt, socket.number(), level, name, value.data(), value.size());
}
// The value's length.
inline ErrnoOr<std::size_t> get_option(FdRef socket, int level, int name,
                                       std::span<std::byte> value) {
  auto length = static_cast<socklen_t>(value.size());
  TRY(call_void(SYS_getsockopt, socket.number(), level, name, value.data(), &length));
  return length;
}
// FIONREAD, TIOCOUTQ.
inline ErrnoOr<int> socket_bytes(FdRef socket, unsigned long request) {
  int value = 0;
  TRY(call_void(SYS_ioctl, socket.number(), request, &value));
  return value;
}
// What of `events` is so now, with errors and hang-ups.
inline std::uint32_t poll_now(FdRef fd, std::uint32_t events) {
  pollfd entry{.fd = fd.number(), .events = static_cast<short>(events), .revents = 0};
  timespec none{};
  auto ready = call_retry(SYS_ppoll, &entry, 1, &none, nullptr, 8);
  return ready ? static_cast<std::uint32_t>(entry.revents) : 0;
}

}  // namespace caisson::sys
