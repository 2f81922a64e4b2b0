// TCP sockets of the loopback behave as this host's kernel has them behave.
#include <netinet/tcp.h>

#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

int listener(Script& s, const std::string& name = "4/127.0.0.1/0", int backlog = 5) {
  int server = s.socket(name[0] == '4' ? AF_INET : AF_INET6, SOCK_STREAM);
  s.bind(server, name);
  s.listen(server, backlog);
  s.note_port(server, "A");
  return server;
}

struct Connection {
  int server, client, accepted;
};
Connection connection(Script& s) {
  int server = listener(s);
  int client = s.socket(AF_INET, SOCK_STREAM);
  s.connect(client, "4/127.0.0.1/A");
  s.note_port(client, "B");
  s.poll(client);
  s.connect(client, "4/127.0.0.1/A");
  return {server, client, s.accept(server)};
}

TEST(Tcp, ConnectAndTalk) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.local(c.client);
    s.peer(c.client);
    s.local(c.accepted);
    s.peer(c.accepted);
    s.local(c.server);
    s.peer(c.server);
    s.poll(c.accepted);
    s.send(c.client, "ping");
    s.poll(c.accepted);
    s.pending(c.accepted);
    s.receive(c.accepted, 100);
    s.send(c.accepted, "pong");
    s.receive(c.client, 2);
    s.receive(c.client, 100);
    s.receive(c.client, 100);
    s.connect(c.client, "4/127.0.0.1/A");
  });
}

TEST(Tcp, NewSockets) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.poll(a);
    s.local(a);
    s.peer(a);
    s.send(a, "x");
    s.receive(a, 1);
    s.shutdown(a, SHUT_WR);
    s.accept(a);
    s.pending(a);
    s.unsent(a);
    int b = s.socket(AF_INET6, SOCK_STREAM);
    s.local(b);
    s.poll(b);
  });
}

TEST(Tcp, SocketErrors) {
  expect_same([](Script& s) {
    s.socket(AF_INET, SOCK_STREAM, IPPROTO_UDP);
    s.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    s.socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP);
    s.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    s.socket(AF_INET, SOCK_SEQPACKET);
    s.socket(AF_INET, SOCK_STREAM, 4000);
    s.socket(AF_INET, SOCK_STREAM, -1);
    s.socket(AF_INET, SOCK_RAW);
    s.socket(AF_UNIX, SOCK_RDM);
    s.socket(AF_UNIX, SOCK_STREAM, 5);
    s.socket(AF_UNIX, SOCK_STREAM, 1);
    s.socket(AF_UNIX, 12);
    s.socket(999, SOCK_STREAM);
    s.socket(-1, SOCK_STREAM);
  });
}

TEST(Tcp, Refused) {
  expect_same([](Script& s) {
    int bound = s.socket(AF_INET, SOCK_STREAM);
    s.bind(bound, "4/127.0.0.1/0");
    s.note_port(bound, "A");
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.poll(client);
    s.get(client, SOL_SOCKET, SO_ERROR);
    s.get(client, SOL_SOCKET, SO_ERROR);
    s.poll(client);
    s.send(client, "x");
    s.receive(client, 1);
    s.peer(client);
    s.connect(client, "4/127.0.0.1/A");
    s.connect(client, "4/127.0.0.1/A");
    s.connect(client, "4/127.0.0.1/A");
  });
}

TEST(Tcp, RefusedAndToldByConnect) {
  expect_same([](Script& s) {
    int bound = s.socket(AF_INET, SOCK_STREAM);
    s.bind(bound, "4/127.0.0.1/0");
    s.note_port(bound, "A");
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.connect(client, "4/127.0.0.1/A");
    s.poll(client);
    s.listen(bound, 1);
    s.connect(client, "4/127.0.0.1/A");
    s.poll(client);
    s.connect(client, "4/127.0.0.1/A");
  });
}

TEST(Tcp, RefusedAndToldByReceive) {
  expect_same([](Script& s) {
    int bound = s.socket(AF_INET, SOCK_STREAM);
    s.bind(bound, "4/127.0.0.1/0");
    s.note_port(bound, "A");
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.receive(client, 1);
    s.receive(client, 1);
  });
}

TEST(Tcp, ConnectErrors) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.connect(a, "6/::1/1");
    s.connect(a, "empty");
    s.connect(a, "unspec");
    int b = s.socket(AF_INET6, SOCK_STREAM);
    s.connect(b, "4/127.0.0.1/1");
    s.connect(b, "auto");
  });
}

TEST(Tcp, WildcardMeansThisMachine) {
  expect_same([](Script& s) {
    int server = listener(s, "4/0.0.0.0/0");
    s.local(server);
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/0.0.0.0/A");
    s.poll(client);
    s.peer(client);
    int other = s.socket(AF_INET, SOCK_STREAM);
    s.connect(other, "4/127.1.2.3/A");
    s.poll(other);
    s.peer(other);
    s.accept(server);
    int second = s.accept(server);
    s.local(second);
  });
}

TEST(Tcp, BindErrors) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.bind(a, "4/192.0.2.1/0");
    s.bind(a, "6/::1/0");
    s.bind(a, "empty");
    s.bind(a, "unspec");
    s.bind(a, "4/127.0.0.1/0");
    int b = s.socket(AF_INET, SOCK_STREAM);
    s.bind(b, "4/127.0.0.1/0");
    s.note_port(b, "A");
    s.bind(s.socket(AF_INET, SOCK_STREAM), "4/127.0.0.1/A");
    s.bind(s.socket(AF_INET, SOCK_STREAM), "4/0.0.0.0/A");
    s.bind(s.socket(AF_INET, SOCK_STREAM), "4/127.0.0.2/A");
    s.bind(s.socket(AF_INET6, SOCK_STREAM), "6/::/A");
    s.bind(s.socket(AF_INET6, SOCK_STREAM), "6/::1/A");
    s.bind(s.socket(AF_INET6, SOCK_STREAM), "6/::ffff:127.0.0.1/A");
  });
}

TEST(Tcp, ReuseOfAddresses) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(a, "4/127.0.0.1/0");
    s.note_port(a, "A");
    int b = s.socket(AF_INET, SOCK_STREAM);
    s.bind(b, "4/127.0.0.1/A");
    s.set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(b, "4/127.0.0.1/A");
    s.listen(a, 1);
    s.listen(b, 1);
    int c = s.socket(AF_INET, SOCK_STREAM);
    s.set(c, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(c, "4/127.0.0.1/A");
  });
}

TEST(Tcp, ReuseOfPorts) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.set(a, SOL_SOCKET, SO_REUSEPORT, 1);
    s.bind(a, "4/127.0.0.1/0");
    s.note_port(a, "A");
    s.listen(a, 1);
    int b = s.socket(AF_INET, SOCK_STREAM);
    s.bind(b, "4/127.0.0.1/A");
    s.set(b, SOL_SOCKET, SO_REUSEPORT, 1);
    s.bind(b, "4/127.0.0.1/A");
    s.listen(b, 1);
  });
}

TEST(Tcp, ListenBindsItself) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    s.listen(a, 1);
    s.local(a);
    s.listen(a, 2);
    s.connect(a, "4/127.0.0.1/1");
    s.send(a, "x");
    s.receive(a, 1);
    s.pending(a);
    s.unsent(a);
    s.get(a, SOL_SOCKET, SO_ACCEPTCONN);
    s.poll(a);
  });
}

TEST(Tcp, ListenOnConnected) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.listen(c.client, 1);
    s.bind(c.client, "4/127.0.0.1/0");
    s.accept(c.client);
  });
}

TEST(Tcp, HalfClose) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.client, "last");
    s.shutdown(c.client, SHUT_WR);
    s.poll(c.client);
    s.poll(c.accepted);
    s.send(c.client, "x");
    s.receive(c.accepted, 100);
    s.receive(c.accepted, 100);
    s.send(c.accepted, "answer");
    s.receive(c.client, 100);
    s.shutdown(c.accepted, SHUT_WR);
    s.poll(c.accepted);
    s.poll(c.client);
    s.receive(c.client, 100);
    s.shutdown(c.accepted, SHUT_WR);
  });
}

TEST(Tcp, ShutdownOfReading) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.shutdown(c.client, SHUT_RD);
    s.poll(c.client);
    s.receive(c.client, 10);
    s.send(c.accepted, "still");
    s.receive(c.client, 10);
    s.receive(c.client, 10);
    s.send(c.client, "x");
    s.receive(c.accepted, 10);
  });
}

TEST(Tcp, CloseInOrder) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.client, "bye");
    s.close(c.client);
    s.poll(c.accepted);
    s.receive(c.accepted, 10);
    s.receive(c.accepted, 10);
    s.peer(c.accepted);
  });
}

TEST(Tcp, SendToOneThatIsGone) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.close(c.client);
    s.send(c.accepted, "x");
    s.poll(c.accepted);
    s.send(c.accepted, "y");
    s.send(c.accepted, "z");
    s.receive(c.accepted, 10);
    s.peer(c.accepted);
  });
}

TEST(Tcp, CloseWithUnreadDataResets) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.accepted, "unread");
    s.close(c.client);
    s.poll(c.accepted);
    s.receive(c.accepted, 10);
    s.receive(c.accepted, 10);
    s.send(c.accepted, "x");
    s.poll(c.accepted);
    s.peer(c.accepted);
  });
}

TEST(Tcp, DataBeforeAResetIsStillRead) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.client, "before");
    s.send(c.accepted, "unread");
    s.close(c.client);
    s.receive(c.accepted, 10);
    s.receive(c.accepted, 10);
    s.receive(c.accepted, 10);
  });
}

TEST(Tcp, LingerOfZeroResets) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.set_bytes(c.client, SOL_SOCKET, SO_LINGER, option_bytes(linger{.l_onoff = 1, .l_linger = 0}));
    s.close(c.client);
    s.poll(c.accepted);
    s.get(c.accepted, SOL_SOCKET, SO_ERROR);
    s.receive(c.accepted, 10);
  });
}

TEST(Tcp, DisconnectByUnspec) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.connect(c.client, "unspec");
    s.poll(c.accepted);
    s.receive(c.accepted, 10);
    s.poll(c.client);
    s.peer(c.client);
    s.connect(c.client, "4/127.0.0.1/A");
    s.poll(c.client);
  });
}

TEST(Tcp, ListenerClosedWithPending) {
  expect_same([](Script& s) {
    int server = listener(s);
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.close(server);
    s.poll(client);
    s.receive(client, 1);
    s.send(client, "x");
    s.connect(s.socket(AF_INET, SOCK_STREAM), "4/127.0.0.1/A");
  });
}

TEST(Tcp, ListenerShutDown) {
  expect_same([](Script& s) {
    int server = listener(s);
    s.shutdown(server, SHUT_WR);
    s.poll(server);
    s.shutdown(server, SHUT_RD);
    s.poll(server);
    s.accept(server);
    s.listen(server, 1);
    s.poll(server);
  });
}

TEST(Tcp, AcceptedOnesHoldThePort) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.close(c.server);
    int again = s.socket(AF_INET, SOCK_STREAM);
    s.bind(again, "4/127.0.0.1/A");
    s.set(again, SOL_SOCKET, SO_REUSEADDR, 1);
    s.bind(again, "4/127.0.0.1/A");
  });
}

TEST(Tcp, Peek) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.client, "abc");
    s.send(c.client, "def");
    s.receive(c.accepted, 4, MSG_PEEK);
    s.receive(c.accepted, 100, MSG_PEEK);
    s.receive(c.accepted, 4);
    s.receive(c.accepted, 100);
  });
}

TEST(Tcp, DiscardByTrunc) {
  expect_same([](Script& s) {
    auto c = connection(s);
    s.send(c.client, "abcdef");
    s.pending(c.accepted);
    s.receive(c.accepted, 0);
    s.receive(c.accepted, 6);
  });
}

TEST(Tcp, OverIpv6) {
  expect_same([](Script& s) {
    int server = listener(s, "6/::1/0");
    int client = s.socket(AF_INET6, SOCK_STREAM);
    s.connect(client, "6/::1/A");
    s.note_port(client, "B");
    int accepted = s.accept(server);
    s.local(client);
    s.peer(accepted);
    s.send(client, "six");
    s.receive(accepted, 10);
    s.connect(s.socket(AF_INET, SOCK_STREAM), "4/127.0.0.1/A");
  });
}

TEST(Tcp, DualStackListener) {
  expect_same([](Script& s) {
    int server = listener(s, "6/::/0");
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.note_port(client, "B");
    int accepted = s.accept(server);
    s.local(accepted);
    s.peer(accepted);
    int mapped = s.socket(AF_INET6, SOCK_STREAM);
    s.connect(mapped, "6/::ffff:127.0.0.1/A");
    s.poll(mapped);
    s.peer(mapped);
    s.local(mapped);
  });
}

TEST(Tcp, V6Only) {
  expect_same([](Script& s) {
    int server = s.socket(AF_INET6, SOCK_STREAM);
    s.set(server, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    s.bind(server, "6/::/0");
    s.note_port(server, "A");
    s.set(server, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    s.listen(server, 1);
    int client = s.socket(AF_INET, SOCK_STREAM);
    s.connect(client, "4/127.0.0.1/A");
    s.get(client, SOL_SOCKET, SO_ERROR);
    int both = s.socket(AF_INET, SOCK_STREAM);
    s.bind(both, "4/0.0.0.0/A");
    int only = s.socket(AF_INET6, SOCK_STREAM);
    s.set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    s.connect(only, "6/::ffff:127.0.0.1/A");
    s.bind(only, "6/::ffff:127.0.0.1/0");
  });
}

TEST(Tcp, Options) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    for (int name :
         {TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2,
          TCP_USER_TIMEOUT, TCP_QUICKACK, TCP_DEFER_ACCEPT, TCP_FASTOPEN_CONNECT, 999}) {
      s.get(a, IPPROTO_TCP, name);
      s.set(a, IPPROTO_TCP, name, 1);
      s.set(a, IPPROTO_TCP, name, 100000);
    }
    s.get(a, IPPROTO_TCP, TCP_NODELAY, 2);
    s.set_bytes(a, IPPROTO_TCP, TCP_NODELAY, "x");
    s.set_bytes(a, IPPROTO_TCP, TCP_CONGESTION, "cubic");
    s.set_bytes(a, IPPROTO_TCP, TCP_CONGESTION, "nothing");
    s.get(a, IPPROTO_TCP, TCP_CONGESTION, 16);
    s.get(a, IPPROTO_TCP, TCP_CONGESTION, 4);
  });
}

TEST(Tcp, AcceptedSocketsHaveTheirListenersOptions) {
  expect_same([](Script& s) {
    int server = listener(s);
    s.set(server, IPPROTO_TCP, TCP_NODELAY, 1);
    s.set(server, SOL_SOCKET, SO_KEEPALIVE, 1);
    s.set(server, IPPROTO_IP, IP_TOS, 16);
    s.connect(s.socket(AF_INET, SOCK_STREAM), "4/127.0.0.1/A");
    int accepted = s.accept(server);
    s.get(accepted, IPPROTO_TCP, TCP_NODELAY);
    s.get(accepted, SOL_SOCKET, SO_KEEPALIVE);
    s.get(accepted, IPPROTO_IP, IP_TOS);
  });
}

TEST(Tcp, OptionsOfIp) {
  expect_same([](Script& s) {
    int a = s.socket(AF_INET, SOCK_STREAM);
    int b = s.socket(AF_INET6, SOCK_STREAM);
    for (int name : {IP_TOS, IP_TTL, IP_MTU_DISCOVER, IP_RECVTTL, IP_PKTINFO, IP_FREEBIND,
                     IP_RECVERR, IP_BIND_ADDRESS_NO_PORT, 998}) {
      s.get(a, IPPROTO_IP, name);
      s.set(a, IPPROTO_IP, name, 1);
      s.get(a, IPPROTO_IP, name);
      s.set(a, IPPROTO_IP, name, 1000);
      s.get(a, IPPROTO_IP, name, 1);
    }
    for (int name : {IPV6_V6ONLY, IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_RECVPKTINFO,
                     IPV6_MTU_DISCOVER, IPV6_RECVERR, 998}) {
      s.get(b, IPPROTO_IPV6, name);
      s.set(b, IPPROTO_IPV6, name, 1);
      s.get(b, IPPROTO_IPV6, name);
      s.set(b, IPPROTO_IPV6, name, 1000);
    }
    s.set(a, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    s.set(b, IPPROTO_IP, IP_TOS, 8);
    s.set_bytes(a, IPPROTO_IP, IP_TOS, "\x10");
    s.get(a, IPPROTO_IP, IP_TOS);
  });
}

}  // namespace
}  // namespace caisson::sandbox::net
