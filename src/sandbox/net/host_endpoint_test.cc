// Sockets that are the host's pass on what is asked for, and nothing else.
#include "sandbox/net/host_endpoint.h"

#include <netinet/tcp.h>

#include <atomic>

#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

TEST(HostSocket, TcpFromListenToReset) {
  expect_same_by_host([](Script& s) {
    int server = s.socket(AF_INET, SOCK_STREAM);
    s.bind(server, "4/127.0.0.1/0");
    s.listen(server, 3);
    s.note_port(server, "A");
    s.accept(server);
    s.get(server, SOL_SOCKET, SO_ACCEPTCONN);
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.note_port(client, "B");
    s.poll(client);
    s.connect(client, "4/127.0.0.1/A");
    int accepted = s.accept(server);
    s.local(accepted);
    s.peer(accepted);
    s.send(client, "hello");
    s.poll(accepted);
    s.pending(accepted);
    s.receive(accepted, 2, MSG_PEEK);
    s.receive(accepted, 10);
    s.receive(accepted, 10);
    s.send(accepted, "unread");
    s.close(client);
    s.poll(accepted);
    s.get(accepted, SOL_SOCKET, SO_ERROR);
    s.receive(accepted, 10);
    s.send(accepted, "x");
  });
}

TEST(HostSocket, UdpWithFacts) {
  expect_same_by_host([](Script& s) {
    int a = s.socket(AF_INET, SOCK_DGRAM);
    s.bind(a, "4/127.0.0.1/0");
    s.note_port(a, "A");
    s.set(a, IPPROTO_IP, IP_PKTINFO, 1);
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.connect(b, "4/127.0.0.1/A");
    s.note_port(b, "B");
    s.send(b, "");
    s.send(b, "abcdef");
    s.receive(a, 10);
    s.receive(a, 3);
    s.send(a, std::string(65508, 'x'), 0, "4/127.0.0.1/B");
    s.close(a);
    s.send(b, "x");
    s.receive(b, 10);
  });
}

TEST(HostSocket, Errors) {
  expect_same_by_host([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.send(a, "x");
    s.receive(a, 1);
    s.peer(a);
    s.shutdown(a, SHUT_RD);
    s.connect(a, "6/::1/1");
    s.bind(a, "4/192.0.2.1/0");
    s.listen(s.socket(AF_INET, SOCK_DGRAM), 1);
  });
}

TEST(HostSocket, Options) {
  expect_same_by_host([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    s.set(a, SOL_SOCKET, SO_SNDBUF, 30000);
    s.get(a, SOL_SOCKET, SO_SNDBUF);
    s.set(a, IPPROTO_TCP, TCP_NODELAY, 1);
    s.get(a, IPPROTO_TCP, TCP_NODELAY);
    s.get(a, IPPROTO_TCP, TCP_CONGESTION, 16);
  });
}

TEST(HostSocket, ForeignOptionsAreNotPassedOn) {
  TestNetwork net(true);
  auto socket = MUST(net.socket(AF_INET, SOCK_STREAM));
  std::array<std::byte, 16> value{};
  for (auto [level, name] : {std::pair(int{IPPROTO_TCP}, 19 /* TCP_REPAIR */),
                             std::pair(int{IPPROTO_TCP}, 31 /* TCP_ULP */),
                             std::pair(int{IPPROTO_IP}, 64 /* IPT_SO_SET_REPLACE */)}) {
    auto set = socket->endpoint().set_protocol_option(level, name, value, net);
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().value, ENOPROTOOPT);
  }
}

TEST(HostSocket, NoOtherFamiliesOrTypes) {
  TestNetwork net(true);
  for (auto [domain, type] : {std::pair(AF_PACKET, SOCK_RAW), std::pair(AF_VSOCK, SOCK_STREAM),
                              std::pair(AF_ALG, SOCK_SEQPACKET), std::pair(AF_INET, SOCK_RAW),
                              std::pair(AF_INET, SOCK_SEQPACKET)})
    EXPECT_FALSE(net.socket(domain, type)) << domain;
}

class CountingEntry final : public vfs::WaitEntry {
 public:
  ~CountingEntry() override { leave(); }
  void notified(vfs::ReadyMask) override {
    count.fetch_add(1);
    count.notify_all();
  }
  std::atomic<int> count{0};
};

TEST(HostSocket, WaitersAreTold) {
  TestNetwork net(true);
  auto receiver = MUST(net.socket(AF_INET, SOCK_DGRAM));
  auto sender = MUST(net.socket(AF_INET, SOCK_DGRAM));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  MUST(receiver->endpoint().bind(Address::of(any), net));
  MUST(sender->endpoint().connect(MUST(receiver->endpoint().local_address()), net));
  CountingEntry entry;
  receiver->wait_queue()->add(entry);
  EXPECT_EQ(receiver->ready() & POLLIN, 0U);
  std::byte byte{7};
  auto data = vfs::IoBuffer::of(std::span<const std::byte>(&byte, 1));
  EXPECT_EQ(MUST(sender->write(data, net.caller())), 1U);
  entry.count.wait(0);
  EXPECT_NE(receiver->ready() & POLLIN, 0U);
  receiver->wait_queue()->remove(entry);
}

}  // namespace
}  // namespace caisson::sandbox::net
