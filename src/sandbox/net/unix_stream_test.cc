// Unix stream sockets behave as this host's kernel has them behave.
#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

int listener(Script& s, const std::string& name, int backlog = 5, int type = SOCK_STREAM) {
  int server = s.socket(AF_UNIX, type);
  s.bind(server, name);
  s.listen(server, backlog);
  return server;
}

TEST(UnixStream, PairCarriesBytesBothWays) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "hello");
    s.send(1, "world!");
    s.receive(1, 100);
    s.receive(0, 100);
    s.receive(0, 100);
  });
}

TEST(UnixStream, BytesOfSeveralSendsAreReadInOnePiece) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "abc");
    s.send(0, "def");
    s.send(0, "ghi");
    s.receive(1, 4);
    s.pending(1);
    s.receive(1, 100);
    s.pending(1);
  });
}

TEST(UnixStream, EmptySendAndReceive) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "");
    s.receive(1, 0);
    s.send(0, "a");
    s.receive(1, 0);
    s.receive(1, 5);
  });
}

TEST(UnixStream, NamesOfPairs) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.local(0);
    s.peer(0);
  });
}

TEST(UnixStream, ConnectByPath) {
  expect_same([](Script& s) {
    int server = listener(s, "p/server");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.poll(client);
    s.poll(server);
    s.connect(client, "p/server");
    s.poll(client);
    s.poll(server);
    int accepted = s.accept(server);
    s.accept(server);
    s.local(accepted);
    s.peer(accepted);
    s.local(client);
    s.peer(client);
    s.send(client, "ping");
    s.receive(accepted, 10);
    s.send(accepted, "pong");
    s.receive(client, 10);
  });
}

TEST(UnixStream, DataIsKeptUntilAccept) {
  expect_same([](Script& s) {
    int server = listener(s, "a/early");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/early");
    s.send(client, "early");
    s.close(client);
    int accepted = s.accept(server);
    s.poll(accepted);
    s.receive(accepted, 10);
    s.receive(accepted, 10);
    s.peer(accepted);
  });
}

TEST(UnixStream, ClientsHaveNamesToo) {
  expect_same([](Script& s) {
    int server = listener(s, "a/named");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(client, "p/client");
    s.connect(client, "a/named");
    int accepted = s.accept(server);
    s.peer(accepted);
    s.send(client, "x");
    s.receive(accepted, 1);
  });
}

TEST(UnixStream, ConnectErrors) {
  expect_same([](Script& s) {
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "p/absent");
    s.connect(client, "p/absent/below");
    s.connect(client, "a/absent");
    s.connect(client, "unspec");
    s.connect(client, "auto");
    s.connect(client, "empty");
    s.connect(client, "4/127.0.0.1/1");
    int bound = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(bound, "p/bound");
    s.connect(client, "p/bound");
    int datagram = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(datagram, "p/datagram");
    s.connect(client, "p/datagram");
  });
}

TEST(UnixStream, AbstractNamesOfOtherTypesAreNotFound) {
  expect_same([](Script& s) {
    int datagram = s.socket(AF_UNIX, SOCK_DGRAM);
    s.bind(datagram, "a/both");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/both");
    int server = listener(s, "a/both");
    s.connect(client, "a/both");
    s.accept(server);
  });
}

TEST(UnixStream, ConnectTwice) {
  expect_same([](Script& s) {
    listener(s, "a/twice");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/twice");
    s.connect(client, "a/twice");
    s.connect(client, "a/absent");
  });
}

TEST(UnixStream, ListenerCannotConnect) {
  expect_same([](Script& s) {
    int server = listener(s, "a/self");
    s.connect(server, "a/self");
    s.peer(server);
    s.send(server, "x");
    s.receive(server, 1);
    s.pending(server);
  });
}

TEST(UnixStream, BacklogIsFull) {
  expect_same([](Script& s) {
    int server = listener(s, "a/full", 1);
    for (int i = 0; i < 3; ++i) s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/full");
    s.accept(server);
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/full");
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/full");
    s.listen(server, 5);
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/full");
  });
}

TEST(UnixStream, ZeroBacklogTakesOne) {
  expect_same([](Script& s) {
    listener(s, "a/zero", 0);
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/zero");
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "a/zero");
  });
}

TEST(UnixStream, ListenErrors) {
  expect_same([](Script& s) {
    int unbound = s.socket(AF_UNIX, SOCK_STREAM);
    s.listen(unbound, 1);
    s.accept(unbound);
    s.pair(SOCK_STREAM);
    s.listen(1, 1);
    int datagram = s.socket(AF_UNIX, SOCK_DGRAM);
    s.listen(datagram, 1);
    s.accept(datagram);
  });
}

TEST(UnixStream, BindErrors) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    int b = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(a, "p/one");
    s.bind(a, "p/two");
    s.bind(a, "p/one");
    s.bind(b, "p/one");
    s.bind(b, "p/absent/name");
    s.bind(b, "p/one/name");
    s.bind(b, "unspec");
    s.bind(b, "empty");
    s.bind(b, "a/name");
    s.bind(b, "a/other");
    s.bind(s.socket(AF_UNIX, SOCK_STREAM), "a/name");
    s.bind(s.socket(AF_UNIX, SOCK_STREAM), "p/two");
  });
}

TEST(UnixStream, NameInTheFileSystemStaysAfterClose) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(a, "p/left");
    s.close(a);
    s.bind(s.socket(AF_UNIX, SOCK_STREAM), "p/left");
    s.connect(s.socket(AF_UNIX, SOCK_STREAM), "p/left");
  });
}

TEST(UnixStream, AbstractNameIsFreeAfterClose) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(a, "a/again");
    s.close(a);
    s.bind(s.socket(AF_UNIX, SOCK_STREAM), "a/again");
  });
}

TEST(UnixStream, AbstractNameIsTakenWhileAcceptedSocketsLive) {
  expect_same([](Script& s) {
    int server = listener(s, "a/held");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/held");
    int accepted = s.accept(server);
    s.close(server);
    s.local(accepted);
    s.bind(s.socket(AF_UNIX, SOCK_STREAM), "a/held");
  });
}

TEST(UnixStream, Autobind) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(a, "auto");
    s.local(a);
    s.bind(a, "auto");
    s.bind(a, "a/name");
  });
}

TEST(UnixStream, PathWithoutNullByte) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    s.bind(a, "n/plain");
    s.local(a);
  });
}

TEST(UnixStream, NotConnected) {
  expect_same([](Script& s) {
    int a = s.socket(AF_UNIX, SOCK_STREAM);
    s.send(a, "x");
    s.receive(a, 1);
    s.peer(a);
    s.local(a);
    s.shutdown(a, SHUT_WR);
    s.poll(a);
    s.send(a, "x");
    s.shutdown(a, SHUT_RD);
    s.poll(a);
  });
}

TEST(UnixStream, SendToIsRefused) {
  expect_same([](Script& s) {
    listener(s, "a/server");
    s.pair(SOCK_STREAM);
    s.send(1, "x", 0, "a/server");
    s.send(s.socket(AF_UNIX, SOCK_STREAM), "x", 0, "a/server");
  });
}

TEST(UnixStream, CloseEndsThePeer) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "last");
    s.close(0);
    s.poll(1);
    s.send(1, "x");
    s.receive(1, 2);
    s.receive(1, 10);
    s.receive(1, 10);
    s.poll(1);
    s.peer(1);
  });
}

TEST(UnixStream, CloseWithUnreadDataResets) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(1, "unread");
    s.close(0);
    s.poll(1);
    s.receive(1, 10);
    s.receive(1, 10);
    s.poll(1);
    s.send(1, "x");
  });
}

TEST(UnixStream, ResetIsToldBySoError) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(1, "unread");
    s.close(0);
    s.get(1, SOL_SOCKET, SO_ERROR);
    s.get(1, SOL_SOCKET, SO_ERROR);
    s.receive(1, 10);
  });
}

TEST(UnixStream, ListenerClosedBeforeAccept) {
  expect_same([](Script& s) {
    int server = listener(s, "a/gone");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/gone");
    s.close(server);
    s.poll(client);
    s.send(client, "x");
    s.receive(client, 1);
    s.receive(client, 1);
  });
}

TEST(UnixStream, ShutdownOfWriting) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "tail");
    s.shutdown(0, SHUT_WR);
    s.poll(0);
    s.poll(1);
    s.send(0, "x");
    s.receive(1, 10);
    s.receive(1, 10);
    s.send(1, "still");
    s.receive(0, 10);
  });
}

TEST(UnixStream, ShutdownOfReading) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(1, "kept");
    s.shutdown(0, SHUT_RD);
    s.poll(0);
    s.poll(1);
    s.send(1, "x");
    s.receive(0, 10);
    s.receive(0, 10);
    s.send(0, "out");
    s.receive(1, 10);
  });
}

TEST(UnixStream, ShutdownOfBoth) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.shutdown(0, SHUT_RDWR);
    s.poll(0);
    s.poll(1);
    s.receive(0, 1);
    s.send(0, "x");
    s.receive(1, 1);
    s.send(1, "x");
  });
}

TEST(UnixStream, ShutdownOfListenerRefuses) {
  expect_same([](Script& s) {
    int server = listener(s, "a/shut");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.shutdown(server, SHUT_RD);
    s.connect(client, "a/shut");
    s.accept(server);
    s.poll(server);
  });
}

TEST(UnixStream, PeekLeavesTheBytes) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "abc");
    s.send(0, "def");
    s.receive(1, 2, MSG_PEEK);
    s.receive(1, 5, MSG_PEEK);
    s.receive(1, 100, MSG_PEEK);
    s.receive(1, 4);
    s.receive(1, 100, MSG_PEEK);
    s.receive(1, 100);
    s.receive(1, 100, MSG_PEEK);
  });
}

TEST(UnixStream, PeekOffset) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.set(1, SOL_SOCKET, SO_PEEK_OFF, 0);
    s.send(0, "abcdefgh");
    s.receive(1, 2, MSG_PEEK);
    s.get(1, SOL_SOCKET, SO_PEEK_OFF);
    s.receive(1, 2, MSG_PEEK);
    s.receive(1, 3);
    s.get(1, SOL_SOCKET, SO_PEEK_OFF);
    s.receive(1, 100, MSG_PEEK);
  });
}

TEST(UnixStream, OutOfBandReceiveWithoutAny) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.receive(1, 1, MSG_OOB);
  });
}

TEST(UnixStream, AsMuchFitsAsOnTheHost) {
  for (std::size_t size : {1UL, 100UL, 192UL, 193UL, 300UL, 512UL, 1000UL, 3776UL, 3777UL, 4096UL,
                           16064UL, 36544UL, 36545UL, 65536UL, 100000UL}) {
    expect_same([size](Script& s) {
      s.pair(SOCK_STREAM);
      s.fill(0, size);
      s.unsent(0);
      s.pending(1);
      s.poll(0);
    });
  }
}

TEST(UnixStream, RoomComesBackWithReading) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.fill(0, 1000);
    s.receive(1, 1000);
    s.poll(0);
    s.unsent(0);
    for (int i = 0; i < 80; ++i) s.receive(1, 1000);
    s.poll(0);
    s.unsent(0);
    s.fill(0, 1000);
  });
}

TEST(UnixStream, SmallSendBuffer) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.set(0, SOL_SOCKET, SO_SNDBUF, 1);
    s.get(0, SOL_SOCKET, SO_SNDBUF);
    s.fill(0, 10000);
    s.pending(1);
  });
}

TEST(UnixStream, RightsArriveWithTheirBytes) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.pair(SOCK_STREAM);
    s.send(0, "ab");
    s.send_rights(0, "cd", {2});
    s.send(0, "ef");
    s.receive(1, 100);
    s.receive(1, 100);
    s.send(3, "through");
    s.close(2);
    s.receive(4, 100);
  });
}

TEST(UnixStream, RightsArriveWithTheFirstOfTheirBytes) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send_rights(0, "abcdef", {0, 1});
    s.receive(1, 2);
    s.receive(1, 100);
  });
}

TEST(UnixStream, PeekShowsRightsToo) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send_rights(0, "abc", {0});
    s.send(0, "def");
    s.receive(1, 100, MSG_PEEK);
    s.receive(1, 100);
    s.receive(1, 100);
  });
}

TEST(UnixStream, RightsOfAnEmptySendAreDropped) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send_rights(0, "", {0});
    s.receive(1, 100);
  });
}

TEST(UnixStream, CredentialsForThoseWhoAsk) {
  expect_same([](Script& s) {
    s.pair(SOCK_STREAM);
    s.send(0, "before");
    s.set(1, SOL_SOCKET, SO_PASSCRED, 1);
    s.send(0, "after");
    s.receive(1, 100);
    s.receive(1, 100);
    s.send_credentials(0, "given");
    s.receive(1, 100);
    s.set(1, SOL_SOCKET, SO_PASSCRED, 0);
    s.send_credentials(0, "given");
    s.receive(1, 100);
  });
}

TEST(UnixStream, AcceptedSocketsPassCredentialsAsTheListener) {
  expect_same([](Script& s) {
    int server = listener(s, "a/passing");
    s.set(server, SOL_SOCKET, SO_PASSCRED, 1);
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.connect(client, "a/passing");
    s.send(client, "x");
    int accepted = s.accept(server);
    s.receive(accepted, 10);
    s.get(accepted, SOL_SOCKET, SO_PASSCRED);
  });
}

TEST(UnixStream, PassingCredentialsBindsTheClient) {
  expect_same([](Script& s) {
    listener(s, "a/binding");
    int client = s.socket(AF_UNIX, SOCK_STREAM);
    s.set(client, SOL_SOCKET, SO_PASSCRED, 1);
    s.connect(client, "a/binding");
    s.local(client);
  });
}

}  // namespace
}  // namespace caisson::sandbox::net
