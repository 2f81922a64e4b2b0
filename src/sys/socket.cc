#include "sys/socket.h"

#include <sys/time.h>

#include <cstddef>
#include <cstring>

#include "sys/file.h"

namespace caisson::sys {
namespace {

ErrnoOr<sockaddr_un> address_of(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::unexpected(Errno{ENAMETOOLONG});
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::string through_proc(FdRef dir, const char* name) {
  return dir.number() == AT_FDCWD ? std::string(name)
                                  : cat("/proc/self/fd/", dir.number(), "/", name);
}

}  // namespace

ErrnoOr<SocketPair> socket_pair(int type) {
  int fds[2];
  TRY(call_void(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, fds));
  return SocketPair{Fd(fds[0]), Fd(fds[1])};
}

ErrnoOr<Fd> listen_unix(FdRef dir, const char* name, int type, int backlog) {
  Fd socket = TRY(call_fd(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0));
  TRY(fchmod(socket, 0600));
  auto address = TRY(address_of(through_proc(dir, name)));
  TRY(call_void(SYS_bind, socket.number(), &address, sizeof address));
  TRY(call_void(SYS_listen, socket.number(), backlog));
  return socket;
}

ErrnoOr<Fd> bind_unix_datagram(FdRef dir, const char* name, std::uint32_t mode) {
  Fd socket = TRY(call_fd(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto address = TRY(address_of(through_proc(dir, name)));
  TRY(call_void(SYS_bind, socket.number(), &address, sizeof address));
  TRY(call_void(SYS_fchmodat, dir.number(), name, mode));
  return socket;
}

ErrnoOr<Fd> connect_unix_datagram(const std::string& path) {
  if (!path.starts_with('@')) return connect_unix(path, SOCK_DGRAM);
  Fd socket = TRY(call_fd(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto address = TRY(address_of(path));
  address.sun_path[0] = '\0';
  std::size_t size = offsetof(sockaddr_un, sun_path) + path.size();
  TRY(call_void(SYS_connect, socket.number(), &address, size));
  return socket;
}

ErrnoOr<Fd> connect_unix(FdRef dir, const char* name, int type) {
  Fd socket = TRY(call_fd(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0));
  // Also of a connect(2) to one whose queue of connections is full.
  const timeval limit{kSendTimeoutS, 0};
  TRY(call_void(SYS_setsockopt, socket.number(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
  auto address = TRY(address_of(through_proc(dir, name)));
  auto connected = call_void(SYS_connect, socket.number(), &address, sizeof address);
  if (!connected && connected.error().value == EAGAIN) return std::unexpected(Errno{ETIMEDOUT});
  TRY(connected);
  return socket;
}

ErrnoOr<Fd> connect_unix(const std::string& path, int type) {
  if (path.size() < sizeof(sockaddr_un::sun_path)) return connect_unix(kCwd, path.c_str(), type);
  auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return std::unexpected(Errno{ENAMETOOLONG});
  Fd dir = TRY(openat(kCwd, path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY));
  return connect_unix(dir, path.substr(slash + 1).c_str(), type);
}

ErrnoOr<> send_message(FdRef socket, std::string_view data, std::span<const int> fds) {
  if (fds.size() > kMaxMessageFds) return std::unexpected(Errno{EINVAL});
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  iovec part{const_cast<char*>(data.data()), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  TRY(call_retry(SYS_sendmsg, socket.number(), &message, MSG_NOSIGNAL));
  return {};
}

ErrnoOr<Message> receive_message(FdRef socket, std::size_t limit) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  Message out;
  out.data.resize(limit);
  iovec part{out.data.data(), limit};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  auto got = static_cast<std::size_t>(
      TRY(call_retry(SYS_recvmsg, socket.number(), &message, MSG_CMSG_CLOEXEC)));
  out.data.resize(got);
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof number);
      out.fds.emplace_back(number);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) return std::unexpected(Errno{EMSGSIZE});
  return out;
}

ErrnoOr<PeerCredentials> peer_credentials(FdRef socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  TRY(call_void(SYS_getsockopt, socket.number(), SOL_SOCKET, SO_PEERCRED, &credentials, &size));
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace caisson::sys
