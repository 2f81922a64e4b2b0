// What the programs of local sockets share.
#pragma once

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>
#include <string>
#include <vector>

#include "frame.h"

namespace local_sockets {

struct Address {
  sockaddr_un address = {};
  socklen_t size = 0;
  // "@name" is an abstract one.
  explicit Address(const char* name) {
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, name, sizeof(address.sun_path) - 1);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + strlen(name) +
                                  (name[0] == '@' ? 0 : 1));
    if (name[0] == '@') address.sun_path[0] = '\0';
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

inline int bind_to(int fd, const char* name) {
  Address address(name);
  return bind(fd, address.get(), address.size);
}

inline int connect_to(int fd, const char* name) {
  Address address(name);
  return connect(fd, address.get(), address.size);
}

inline int local(int type) { return socket(AF_UNIX, type, 0); }

inline int listener(const char* name, int type = SOCK_STREAM, int backlog = 5) {
  int fd = local(type);
  if (bind_to(fd, name) != 0 || listen(fd, backlog) != 0)
    line("listener: %s", frame::error_name(errno));
  return fd;
}

inline void show_poll(int fd) {
  pollfd one = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  int ready = poll(&one, 1, 0);
  line("ready %d:%s%s%s%s%s", ready, one.revents & POLLIN ? " in" : "",
       one.revents & POLLOUT ? " out" : "", one.revents & POLLHUP ? " hup" : "",
       one.revents & POLLERR ? " err" : "", one.revents & POLLRDHUP ? " rdhup" : "");
}

inline void receive(int fd, int flags = MSG_DONTWAIT, size_t size = 64) {
  char data[65] = {};
  ssize_t done = recv(fd, data, size, flags);
  if (done < 0) {
    line("receive: %s", frame::error_name(errno));
  } else {
    frame::bytes("receive", data, std::min<size_t>(static_cast<size_t>(done), 64));
  }
}

inline void pair(int* ends, int type = SOCK_STREAM) {
  if (socketpair(AF_UNIX, type, 0, ends) != 0) line("socketpair: %s", frame::error_name(errno));
}

// Shows data, flags and what came beside it; gives the last descriptor.
inline int receive_message(int fd, int flags = 0, size_t control_size = 1024, size_t size = 64) {
  alignas(cmsghdr) char control[1024] = {};
  char data[65] = {};
  iovec vector = {data, size};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = control_size;
  ssize_t done = recvmsg(fd, &message, flags);
  if (done < 0) {
    line("message: %s", frame::error_name(errno));
    return -1;
  }
  line("message of %zd: %s flags %x", done, data, static_cast<unsigned>(message.msg_flags));
  int last = -1;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    size_t length = header->cmsg_len - CMSG_LEN(0);
    if (header->cmsg_type == SCM_RIGHTS) {
      int fds[128];
      memcpy(fds, CMSG_DATA(header), length);
      for (size_t index = 0; index < length / sizeof(int); index++)
        line("descriptor %d", last = fds[index]);
    } else if (header->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials;
      memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
      line("pid %s uid %u gid %u",
           credentials.pid == getpid() ? "own"
           : credentials.pid == 0      ? "none"
                                       : "other",
           credentials.uid, credentials.gid);
    }
  }
  return last;
}

inline void show_option(const char* name, int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  int done = getsockopt(fd, SOL_SOCKET, option, &value, &size);
  line("%s: %s %d", name, done == 0 ? "ok" : frame::error_name(errno), value);
}

}  // namespace local_sockets
