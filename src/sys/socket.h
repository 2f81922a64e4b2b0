// Unix sockets and the passing of descriptors.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sys/call.h"

namespace caisson::sys {

struct SocketPair {
  Fd first, second;
};
ErrnoOr<SocketPair> socket_pair(int type = SOCK_SEQPACKET);

// A listening unix socket at dir/name, mode 0600. The directory's path may be of any length: the
// name is bound through /proc/self/fd. Fails with EADDRINUSE when the name exists.
ErrnoOr<Fd> listen_unix(FdRef dir, const char* name, int type = SOCK_SEQPACKET, int backlog = 16);
// A connected socket; paths longer than sun_path are reached through their directory. Neither the
// connection nor what is sent later waits longer than kSendTimeoutS: ETIMEDOUT, and EAGAIN.
inline constexpr int kSendTimeoutS = 10;
ErrnoOr<Fd> connect_unix(FdRef dir, const char* name, int type = SOCK_SEQPACKET);
ErrnoOr<Fd> connect_unix(const std::string& path, int type = SOCK_STREAM);
// A datagram socket at dir/name with the mode given.
ErrnoOr<Fd> bind_unix_datagram(FdRef dir, const char* name, std::uint32_t mode);
// A datagram socket that sends to `path`; "@name" is an abstract one (unix(7)).
ErrnoOr<Fd> connect_unix_datagram(const std::string& path);
inline ErrnoOr<Fd> accept(FdRef listener, int flags = 0) {
  return call_fd(SYS_accept4, listener.number(), nullptr, nullptr, flags | SOCK_CLOEXEC);
}

// How many descriptors one message brings at most, of the kernel's 253.
inline constexpr std::size_t kMaxMessageFds = 32;
// One message with descriptors (SCM_RIGHTS). MSG_NOSIGNAL is added.
ErrnoOr<> send_message(FdRef socket, std::string_view data, std::span<const int> fds = {});
struct Message {
  std::string data;  // empty at end of file
  std::vector<Fd> fds;
};
// Receives one message of at most `limit` bytes and kMaxMessageFds descriptors, close-on-exec.
ErrnoOr<Message> receive_message(FdRef socket, std::size_t limit = 65536);

struct PeerCredentials {
  int pid = 0;
  std::uint32_t uid = 0, gid = 0;
};
ErrnoOr<PeerCredentials> peer_credentials(FdRef socket);

}  // namespace caisson::sys
