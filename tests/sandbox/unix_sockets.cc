// Sockets of the local family: streams, datagrams, packets, names.
#include "unix_sockets.h"

using namespace local_sockets;

namespace {

void show_name(const char* label, int fd, int (*function)(int, sockaddr*, socklen_t*)) {
  sockaddr_un address = {};
  socklen_t size = sizeof(address);
  if (function(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    line("%s: %s", label, frame::error_name(errno));
    return;
  }
  size_t length =
      size > offsetof(sockaddr_un, sun_path) ? size - offsetof(sockaddr_un, sun_path) : 0;
  frame::bytes(label, address.sun_path, length);
}

int own_name(int fd, sockaddr* address, socklen_t* size) { return getsockname(fd, address, size); }
int peer_name(int fd, sockaddr* address, socklen_t* size) { return getpeername(fd, address, size); }

}  // namespace

CASE(sockets_are_made) {
  CALL(local(SOCK_STREAM));
  CALL(local(SOCK_DGRAM));
  CALL(local(SOCK_SEQPACKET));
  CALL(local(SOCK_RAW));
  CALL(socket(AF_UNIX, SOCK_STREAM, 1));
  CALL(socket(AF_UNIX, SOCK_STREAM, 2));
  CALL(local(77));
  CALL(local(SOCK_STREAM | 0x100));
  CALL(socket(999, SOCK_STREAM, 0));
  CALL(local(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
  CALL(fcntl(8, F_GETFD));
}

CASE(stream_pair) {
  int ends[2];
  pair(ends);
  CALL(write(ends[0], "one", 3));
  CALL(write(ends[0], "two", 3));
  receive(ends[1], MSG_DONTWAIT, 4);
  receive(ends[1]);
  receive(ends[1]);
  CALL(write(ends[1], "back", 4));
  receive(ends[0]);
}

CASE(pair_refused) {
  int ends[2];
  CALL(socketpair(AF_INET, SOCK_STREAM, 0, ends));
  CALL(socketpair(AF_UNIX, 99, 0, ends));
  CALL(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 1));
  CALL(socketpair(AF_UNIX, SOCK_STREAM, 9, ends));
  CALL(fcntl(3, F_GETFD));
}

CASE(stream_ends) {
  int ends[2];
  pair(ends);
  CALL(write(ends[0], "rest", 4));
  CALL(close(ends[0]));
  show_poll(ends[1]);
  receive(ends[1]);
  receive(ends[1]);
  signal(SIGPIPE, SIG_IGN);
  CALL(write(ends[1], "x", 1));
  CALL(send(ends[1], "x", 1, 0));
}

CASE(stream_end_with_data_left_resets) {
  int ends[2];
  pair(ends);
  CALL(write(ends[1], "never read", 10));
  CALL(close(ends[0]));
  show_poll(ends[1]);
  receive(ends[1]);
  receive(ends[1]);
}

CASE(sending_to_nobody) {
  int ends[2];
  pair(ends);
  close(ends[1]);
  CALL(send(ends[0], "x", 1, MSG_NOSIGNAL));
  frame::in_child([&] { send(ends[0], "x", 1, 0); });
}

CASE(shutdown_of_one_side) {
  int ends[2];
  pair(ends);
  signal(SIGPIPE, SIG_IGN);
  CALL(write(ends[0], "before", 6));
  CALL(shutdown(ends[0], SHUT_WR));
  CALL(write(ends[0], "x", 1));
  show_poll(ends[1]);
  receive(ends[1]);
  receive(ends[1]);
  CALL(write(ends[1], "back", 4));
  receive(ends[0]);
  show_poll(ends[0]);
}

CASE(shutdown_of_reading) {
  int ends[2];
  pair(ends);
  signal(SIGPIPE, SIG_IGN);
  CALL(shutdown(ends[0], SHUT_RD));
  receive(ends[0]);
  CALL(write(ends[1], "x", 1));
  CALL(shutdown(ends[1], SHUT_RDWR));
  show_poll(ends[0]);
  show_poll(ends[1]);
  CALL(shutdown(ends[0], 99));
  CALL(shutdown(local(SOCK_STREAM), SHUT_RD));
  CALL(shutdown(0, SHUT_RD));
}

CASE(datagrams_keep_their_bounds) {
  int ends[2];
  pair(ends, SOCK_DGRAM);
  CALL(write(ends[0], "first", 5));
  CALL(write(ends[0], "", 0));
  CALL(write(ends[0], "third", 5));
  receive(ends[1], MSG_DONTWAIT, 3);
  receive(ends[1]);
  receive(ends[1]);
  receive(ends[1]);
}

CASE(packets_keep_their_bounds) {
  int ends[2];
  pair(ends, SOCK_SEQPACKET);
  CALL(write(ends[0], "first", 5));
  CALL(write(ends[0], "second", 6));
  receive_message(ends[1], 0, 0, 3);
  receive_message(ends[1]);
  CALL(close(ends[0]));
  receive(ends[1]);
}

CASE(truncation_is_told) {
  int ends[2];
  pair(ends, SOCK_DGRAM);
  write(ends[0], "0123456789", 10);
  write(ends[0], "0123456789", 10);
  char data[4];
  CALL(recv(ends[1], data, 4, MSG_TRUNC));
  receive_message(ends[1], 0, 0, 4);
}

CASE(looking_without_taking) {
  int ends[2];
  pair(ends);
  write(ends[0], "content", 7);
  receive(ends[1], MSG_PEEK | MSG_DONTWAIT, 3);
  receive(ends[1], MSG_PEEK | MSG_DONTWAIT);
  receive(ends[1]);
  receive(ends[1], MSG_PEEK | MSG_DONTWAIT);
}

CASE(waiting_for_all) {
  int ends[2];
  pair(ends);
  pid_t pid = frame::child([&] {
    write(ends[0], "one", 3);
    frame::settle();
    write(ends[0], "two", 3);
  });
  receive(ends[1], MSG_WAITALL, 6);
  frame::join(pid);
}

CASE(bytes_that_wait) {
  int ends[2], count = -1;
  pair(ends);
  write(ends[0], "content", 7);
  CALL(ioctl(ends[1], FIONREAD, &count));
  SHOW(count);
  pair(ends, SOCK_DGRAM);
  write(ends[0], "content", 7);
  write(ends[0], "more", 4);
  CALL(ioctl(ends[1], FIONREAD, &count));
  SHOW(count);
}

CASE(listen_and_accept) {
  int server = listener("socket");
  frame::describe("socket");
  int client = local(SOCK_STREAM);
  show_poll(server);
  CALL(connect_to(client, "socket"));
  show_poll(server);
  int peer = accept(server, nullptr, nullptr);
  SHOW(peer);
  CALL(write(client, "hello", 5));
  receive(peer);
  show_name("own of the server", server, own_name);
  show_name("own of the peer", peer, own_name);
  show_name("own of the client", client, own_name);
  show_name("peer of the client", client, peer_name);
  show_name("peer of the peer", peer, peer_name);
  show_name("peer of the server", server, peer_name);
}

CASE(accept_waits) {
  int server = listener("socket");
  pid_t pid = frame::child([] {
    frame::settle();
    int client = local(SOCK_STREAM);
    connect_to(client, "socket");
    write(client, "hello", 5);
  });
  int peer = accept4(server, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  CALL(fcntl(peer, F_GETFD));
  frame::join(pid);
  receive(peer);
  CALL(accept4(server, nullptr, nullptr, 0x100));
}

CASE(accept_refused) {
  int fd = local(SOCK_STREAM);
  CALL(accept(fd, nullptr, nullptr));
  CALL(accept(local(SOCK_DGRAM), nullptr, nullptr));
  CALL(accept(0, nullptr, nullptr));
  CALL(accept(99, nullptr, nullptr));
  int server = listener("socket");
  fcntl(server, F_SETFL, O_NONBLOCK);
  CALL(accept(server, nullptr, nullptr));
}

CASE(listen_refused) {
  CALL(listen(local(SOCK_STREAM), 1));
  CALL(listen(local(SOCK_DGRAM), 1));
  CALL(listen(0, 1));
  int ends[2];
  pair(ends);
  CALL(listen(ends[0], 1));
}

CASE(connect_refused) {
  frame::put("file", "");
  int datagram = local(SOCK_DGRAM);
  bind_to(datagram, "datagram");
  int silent = local(SOCK_STREAM);
  bind_to(silent, "silent");
  int fd = local(SOCK_STREAM);
  CALL(connect_to(fd, "missing"));
  CALL(connect_to(fd, "file"));
  CALL(connect_to(fd, "datagram"));
  CALL(connect_to(fd, "silent"));
  CALL(connect_to(fd, "@missing"));
  Address bad("x");
  bad.address.sun_family = AF_INET;
  CALL(connect(fd, bad.get(), bad.size));
  CALL(connect(fd, bad.get(), 1));
  CALL(connect(fd, bad.get(), 200));
  listener("socket");
  CALL(connect_to(fd, "socket"));
  CALL(connect_to(fd, "socket"));
}

CASE(connect_needs_permission) {
  listener("socket");
  CALL(chmod("socket", 0700));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(connect_to(local(SOCK_STREAM), "socket"));
  });
}

CASE(backlog_is_a_limit) {
  listener("socket", SOCK_STREAM, 1);
  for (int count = 0; count < 4; count++) {
    int client = local(SOCK_STREAM | SOCK_NONBLOCK);
    CALL(connect_to(client, "socket"));
  }
}

CASE(listener_that_closes) {
  int server = listener("socket");
  int client = local(SOCK_STREAM);
  CALL(connect_to(client, "socket"));
  CALL(close(server));
  show_poll(client);
  receive(client);
  CALL(connect_to(local(SOCK_STREAM), "socket"));
}

CASE(names_in_directories) {
  int fd = local(SOCK_STREAM);
  CALL(bind_to(fd, "socket"));
  CALL(bind_to(fd, "other"));
  CALL(bind_to(local(SOCK_STREAM), "socket"));
  CALL(unlink("socket"));
  CALL(bind_to(local(SOCK_STREAM), "socket"));
  CALL(bind_to(local(SOCK_STREAM), "missing/socket"));
  CALL(open("socket", O_RDWR));
  CALL(chmod("socket", 0600));
  frame::describe("socket");
}

CASE(umask_of_names) {
  umask(077);
  CALL(bind_to(local(SOCK_STREAM), "socket"));
  frame::describe("socket");
}

CASE(longest_names) {
  std::string name(107, 'n');
  CALL(bind_to(local(SOCK_STREAM), name.c_str()) == 0);
  Address full("x");
  memset(full.address.sun_path, 'm', 108);
  CALL(bind(local(SOCK_STREAM), full.get(), sizeof(sockaddr_un)));
  CALL(bind(local(SOCK_STREAM), full.get(), sizeof(sockaddr_un) + 1));
  CALL(bind(local(SOCK_STREAM), full.get(), 0));
}

CASE(abstract_names) {
  int server = listener("@name");
  CALL(access("@name", F_OK));
  show_name("own", server, own_name);
  CALL(bind_to(local(SOCK_STREAM), "@name"));
  CALL(connect_to(local(SOCK_STREAM), "@name"));
  CALL(connect_to(local(SOCK_STREAM), "@nam"));
  CALL(connect_to(local(SOCK_DGRAM), "@name"));
  close(server);
  CALL(connect_to(local(SOCK_STREAM), "@name"));
  CALL(bind_to(local(SOCK_STREAM), "@name"));
}

CASE(names_given_by_the_kernel) {
  int fd = local(SOCK_STREAM);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)));
  socklen_t size = sizeof(address);
  CALL(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size));
  SHOW(size);
  SHOW(address.sun_path[0]);
}

CASE(names_are_cut) {
  int server = listener("socket");
  sockaddr_un address;
  memset(&address, 0x55, sizeof(address));
  socklen_t size = 5;
  CALL(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size));
  SHOW(size);
  frame::bytes("address", address.sun_path, 5);
  size = static_cast<socklen_t>(-1);
  CALL(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size));
  CALL(syscall(SYS_getsockname, server, 1, &size));
  CALL(getsockname(0, reinterpret_cast<sockaddr*>(&address), &size));
}

CASE(datagrams_by_name) {
  int server = local(SOCK_DGRAM);
  bind_to(server, "server");
  int client = local(SOCK_DGRAM);
  Address to("server");
  CALL(sendto(client, "anonymous", 9, 0, to.get(), to.size));
  bind_to(client, "client");
  CALL(sendto(client, "named", 5, 0, to.get(), to.size));
  for (int count = 0; count < 2; count++) {
    char data[16];
    sockaddr_un from = {};
    socklen_t size = sizeof(from);
    CALL(recvfrom(server, data, sizeof(data), 0, reinterpret_cast<sockaddr*>(&from), &size));
    line("size %u from \"%s\"", size, size > 2 ? from.sun_path : "");
  }
  CALL(send(client, "x", 1, 0));
  CALL(connect_to(client, "server"));
  CALL(send(client, "x", 1, 0));
  receive(server);
  close(server);
  CALL(send(client, "x", 1, 0));
}

CASE(connected_datagrams_have_one_peer) {
  int a = local(SOCK_DGRAM), b = local(SOCK_DGRAM), c = local(SOCK_DGRAM);
  bind_to(a, "a");
  bind_to(b, "b");
  bind_to(c, "c");
  CALL(connect_to(a, "b"));
  Address to("a");
  CALL(sendto(b, "from b", 6, 0, to.get(), to.size));
  CALL(sendto(c, "from c", 6, 0, to.get(), to.size));
  receive(a);
  receive(a);
  sockaddr none = {};
  none.sa_family = AF_UNSPEC;
  CALL(connect(a, &none, sizeof(none)));
  CALL(sendto(c, "from c", 6, 0, to.get(), to.size));
  receive(a);
}

CASE(stream_without_a_connection) {
  int fd = local(SOCK_STREAM);
  signal(SIGPIPE, SIG_IGN);
  CALL(write(fd, "x", 1));
  receive(fd);
  show_poll(fd);
  Address to("x");
  int ends[2];
  pair(ends);
  CALL(sendto(ends[0], "x", 1, 0, to.get(), to.size));
  CALL(sendto(fd, "x", 1, 0, to.get(), to.size));
}

CASE(messages_of_vectors) {
  int ends[2];
  pair(ends);
  char one[] = "one", two[] = "second";
  iovec out[] = {{one, 3}, {two, 6}};
  msghdr message = {};
  message.msg_iov = out;
  message.msg_iovlen = 2;
  CALL(sendmsg(ends[0], &message, 0));
  receive(ends[1]);
  message.msg_iovlen = 2000;
  CALL(sendmsg(ends[0], &message, 0));
  message.msg_iovlen = 1;
  message.msg_iov = reinterpret_cast<iovec*>(1);
  CALL(sendmsg(ends[0], &message, 0));
  CALL(syscall(SYS_sendmsg, ends[0], 1, 0));
  CALL(syscall(SYS_recvmsg, ends[0], 1, 0));
}

CASE(several_messages_at_once) {
  int ends[2];
  pair(ends, SOCK_DGRAM);
  char texts[3][8] = {"one", "two", "three"};
  iovec vectors[3];
  mmsghdr messages[3] = {};
  for (int index = 0; index < 3; index++) {
    vectors[index] = {texts[index], strlen(texts[index])};
    messages[index].msg_hdr.msg_iov = &vectors[index];
    messages[index].msg_hdr.msg_iovlen = 1;
  }
  CALL(sendmmsg(ends[0], messages, 3, 0));
  line("%u %u %u", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
  for (auto& vector : vectors) vector.iov_len = 8;
  CALL(recvmmsg(ends[1], messages, 2, 0, nullptr));
  CALL(recvmmsg(ends[1], messages, 3, MSG_DONTWAIT, nullptr));
  CALL(recvmmsg(ends[1], messages, 3, MSG_DONTWAIT, nullptr));
  line("%u", messages[0].msg_len);
}

CASE(options_of_sockets) {
  int stream = local(SOCK_STREAM), datagram = local(SOCK_DGRAM);
  show_option("SO_TYPE", stream, SO_TYPE);
  show_option("SO_TYPE", datagram, SO_TYPE);
  show_option("SO_DOMAIN", stream, SO_DOMAIN);
  show_option("SO_PROTOCOL", stream, SO_PROTOCOL);
  show_option("SO_ERROR", stream, SO_ERROR);
  show_option("SO_ACCEPTCONN", stream, SO_ACCEPTCONN);
  show_option("SO_ACCEPTCONN", listener("socket"), SO_ACCEPTCONN);
  show_option("SO_REUSEADDR", stream, SO_REUSEADDR);
  show_option("SO_KEEPALIVE", stream, SO_KEEPALIVE);
  show_option("9999", stream, 9999);
  int value = 1;
  CALL(setsockopt(stream, SOL_SOCKET, 9999, &value, sizeof(value)));
  CALL(setsockopt(stream, SOL_SOCKET, SO_REUSEADDR, &value, 1));
  CALL(setsockopt(stream, SOL_SOCKET, SO_TYPE, &value, sizeof(value)));
  CALL(setsockopt(0, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)));
  CALL(syscall(SYS_getsockopt, stream, SOL_SOCKET, SO_TYPE, 1, &value));
}

CASE(buffers_of_sockets) {
  int ends[2];
  pair(ends);
  int size = 10000;
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
  show_option("SO_SNDBUF", ends[0], SO_SNDBUF);
  size = 1;
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
  show_option("SO_SNDBUF", ends[0], SO_SNDBUF);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  std::vector<char> block(4096);
  long total = 0, done;
  while ((done = write(ends[0], block.data(), block.size())) > 0) total += done;
  line("%s", frame::error_name(errno));
  YES(total > 0 && total < 1000000);
}

CASE(times_out) {
  int ends[2];
  pair(ends);
  timeval some = {0, 20000};
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &some, sizeof(some)));
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &some, sizeof(some)));
  receive(ends[0], 0);
  std::vector<char> much(10 << 20);
  YES(write(ends[0], much.data(), much.size()) > 0);
  CALL(write(ends[0], much.data(), much.size()));
  timeval bad = {0, 2000000};
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof(bad)));
}

CASE(full_queue_of_datagrams) {
  int ends[2];
  pair(ends, SOCK_DGRAM);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  int sent = 0;
  while (write(ends[0], "x", 1) == 1) sent++;
  line("%s", frame::error_name(errno));
  YES(sent > 0);
  show_poll(ends[1]);
  receive(ends[1]);
  CALL(write(ends[0], "x", 1));
}

CASE(much_goes_through) {
  int ends[2];
  pair(ends);
  pid_t pid = frame::child([&] {
    close(ends[0]);
    std::vector<char> block(1 << 20);
    for (size_t at = 0; at < block.size(); at++) block[at] = static_cast<char>(at * 13);
    for (int count = 0; count < 4; count++) {
      for (size_t at = 0; at < block.size();)
        at += static_cast<size_t>(write(ends[1], block.data() + at, block.size() - at));
    }
  });
  close(ends[1]);
  unsigned long sum = 0, total = 0;
  unsigned char data[50000];
  ssize_t size;
  while ((size = read(ends[0], data, sizeof(data))) > 0) {
    for (ssize_t at = 0; at < size; at++) sum = sum * 31 + data[at];
    total += static_cast<unsigned long>(size);
  }
  line("%lu %lx", total, sum);
  frame::join(pid);
}
