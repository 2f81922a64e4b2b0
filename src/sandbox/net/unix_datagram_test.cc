// Unix datagram and sequenced packet sockets behave as this host's kernel has them behave.
#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

TEST(UnixDatagram, BoundariesAreKept) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, "one");
    s.send(0, "");
    s.send(0, "three");
    s.pending(1);
    s.receive(1, 100);
    s.pending(1);
    s.receive(1, 100);
    s.receive(1, 100);
    s.receive(1, 100);
  });
}

TEST(UnixDatagram, LongOnesAreCut) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, "abcdef");
    s.send(0, "ghijkl");
    s.receive(1, 3);
    s.receive(1, 3, MSG_TRUNC);
    s.send(0, "mno");
    s.receive(1, 0);
    s.receive(1, 3);
  });
}

TEST(UnixDatagram, SendToNames) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "p/a");
    s.bind(b, "a/b");
    s.send(b, "to a", 0, "p/a");
    s.receive(a, 100);
    s.send(a, "to b", 0, "a/b");
    s.receive(b, 100);
    int c = s.socket(AF_UNIX, SOCK_DGRAM);
    s.send(c, "unnamed", 0, "p/a");
    s.receive(a, 100);
  });
}

TEST(UnixDatagram, SendToErrors) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    s.send(a, "x");
    s.send(a, "x", 0, "p/absent");
    s.send(a, "x", 0, "a/absent");
    s.send(a, "x", 0, "auto");
    s.send(a, "x", 0, "unspec");
    int stream = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(stream, "p/stream");
    s.send(a, "x", 0, "p/stream");
    s.peer(a);
  });
}

TEST(UnixDatagram, ConnectedOnesTakeOnlyFromTheirPeer) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    int c = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.bind(b, "a/b");
    s.connect(a, "a/b");
    s.peer(a);
    s.send(c, "x", 0, "a/a");
    s.connect(c, "a/a");
    s.send(b, "y", 0, "a/a");
    s.receive(a, 10);
  });
}

TEST(UnixDatagram, ConnectedOnesCanSendElsewhere) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    int c = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.bind(b, "a/b");
    s.connect(c, "a/a");
    s.send(c, "to a");
    s.send(c, "to b", 0, "a/b");
    s.receive(a, 10);
    s.receive(b, 10);
  });
}

TEST(UnixDatagram, Disconnect) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.connect(b, "a/a");
    s.connect(b, "unspec");
    s.peer(b);
    s.send(b, "x");
    s.connect(b, "unspec");
  });
}

TEST(UnixDatagram, DisconnectTellsThePeer) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(1, "dropped");
    s.connect(0, "unspec");
    s.receive(0, 10);
    s.poll(1);
    s.get(1, SOL_SOCKET, SO_ERROR);
    s.send(1, "x");
  });
}

TEST(UnixDatagram, PeerClosed) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.connect(b, "a/a");
    s.close(a);
    s.poll(b);
    s.send(b, "x");
    s.send(b, "x");
    s.peer(b);
  });
}

TEST(UnixDatagram, PairClosed) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, "left");
    s.close(0);
    s.poll(1);
    s.receive(1, 10);
    s.receive(1, 10);
    s.send(1, "x");
    s.send(1, "x");
  });
}

TEST(UnixDatagram, Reconnect) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    int c = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.bind(b, "a/b");
    s.connect(c, "a/a");
    s.connect(c, "a/b");
    s.peer(c);
    s.connect(c, "a/absent");
    s.peer(c);
  });
}

TEST(UnixDatagram, ToItself) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.connect(a, "a/a");
    s.send(a, "me");
    s.receive(a, 10);
    s.poll(a);
  });
}

TEST(UnixDatagram, QueueIsBounded) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    s.connect(b, "a/a");
    s.fill(b, 1);
    s.poll(b);
    s.receive(a, 1);
    s.poll(b);
    s.fill(b, 1);
  });
}

TEST(UnixDatagram, PairIsBoundedByTheBufferAlone) {
  for (std::size_t size : {1UL, 300UL, 4096UL, 16064UL, 16065UL, 65536UL, 100000UL}) {
    expect_same([size](Script& s) {
      s.pair(SOCK_DGRAM);
      s.fill(0, size);
      s.unsent(0);
      s.poll(0);
    });
  }
}

TEST(UnixDatagram, TooLong) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, std::string(212992, 'x'));
    s.send(0, std::string(212992 - 32, 'x'));
    s.pending(1);
    s.set(0, SOL_SOCKET, SO_SNDBUF, 3000);
    s.send(0, std::string(5969, 'x'));
  });
}

TEST(UnixDatagram, Shutdown) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.shutdown(0, SHUT_WR);
    s.send(0, "x");
    s.poll(0);
    s.poll(1);
    s.send(1, "y");
    s.shutdown(0, SHUT_RD);
    s.poll(0);
    s.send(1, "z");
    s.receive(0, 10);
    s.receive(0, 10);
  });
}

TEST(UnixDatagram, Peek) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, "abc");
    s.send(0, "def");
    s.receive(1, 2, MSG_PEEK);
    s.receive(1, 2, MSG_PEEK | MSG_TRUNC);
    s.receive(1, 10);
    s.receive(1, 10);
  });
}

TEST(UnixDatagram, OutOfBand) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.send(0, "x", MSG_OOB);
    s.receive(1, 1, MSG_OOB);
  });
}

TEST(UnixDatagram, Rights) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.pair(SOCK_STREAM);
    s.send_rights(0, "", {2, 3});
    s.receive(1, 10);
    s.send(4, "x");
    s.receive(5, 10);
    s.send_rights(0, "two", {2});
    s.receive(1, 1, MSG_PEEK);
    s.receive(1, 1);
  });
}

TEST(UnixDatagram, Credentials) {
  expect_same([](Script& s) {
    s.pair(SOCK_DGRAM);
    s.set(1, SOL_SOCKET, SO_PASSCRED, 1);
    s.send(0, "x");
    s.receive(1, 10);
    s.send_credentials(0, "y");
    s.receive(1, 10);
  });
}

TEST(UnixDatagram, PassingCredentialsBindsTheSender) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(a, "a/a");
    int b = s.socket(AF_UNIX, SOCK_DGRAM);
    s.set(b, SOL_SOCKET, SO_PASSCRED, 1);
    s.send(b, "x", 0, "a/a");
    s.local(b);
    s.receive(a, 10);
  });
}

TEST(UnixDatagram, RawMeansDatagram) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_RAW);
    s.get(a, SOL_SOCKET, SO_TYPE);
    s.pair(SOCK_RAW);
  });
}

TEST(UnixDatagram, PollOfNewSockets) {
  expect_same([](Script& s) {
    s.poll(s.socket(AF_UNIX, SOCK_DGRAM));
    s.poll(s.socket(AF_UNIX, SOCK_SEQPACKET));
  });
}

TEST(UnixSeqpacket, PairKeepsBoundaries) {
  expect_same([](Script& s) {
    s.pair(SOCK_SEQPACKET);
    s.send(0, "one");
    s.send(0, "two", MSG_EOR);
    s.pending(1);
    s.receive(1, 2);
    s.receive(1, 10);
    s.receive(1, 10);
  });
}

TEST(UnixSeqpacket, ConnectionsAndTheirEnd) {
  expect_same([](Script& s) {
    int server = s.socket(AF_UNIX, SOCK_SEQPACKET);
    s.bind(server, "a/server");
    s.listen(server, 2);
    int client = s.socket(AF_UNIX, SOCK_SEQPACKET);
    s.connect(client, "a/server");
    int accepted = s.accept(server);
    s.send(client, "hello");
    s.receive(accepted, 10);
    s.send(accepted, "bye");
    s.close(accepted);
    s.poll(client);
    s.receive(client, 10);
    s.receive(client, 10);
    s.send(client, "x");
  });
}

TEST(UnixSeqpacket, CloseWithUnreadDataResets) {
  expect_same([](Script& s) {
    s.pair(SOCK_SEQPACKET);
    s.send(1, "unread");
    s.close(0);
    s.poll(1);
    s.receive(1, 10);
    s.receive(1, 10);
    s.send(1, "x");
  });
}

TEST(UnixSeqpacket, NotConnected) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_SEQPACKET);
    s.send(a, "x");
    s.receive(a, 1);
    s.send(a, "x", 0, "a/absent");
    s.connect(a, "unspec");
  });
}

TEST(UnixSeqpacket, SendToIgnoresTheAddress) {
  expect_same([](Script& s) {
    s.pair(SOCK_SEQPACKET);
    s.send(0, "x", 0, "a/absent");
    s.receive(1, 10);
  });
}

TEST(UnixSeqpacket, Shutdown) {
  expect_same([](Script& s) {
    s.pair(SOCK_SEQPACKET);
    s.shutdown(0, SHUT_WR);
    s.poll(0);
    s.poll(1);
    s.receive(1, 1);
    s.send(0, "x");
    s.send(1, "y");
    s.receive(0, 5);
  });
}

TEST(UnixSeqpacket, OtherTypesAreOfTheWrongKind) {
  expect_same([](Script& s) {
    int server = s.socket(AF_UNIX, SOCK_SEQPACKET);
    s.bind(server, "p/server");
    s.listen(server, 2);
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "p/server");
    s.connect(s.socket(AF_UNIX, SOCK_DGRAM), "p/server");
  });
}

TEST(UnixSeqpacket, AsMuchFitsAsOnTheHost) {
  for (std::size_t size : {0UL, 1UL, 1000UL, 20000UL}) {
    expect_same([size](Script& s) {
      s.pair(SOCK_SEQPACKET);
      s.fill(0, size);
      s.unsent(0);
      s.pending(1);
    });
  }
}

}  // namespace
}  // namespace caisson::sandbox::net
