// UDP sockets of the loopback behave as this host's kernel has them behave.
#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

int bound(Script& s, const std::string& tag, const std::string& host = "4/127.0.0.1/") {
  int a = s.socket(host[0] == '4' ? AF_INET : AF_INET6, SOCK_DGRAM);
  s.bind(a, host + "0");
  s.note_port(a, tag);
  return a;
}

TEST(Udp, SendAndReceive) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = bound(s, "B");
    s.send(a, "hello", 0, "4/127.0.0.1/B");
    s.send(a, "", 0, "4/127.0.0.1/B");
    s.poll(b);
    s.pending(b);
    s.receive(b, 100);
    s.pending(b);
    s.receive(b, 100);
    s.receive(b, 100);
    s.poll(b);
  });
}

TEST(Udp, NewSockets) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_DGRAM);
    s.poll(a);
    s.local(a);
    s.peer(a);
    s.send(a, "x");
    s.receive(a, 1);
    s.shutdown(a, SHUT_WR);
    s.listen(a, 1);
    s.accept(a);
  });
}

TEST(Udp, SendingBinds) {
  expect_same([](Script& s) {
    bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.send(b, "x", 0, "4/127.0.0.1/A");
    s.local(b);
  });
}

TEST(Udp, LongOnesAreCut) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = bound(s, "B");
    s.send(b, "abcdef", 0, "4/127.0.0.1/A");
    s.send(b, "ghijkl", 0, "4/127.0.0.1/A");
    s.receive(a, 3);
    s.receive(a, 3, MSG_TRUNC);
    s.send(b, "mn", 0, "4/127.0.0.1/A");
    s.receive(a, 1, MSG_PEEK);
    s.receive(a, 1, MSG_PEEK | MSG_TRUNC);
    s.receive(a, 5);
  });
}

TEST(Udp, TooLong) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    s.send(a, std::string(65507, 'x'), 0, "4/127.0.0.1/A");
    s.pending(a);
    s.send(a, std::string(65508, 'x'), 0, "4/127.0.0.1/A");
    s.send(a, std::string(70000, 'x'), 0, "4/127.0.0.1/A");
  });
}

TEST(Udp, SendErrors) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_DGRAM);
    s.send(a, "x", 0, "6/::1/1");
    s.send(a, "x", 0, "4/127.0.0.1/0");
    s.send(a, "x", 0, "auto");
    s.send(a, "x", MSG_OOB, "4/127.0.0.1/1");
    s.connect(a, "6/::1/1");
    s.connect(a, "empty");
  });
}

TEST(Udp, Connect) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.connect(b, "4/127.0.0.1/A");
    s.note_port(b, "B");
    s.local(b);
    s.peer(b);
    s.send(b, "x");
    s.receive(a, 10);
    s.send(a, "back", 0, "4/127.0.0.1/B");
    s.receive(b, 10);
    s.connect(b, "unspec");
    s.peer(b);
    s.send(b, "y");
  });
}

TEST(Udp, ConnectedOnesTakeFromTheirPeerOnly) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = bound(s, "B");
    int c = bound(s, "C");
    s.connect(a, "4/127.0.0.1/B");
    s.send(c, "no", 0, "4/127.0.0.1/A");
    s.send(b, "yes", 0, "4/127.0.0.1/A");
    s.receive(a, 10);
    s.receive(a, 10);
    s.send(a, "elsewhere", 0, "4/127.0.0.1/C");
    s.receive(c, 10);
  });
}

TEST(Udp, RefusalReachesConnectedOnes) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.connect(b, "4/127.0.0.1/A");
    s.close(a);
    s.send(b, "x");
    s.poll(b);
    s.receive(b, 10);
    s.receive(b, 10);
    s.send(b, "y");
    s.send(b, "z");
    s.get(b, SOL_SOCKET, SO_ERROR);
    s.send(b, "z");
    s.get(b, SOL_SOCKET, SO_ERROR);
    s.get(b, SOL_SOCKET, SO_ERROR);
  });
}

TEST(Udp, RefusalIsNotToldToOthers) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.close(a);
    s.send(b, "x", 0, "4/127.0.0.1/A");
    s.poll(b);
    s.receive(b, 10);
  });
}

TEST(Udp, Shutdown) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.connect(b, "4/127.0.0.1/A");
    s.shutdown(b, SHUT_WR);
    s.poll(b);
    s.send(b, "x");
    s.shutdown(b, SHUT_RD);
    s.poll(b);
    s.receive(b, 10);
    s.poll(a);
  });
}

TEST(Udp, BindConflicts) {
  expect_same([](Script& s) {
    bound(s, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.bind(b, "4/127.0.0.1/A");
    s.bind(b, "4/0.0.0.0/A");
    s.bind(b, "4/127.0.0.2/A");
    s.bind(b, "4/127.0.0.3/0");
    s.bind(s.socket(AF_INET6, SOCK_DGRAM), "6/::1/A");
    s.bind(s.socket(AF_INET6, SOCK_DGRAM), "6/::/A");
  });
}

TEST(Udp, ReuseOfAddresses) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_DGRAM);
    s.set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(a, "4/127.0.0.1/0");
    s.note_port(a, "A");
    int b = s.socket(AF_INET, SOCK_DGRAM);
    s.set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(b, "4/127.0.0.1/A");
    int c = s.socket(AF_INET, SOCK_DGRAM);
    s.send(c, "who", 0, "4/127.0.0.1/A");
    s.pending(a);
    s.pending(b);
  });
}

TEST(Udp, TheMostParticularOneGetsIt) {
  expect_same([](Script& s) {
    int any = s.socket(AF_INET, SOCK_DGRAM);
    s.set(any, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(any, "4/0.0.0.0/0");
    s.note_port(any, "A");
    int one = s.socket(AF_INET, SOCK_DGRAM);
    s.set(one, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(one, "4/127.0.0.1/A");
    int c = s.socket(AF_INET, SOCK_DGRAM);
    s.send(c, "one", 0, "4/127.0.0.1/A");
    s.send(c, "any", 0, "4/127.0.0.2/A");
    s.receive(any, 10);
    s.pending(one);
  });
}

TEST(Udp, OverIpv6) {
  expect_same([](Script& s) {
    int a = bound(s, "A", "6/::1/");
    int b = bound(s, "B", "6/::1/");
    s.send(b, "six", 0, "6/::1/A");
    s.receive(a, 10);
    int dual = bound(s, "C", "6/::/");
    int v4 = bound(s, "D");
    s.send(v4, "four", 0, "4/127.0.0.1/C");
    s.receive(dual, 10);
    s.send(dual, "back", 0, "6/::ffff:127.0.0.1/D");
    s.receive(v4, 10);
    s.send(dual, "plain", 0, "4/127.0.0.1/D");
    s.receive(v4, 10);
  });
}

TEST(Udp, FactsAboutPackets) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    s.set(a, IPPROTO_IP, IP_PKTINFO, 1);
    s.set(a, IPPROTO_IP, IP_RECVTTL, 1);
    s.set(a, IPPROTO_IP, IP_RECVTOS, 1);
    s.send(a, "x", 0, "4/127.0.0.1/A");
    s.receive(a, 10);
    int b = bound(s, "B", "6/::1/");
    s.set(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    s.set(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    s.set(b, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    s.send(b, "x", 0, "6/::1/B");
    s.receive(b, 10);
  });
}

TEST(Udp, DatagramsAreLostWhenTheBufferIsFull) {
  expect_same([](Script& s) {
    int a = bound(s, "A");
    s.set(a, SOL_SOCKET, SO_RCVBUF, 4000);
    int b = s.socket(AF_INET, SOCK_DGRAM);
    for (int i = 0; i < 40; ++i) s.send(b, std::string(100, 'x'), 0, "4/127.0.0.1/A");
    s.pending(a);
    s.receive(a, 100);
    s.poll(a);
  });
}

}  // namespace
}  // namespace caisson::sandbox::net
