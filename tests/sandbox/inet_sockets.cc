// TCP and UDP over the loopback device, IPv4 and IPv6. Ports are the kernel's choice and never
// shown.
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "frame.h"

namespace {

sockaddr_in loopback(uint16_t port = 0) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

template <typename T>
const sockaddr* as(const T& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

int tcp() { return socket(AF_INET, SOCK_STREAM, 0); }
int udp() { return socket(AF_INET, SOCK_DGRAM, 0); }

sockaddr_in name_of(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

int bound(int fd) {
  sockaddr_in address = loopback();
  if (bind(fd, as(address), sizeof(address)) != 0) line("bind: %s", frame::error_name(errno));
  return fd;
}

int listener(int backlog = 5) {
  int fd = bound(tcp());
  if (listen(fd, backlog) != 0) line("listen: %s", frame::error_name(errno));
  return fd;
}

int connect_to(int fd, const sockaddr_in& address) {
  return connect(fd, as(address), sizeof(address));
}

struct Connection {
  int server, client, peer;
  Connection() {
    server = listener();
    client = tcp();
    if (connect_to(client, name_of(server)) != 0) line("connect: %s", frame::error_name(errno));
    peer = accept(server, nullptr, nullptr);
  }
};

void show_address(const char* label, const sockaddr_in& address) {
  char text[64];
  line("%s: family %d %s port %s", label, address.sin_family,
       inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text)),
       address.sin_port == 0 ? "none" : "some");
}

bool ready(int fd, short events, int milliseconds = 5000) {
  pollfd one = {fd, events, 0};
  return poll(&one, 1, milliseconds) == 1;
}

void show_poll(int fd) {
  pollfd one = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  int count = poll(&one, 1, 0);
  line("ready %d:%s%s%s%s%s", count, one.revents & POLLIN ? " in" : "",
       one.revents & POLLOUT ? " out" : "", one.revents & POLLHUP ? " hup" : "",
       one.revents & POLLERR ? " err" : "", one.revents & POLLRDHUP ? " rdhup" : "");
}

void receive(int fd, size_t size = 64, int flags = 0) {
  char data[65] = {};
  ssize_t done = recv(fd, data, size, flags);
  if (done < 0) {
    line("receive: %s", frame::error_name(errno));
  } else {
    frame::bytes("receive", data, std::min<size_t>(static_cast<size_t>(done), 64));
  }
}

void show_option(const char* label, int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  int done = getsockopt(fd, level, option, &value, &size);
  line("%s: %s %d size %u", label, done == 0 ? "ok" : frame::error_name(errno), value, size);
}

long set_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value));
}

#define OPTION(fd, level, option) show_option(#option, fd, level, option)

}  // namespace

CASE(sockets_are_made) {
  CALL(tcp());
  CALL(udp());
  CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
  CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
  CALL(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
  CALL(socket(AF_INET, SOCK_SEQPACKET, 0));
  CALL(socket(AF_INET, SOCK_STREAM, 300));
  CALL(socket(AF_INET6, SOCK_STREAM, 0));
}

CASE(raw_sockets_need_a_capability) {
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    CALL(socket(AF_INET, SOCK_RAW, 0));
  });
}

CASE(tcp_connection) {
  int server = listener();
  show_address("server", name_of(server));
  int client = tcp();
  CALL(connect_to(client, name_of(server)));
  sockaddr_in from = {};
  socklen_t size = sizeof(from);
  CALL(accept(server, reinterpret_cast<sockaddr*>(&from), &size));
  SHOW(size);
  show_address("from", from);
  YES(from.sin_port == name_of(client).sin_port);
  CALL(send(client, "hello", 5, 0));
  receive(5);
  CALL(send(5, "back", 4, 0));
  receive(client);
  CALL(getpeername(client, reinterpret_cast<sockaddr*>(&from), &size));
  YES(from.sin_port == name_of(server).sin_port);
}

CASE(tcp_connect_refused) {
  int fd = bound(tcp());
  sockaddr_in address = name_of(fd);
  CALL(connect_to(tcp(), address));
  close(fd);
  int client = tcp();
  CALL(connect_to(client, address));
  CALL(connect_to(client, address));
  address.sin_family = AF_UNIX;
  CALL(connect_to(client, address));
  address.sin_family = AF_INET;
  CALL(connect(client, as(address), 4));
  CALL(connect(0, as(address), sizeof(address)));
}

CASE(tcp_connect_without_waiting) {
  int server = listener();
  int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CALL(connect_to(client, name_of(server)));
  YES(ready(client, POLLOUT));
  OPTION(client, SOL_SOCKET, SO_ERROR);
  CALL(connect_to(client, name_of(server)));
  CALL(connect_to(client, name_of(server)));
}

CASE(tcp_refusal_without_waiting) {
  int fd = bound(tcp());
  sockaddr_in address = name_of(fd);
  close(fd);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CALL(connect_to(client, address));
  YES(ready(client, POLLOUT));
  show_poll(client);
  OPTION(client, SOL_SOCKET, SO_ERROR);
  OPTION(client, SOL_SOCKET, SO_ERROR);
}

CASE(tcp_end) {
  Connection c;
  CALL(send(c.client, "rest", 4, 0));
  CALL(close(c.client));
  YES(ready(c.peer, POLLRDHUP));
  show_poll(c.peer);
  receive(c.peer);
  receive(c.peer);
}

CASE(tcp_half_closed) {
  Connection c;
  CALL(shutdown(c.client, SHUT_WR));
  receive(c.peer);
  CALL(send(c.peer, "still", 5, 0));
  receive(c.client);
  CALL(send(c.client, "x", 1, MSG_NOSIGNAL));
  CALL(shutdown(c.peer, SHUT_WR));
  YES(ready(c.client, POLLHUP));
  show_poll(c.client);
  CALL(shutdown(tcp(), SHUT_RD));
}

CASE(tcp_reset) {
  Connection c;
  linger now = {1, 0};
  CALL(setsockopt(c.client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
  CALL(close(c.client));
  YES(ready(c.peer, POLLIN));
  show_poll(c.peer);
  receive(c.peer);
  receive(c.peer);
  CALL(send(c.peer, "x", 1, MSG_NOSIGNAL));
}

CASE(tcp_unread_data_resets) {
  Connection c;
  CALL(send(c.peer, "never read", 10, 0));
  YES(ready(c.client, POLLIN));
  CALL(close(c.client));
  YES(ready(c.peer, POLLIN));
  receive(c.peer);
}

CASE(tcp_broken_pipe) {
  Connection c;
  close(c.peer);
  YES(ready(c.client, POLLIN));
  signal(SIGPIPE, SIG_IGN);
  CALL(send(c.client, "x", 1, 0));
  YES(ready(c.client, POLLHUP));
  CALL(send(c.client, "x", 1, 0));
}

CASE(tcp_not_connected) {
  int fd = tcp();
  signal(SIGPIPE, SIG_IGN);
  CALL(send(fd, "x", 1, 0));
  receive(fd);
  show_poll(fd);
  sockaddr_in address;
  socklen_t size = sizeof(address);
  CALL(getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size));
  CALL(accept(fd, nullptr, nullptr));
  CALL(shutdown(fd, SHUT_RDWR));
  show_address("name", name_of(fd));
}

CASE(tcp_listener_is_no_stream) {
  int server = listener();
  receive(server);
  CALL(send(server, "x", 1, MSG_NOSIGNAL));
  fcntl(server, F_SETFL, O_NONBLOCK);
  CALL(accept(server, nullptr, nullptr));
  show_poll(server);
  CALL(connect_to(server, name_of(server)));
}

CASE(tcp_listens_without_a_name) {
  int fd = tcp();
  CALL(listen(fd, 5));
  YES(name_of(fd).sin_port != 0);
  show_address("name", name_of(fd));
}

CASE(tcp_much_goes_through) {
  Connection c;
  pid_t pid = frame::child([&] {
    std::vector<char> block(1 << 20);
    for (size_t at = 0; at < block.size(); at++) block[at] = static_cast<char>(at * 17);
    for (int count = 0; count < 4; count++) {
      for (size_t at = 0; at < block.size();)
        at += static_cast<size_t>(send(c.client, block.data() + at, block.size() - at, 0));
    }
  });
  close(c.client);
  unsigned long sum = 0, total = 0;
  unsigned char data[50000];
  ssize_t size;
  while (total < 4 << 20 && (size = recv(c.peer, data, sizeof(data), 0)) > 0) {
    for (ssize_t at = 0; at < size; at++) sum = sum * 31 + data[at];
    total += static_cast<unsigned long>(size);
  }
  line("%lu %lx", total, sum);
  frame::join(pid);
  receive(c.peer);
}

CASE(tcp_full_buffers) {
  Connection c;
  fcntl(c.client, F_SETFL, O_NONBLOCK);
  std::vector<char> block(65536);
  long total = 0, done;
  while ((done = send(c.client, block.data(), block.size(), 0)) > 0) total += done;
  line("%s", frame::error_name(errno));
  YES(total > 65536);
  long back = 0;
  while (back < total) back += recv(c.peer, block.data(), block.size(), 0);
  YES(back >= total);
  YES(ready(c.client, POLLOUT));
}

CASE(tcp_peek_and_wait_for_all) {
  Connection c;
  CALL(send(c.client, "0123", 4, 0));
  YES(ready(c.peer, POLLIN));
  receive(c.peer, 2, MSG_PEEK);
  pid_t pid = frame::child([&] {
    frame::settle();
    send(c.client, "4567", 4, 0);
  });
  receive(c.peer, 8, MSG_WAITALL);
  receive(c.peer, 8, MSG_DONTWAIT);
  frame::join(pid);
}

CASE(tcp_truncates_without_memory) {
  Connection c;
  CALL(send(c.client, "0123456789", 10, 0));
  YES(ready(c.peer, POLLIN));
  CALL(recv(c.peer, nullptr, 4, MSG_TRUNC));
  receive(c.peer);
}

CASE(tcp_bytes_that_wait) {
  Connection c;
  int count = -1;
  CALL(ioctl(c.peer, FIONREAD, &count));
  SHOW(count);
  CALL(send(c.client, "0123456789", 10, 0));
  YES(ready(c.peer, POLLIN));
  CALL(ioctl(c.peer, FIONREAD, &count));
  SHOW(count);
  YES(frame::until([&] {
    int unsent = -1;
    ioctl(c.client, SIOCOUTQ, &unsent);
    return unsent == 0;
  }));
}

CASE(tcp_urgent_data) {
  Connection c;
  CALL(send(c.client, "ab", 2, 0));
  CALL(send(c.client, "c", 1, MSG_OOB));
  CALL(send(c.client, "d", 1, 0));
  YES(ready(c.peer, POLLPRI));
  receive(c.peer, 1, MSG_OOB);
  receive(c.peer);
  receive(c.peer);
  receive(c.peer, 1, MSG_OOB);
}

CASE(tcp_times_out) {
  Connection c;
  timeval some = {0, 20000};
  CALL(setsockopt(c.client, SOL_SOCKET, SO_RCVTIMEO, &some, sizeof(some)));
  receive(c.client);
  CALL(setsockopt(c.server, SOL_SOCKET, SO_RCVTIMEO, &some, sizeof(some)));
  CALL(accept(c.server, nullptr, nullptr));
}

CASE(tcp_options) {
  int fd = tcp();
  OPTION(fd, IPPROTO_TCP, TCP_NODELAY);
  CALL(set_option(fd, IPPROTO_TCP, TCP_NODELAY, 5));
  OPTION(fd, IPPROTO_TCP, TCP_NODELAY);
  CALL(set_option(fd, IPPROTO_TCP, TCP_CORK, 1));
  OPTION(fd, IPPROTO_TCP, TCP_CORK);
  CALL(set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77));
  OPTION(fd, IPPROTO_TCP, TCP_KEEPIDLE);
  CALL(set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 7));
  OPTION(fd, IPPROTO_TCP, TCP_KEEPINTVL);
  CALL(set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3));
  OPTION(fd, IPPROTO_TCP, TCP_KEEPCNT);
  CALL(set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000));
  OPTION(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
  CALL(set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 0));
  CALL(set_option(fd, IPPROTO_TCP, 9999, 0));
  OPTION(fd, IPPROTO_TCP, 9999);
}

CASE(socket_options) {
  int fd = tcp();
  OPTION(fd, SOL_SOCKET, SO_TYPE);
  OPTION(fd, SOL_SOCKET, SO_DOMAIN);
  OPTION(fd, SOL_SOCKET, SO_PROTOCOL);
  OPTION(udp(), SOL_SOCKET, SO_PROTOCOL);
  for (int option : {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_OOBINLINE, SO_BROADCAST}) {
    line("option %d", option);
    CALL(set_option(fd, SOL_SOCKET, option, 1));
    show_option("value", fd, SOL_SOCKET, option);
  }
  linger value = {};
  socklen_t size = sizeof(value);
  CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &size));
  line("%d %d", value.l_onoff, value.l_linger);
}

CASE(ip_options) {
  int fd = udp();
  OPTION(fd, IPPROTO_IP, IP_TTL);
  CALL(set_option(fd, IPPROTO_IP, IP_TTL, 33));
  OPTION(fd, IPPROTO_IP, IP_TTL);
  CALL(set_option(fd, IPPROTO_IP, IP_TTL, 256));
  CALL(set_option(fd, IPPROTO_IP, IP_TOS, 0x10));
  OPTION(fd, IPPROTO_IP, IP_TOS);
  OPTION(fd, IPPROTO_IP, IP_MULTICAST_TTL);
  OPTION(fd, IPPROTO_IP, IP_MULTICAST_LOOP);
  CALL(set_option(fd, IPPROTO_IP, 9999, 1));
  CALL(set_option(fd, 9999, 1, 1));
}

CASE(tcp_information) {
  Connection c;
  tcp_info info = {};
  socklen_t size = sizeof(info);
  CALL(getsockopt(c.client, IPPROTO_TCP, TCP_INFO, &info, &size));
  SHOW(info.tcpi_state == TCP_ESTABLISHED);
  size = sizeof(info);
  CALL(getsockopt(c.server, IPPROTO_TCP, TCP_INFO, &info, &size));
  SHOW(info.tcpi_state == TCP_LISTEN);
}

CASE(names_in_use) {
  int server = listener();
  sockaddr_in address = name_of(server);
  int other = tcp();
  CALL(bind(other, as(address), sizeof(address)));
  CALL(set_option(other, SOL_SOCKET, SO_REUSEADDR, 1));
  CALL(bind(other, as(address), sizeof(address)));
  CALL(bind(server, as(address), sizeof(address)));
  CALL(bind(udp(), as(address), sizeof(address)));
}

CASE(names_are_used_again) {
  int server = tcp();
  set_option(server, SOL_SOCKET, SO_REUSEADDR, 1);
  bound(server);
  listen(server, 5);
  sockaddr_in address = name_of(server);
  int client = tcp();
  connect_to(client, address);
  int peer = accept(server, nullptr, nullptr);
  close(peer);
  receive(client);
  close(client);
  close(server);
  int again = tcp();
  set_option(again, SOL_SOCKET, SO_REUSEADDR, 1);
  CALL(bind(again, as(address), sizeof(address)));
  CALL(listen(again, 5));
}

CASE(names_are_shared) {
  int one = tcp(), two = tcp(), three = tcp();
  set_option(one, SOL_SOCKET, SO_REUSEPORT, 1);
  set_option(two, SOL_SOCKET, SO_REUSEPORT, 1);
  bound(one);
  sockaddr_in address = name_of(one);
  CALL(bind(two, as(address), sizeof(address)));
  CALL(bind(three, as(address), sizeof(address)));
  CALL(listen(one, 5));
  CALL(listen(two, 5));
}

CASE(names_refused) {
  sockaddr_in address = loopback();
  address.sin_addr.s_addr = htonl(0x08080808);
  CALL(bind(tcp(), as(address), sizeof(address)));
  CALL(bind(tcp(), as(address), 4));
  address = loopback();
  address.sin_family = 77;
  CALL(bind(tcp(), as(address), sizeof(address)));
  CALL(bind(0, as(address), sizeof(address)));
  CALL(syscall(SYS_bind, tcp(), 1, sizeof(address)));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    sockaddr_in low = loopback(htons(80));
    CALL(bind(tcp(), as(low), sizeof(low)));
  });
}

CASE(udp_datagrams) {
  int server = bound(udp()), client = udp();
  sockaddr_in to = name_of(server);
  CALL(sendto(client, "first", 5, 0, as(to), sizeof(to)));
  CALL(sendto(client, "", 0, 0, as(to), sizeof(to)));
  YES(ready(server, POLLIN));
  char data[64];
  sockaddr_in from = {};
  socklen_t size = sizeof(from);
  CALL(recvfrom(server, data, 3, 0, reinterpret_cast<sockaddr*>(&from), &size));
  show_address("from", from);
  YES(from.sin_port == name_of(client).sin_port);
  receive(server);
  receive(server, 64, MSG_DONTWAIT);
  CALL(sendto(server, "back", 4, 0, as(from), sizeof(from)));
  receive(client);
}

CASE(udp_connected) {
  int server = bound(udp()), client = udp(), other = bound(udp());
  sockaddr_in to = name_of(server);
  CALL(send(client, "x", 1, 0));
  CALL(connect_to(client, to));
  CALL(send(client, "x", 1, 0));
  receive(server);
  sockaddr_in back = name_of(client);
  CALL(sendto(other, "stranger", 8, 0, as(back), sizeof(back)));
  CALL(sendto(server, "peer", 4, 0, as(back), sizeof(back)));
  receive(client);
  receive(client, 64, MSG_DONTWAIT);
  sockaddr none = {};
  none.sa_family = AF_UNSPEC;
  CALL(connect(client, &none, sizeof(none)));
  CALL(send(client, "x", 1, 0));
}

CASE(udp_nobody_there) {
  int gone = bound(udp());
  sockaddr_in to = name_of(gone);
  close(gone);
  int client = udp();
  CALL(connect_to(client, to));
  CALL(send(client, "x", 1, 0));
  YES(ready(client, POLLERR));
  receive(client, 64, MSG_DONTWAIT);
  receive(client, 64, MSG_DONTWAIT);
}

CASE(udp_sizes) {
  int server = bound(udp()), client = udp();
  sockaddr_in to = name_of(server);
  std::vector<char> big(70000, 'x');
  CALL(sendto(client, big.data(), 65507, 0, as(to), sizeof(to)));
  CALL(sendto(client, big.data(), 65508, 0, as(to), sizeof(to)));
  YES(ready(server, POLLIN));
  CALL(recv(server, big.data(), big.size(), 0));
}

CASE(udp_truncation_is_told) {
  int server = bound(udp()), client = udp();
  sockaddr_in to = name_of(server);
  for (int count = 0; count < 2; count++) sendto(client, "0123456789", 10, 0, as(to), sizeof(to));
  char data[4];
  iovec vector = {data, 4};
  sockaddr_in from;
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_name = &from;
  message.msg_namelen = sizeof(from);
  CALL(recvmsg(server, &message, 0));
  line("flags %x name %u", static_cast<unsigned>(message.msg_flags), message.msg_namelen);
  CALL(recv(server, data, 4, MSG_TRUNC));
}

CASE(udp_next_size) {
  int server = bound(udp()), client = udp(), count = -1;
  sockaddr_in to = name_of(server);
  sendto(client, "0123456789", 10, 0, as(to), sizeof(to));
  sendto(client, "01234", 5, 0, as(to), sizeof(to));
  YES(ready(server, POLLIN));
  CALL(ioctl(server, FIONREAD, &count));
  SHOW(count);
}

CASE(udp_destination_is_told) {
  int server = bound(udp()), client = udp();
  sockaddr_in to = name_of(server);
  CALL(set_option(server, IPPROTO_IP, IP_PKTINFO, 1));
  CALL(sendto(client, "x", 1, 0, as(to), sizeof(to)));
  char data[4];
  alignas(cmsghdr) char control[256];
  iovec vector = {data, 4};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  CALL(recvmsg(server, &message, 0));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    in_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof(info));
    line("type %d %x", header->cmsg_type, ntohl(info.ipi_addr.s_addr));
  }
}

CASE(any_address) {
  int server = tcp();
  sockaddr_in address = loopback();
  address.sin_addr.s_addr = INADDR_ANY;
  CALL(bind(server, as(address), sizeof(address)));
  CALL(listen(server, 5));
  show_address("server", name_of(server));
  address = name_of(server);
  int client = tcp();
  CALL(connect_to(client, address));
  show_address("client", name_of(client));
  address.sin_addr.s_addr = htonl(0x7f000005);
  CALL(connect_to(tcp(), address));
}

CASE(ipv6_connection) {
  int server = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  CALL(bind(server, as(address), sizeof(address)));
  CALL(listen(server, 5));
  socklen_t size = sizeof(address);
  getsockname(server, reinterpret_cast<sockaddr*>(&address), &size);
  int client = socket(AF_INET6, SOCK_STREAM, 0);
  CALL(connect(client, as(address), sizeof(address)));
  int peer = accept(server, nullptr, nullptr);
  CALL(send(client, "six", 3, 0));
  receive(peer);
}

CASE(ipv6_takes_ipv4) {
  int server = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  CALL(set_option(server, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  CALL(bind(server, as(address), sizeof(address)));
  CALL(listen(server, 5));
  socklen_t size = sizeof(address);
  getsockname(server, reinterpret_cast<sockaddr*>(&address), &size);
  int client = tcp();
  CALL(connect_to(client, loopback(address.sin6_port)));
  sockaddr_in6 from = {};
  size = sizeof(from);
  OK(accept(server, reinterpret_cast<sockaddr*>(&from), &size));
  char text[64];
  line("%s", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
}

CASE(loopback_device) {
  ifreq request = {};
  strcpy(request.ifr_name, "lo");
  int fd = udp();
  CALL(ioctl(fd, SIOCGIFFLAGS, &request));
  line("up %d loopback %d", (request.ifr_flags & IFF_UP) != 0,
       (request.ifr_flags & IFF_LOOPBACK) != 0);
  CALL(ioctl(fd, SIOCGIFINDEX, &request));
  SHOW(request.ifr_ifindex);
  CALL(ioctl(fd, SIOCGIFMTU, &request));
  SHOW(request.ifr_mtu);
  strcpy(request.ifr_name, "missing");
  CALL(ioctl(fd, SIOCGIFINDEX, &request));
  CALL(if_nametoindex("lo"));
}

CASE(accept_inherits_little) {
  int server = listener();
  fcntl(server, F_SETFL, O_NONBLOCK);
  set_option(server, IPPROTO_TCP, TCP_NODELAY, 1);
  int client = tcp();
  CALL(connect_to(client, name_of(server)));
  YES(ready(server, POLLIN));
  int peer = accept(server, nullptr, nullptr);
  SHOW(fcntl(peer, F_GETFL) & O_NONBLOCK);
  OPTION(peer, IPPROTO_TCP, TCP_NODELAY);
}

CASE(closing_a_listener_resets) {
  int server = listener();
  int client = tcp();
  CALL(connect_to(client, name_of(server)));
  CALL(close(server));
  YES(ready(client, POLLIN));
  receive(client);
}

CASE(connection_in_epoll) {
  Connection c;
  int epoll = epoll_create1(0);
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET | EPOLLRDHUP;
  CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, c.peer, &event));
  CALL(epoll_wait(epoll, &event, 1, 0));
  CALL(send(c.client, "x", 1, 0));
  CALL(epoll_wait(epoll, &event, 1, 5000));
  line("%x", event.events);
  CALL(epoll_wait(epoll, &event, 1, 0));
  CALL(shutdown(c.client, SHUT_WR));
  CALL(epoll_wait(epoll, &event, 1, 5000));
  line("%x", event.events);
}

CASE(connection_between_processes) {
  int server = listener();
  sockaddr_in address = name_of(server);
  pid_t pid = frame::child([=] {
    int client = tcp();
    connect_to(client, address);
    send(client, "from the child", 14, 0);
    char data[16];
    recv(client, data, sizeof(data), 0);
  });
  int peer = accept(server, nullptr, nullptr);
  receive(peer);
  close(peer);
  frame::join(pid);
}
