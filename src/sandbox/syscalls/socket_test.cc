// Calls on sockets by guest programs: waiting, signals, control messages, guest memory.
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <csignal>

#include "sandbox/net/network.h"
#include "sandbox/syscalls/guest_fixture_test.h"
#include "sandbox/syscalls/socket_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint64_t kFds = kA, kBytes = kA + 64, kMore = kA + 1024, kHeader = kA + 2048,
                        kVector = kA + 2200, kControl = kA + 2304, kName = kA + 2816,
                        kLength = kA + 3000, kValue = kA + 3072;

struct Pair {
  std::int32_t first, second;
};

Pair pair(FakeGuest& guest, int type = SOCK_STREAM) {
  EXPECT_EQ(guest.call(SYS_socketpair, AF_UNIX, type, 0, kFds), 0);
  return {guest.get<std::int32_t>(kFds), guest.get<std::int32_t>(kFds + 4)};
}

std::int64_t send(FakeGuest& guest, int fd, std::uint64_t length, int flags = 0) {
  return guest.call(SYS_sendto, fd, kBytes, length, flags, 0, 0);
}

std::int64_t receive(FakeGuest& guest, int fd, std::uint64_t length, int flags = 0) {
  return guest.call(SYS_recvfrom, fd, kMore, length, flags, 0, 0);
}

// A struct msghdr of one segment with that much control room.
void put_message(FakeGuest& guest, std::uint64_t bytes, std::uint64_t length,
                 std::uint64_t control_length) {
  guest.put(kVector, std::array<std::uint64_t, 2>{bytes, length});
  guest.put(kHeader, MessageHeader{.segments = kVector,
                                   .segment_count = 1,
                                   .control = control_length == 0 ? 0 : kControl,
                                   .control_length = control_length});
}

struct ControlOfTwo {
  std::uint64_t length = 24;
  std::int32_t level = SOL_SOCKET, type = SCM_RIGHTS;
  std::array<std::int32_t, 2> fds{};
};

class SocketCalls : public GuestTest {
 protected:
  SocketCalls() {
    container_->network = make_ref<net::Network>(make_ref<net::Sockets>(process_of_task));
  }
};

TEST_F(SocketCalls, ReceiveWaitsForBytes) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.fork([=](FakeGuest& own) {
      sleep_ms(own, 20);
      EXPECT_EQ(send(own, fds.second, 5), 5);
    });
    EXPECT_EQ(receive(guest, fds.first, 100), 5);
    EXPECT_EQ(receive(guest, fds.first, 100, MSG_DONTWAIT), -EAGAIN);
  });
}

TEST_F(SocketCalls, ReceiveGivesUpAtItsTimeout) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.put(kValue, timeval{.tv_sec = 0, .tv_usec = 30'000});
    EXPECT_EQ(guest.call(SYS_setsockopt, fds.first, SOL_SOCKET, SO_RCVTIMEO, kValue, 16), 0);
    std::int64_t begin = monotonic_ns();
    EXPECT_EQ(receive(guest, fds.first, 1), -EAGAIN);
    EXPECT_GE(monotonic_ns() - begin, 30'000'000);
  });
}

// Sends itself a signal from a child while it waits for bytes, which come after it.
std::int64_t receive_with_signal(FakeGuest& guest, const Pair& fds) {
  std::int64_t self = guest.call(SYS_getpid);
  guest.fork([=](FakeGuest& own) {
    sleep_ms(own, 20);
    own.call(SYS_kill, self, SIGUSR1);
    sleep_ms(own, 20);
    send(own, fds.second, 3);
  });
  return receive(guest, fds.first, 10);
}

TEST_F(SocketCalls, SignalsInterrupt) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) {}));
    EXPECT_EQ(receive_with_signal(guest, pair(guest)), -EINTR);
  });
}

TEST_F(SocketCalls, InterruptedCallsAreRestarted) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) {}), SA_RESTART);
    EXPECT_EQ(receive_with_signal(guest, pair(guest)), 3);
  });
}

TEST_F(SocketCalls, CallsWithATimeoutAreNotRestarted) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) {}), SA_RESTART);
    Pair fds = pair(guest);
    guest.put(kValue, timeval{.tv_sec = 60, .tv_usec = 0});
    guest.call(SYS_setsockopt, fds.first, SOL_SOCKET, SO_RCVTIMEO, kValue, 16);
    EXPECT_EQ(receive_with_signal(guest, fds), -EINTR);
  });
}

TEST_F(SocketCalls, BrokenPipesRaiseSigpipe) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              Pair fds = pair(guest);
              guest.call(SYS_shutdown, fds.first, SHUT_WR);
              EXPECT_EQ(send(guest, fds.first, 1, MSG_NOSIGNAL), -EPIPE);
              send(guest, fds.first, 1);
              ADD_FAILURE() << "still there";
            }),
            SIGPIPE);
}

TEST_F(SocketCalls, BlockingSendsAreTakenWhole) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.put(kValue, 4608);
    guest.call(SYS_setsockopt, fds.first, SOL_SOCKET, SO_SNDBUF, kValue, 4);
    std::int64_t child = guest.fork([=](FakeGuest& own) {
      std::int64_t got = 0;
      while (got < 200 * 900) {
        std::int64_t next = receive(own, fds.second, 900);
        if (next <= 0) break;
        got += next;
      }
      own.exit(got == 200 * 900 ? 5 : 6);
    });
    for (int i = 0; i < 200; ++i) EXPECT_EQ(send(guest, fds.first, 900), 900);
    EXPECT_EQ(wait_status(guest, child), 5 << 8);
  });
}

TEST_F(SocketCalls, WaitAllWaitsForAll) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.fork([=](FakeGuest& own) {
      for (int i = 0; i < 4; ++i) {
        send(own, fds.second, 5);
        sleep_ms(own, 2);
      }
    });
    EXPECT_EQ(receive(guest, fds.first, 20, MSG_WAITALL), 20);
  });
}

TEST_F(SocketCalls, DescriptorsArePassed) {
  run([](FakeGuest& guest) {
    Pair through = pair(guest);
    Pair passed = pair(guest);
    guest.put(kControl, ControlOfTwo{.fds = {passed.first, passed.second}});
    put_message(guest, kBytes, 1, 24);
    EXPECT_EQ(guest.call(SYS_sendmsg, through.first, kHeader, 0), 1);
    put_message(guest, kMore, 10, 24);
    EXPECT_EQ(guest.call(SYS_recvmsg, through.second, kHeader, MSG_CMSG_CLOEXEC), 1);
    auto header = guest.get<MessageHeader>(kHeader);
    EXPECT_EQ(header.control_length, 24U);
    auto control = guest.get<ControlOfTwo>(kControl);
    EXPECT_EQ(control.length, 24U);
    EXPECT_NE(control.fds[0], passed.first);
    EXPECT_EQ(send(guest, control.fds[0], 7), 7);
    EXPECT_EQ(receive(guest, passed.second, 100), 7);
  });
}

TEST_F(SocketCalls, DescriptorsWithoutRoomAreClosed) {
  run([](FakeGuest& guest) {
    Pair through = pair(guest);
    Pair passed = pair(guest);
    guest.put(kControl, ControlOfTwo{.fds = {passed.first, passed.second}});
    put_message(guest, kBytes, 1, 24);
    EXPECT_EQ(guest.call(SYS_sendmsg, through.first, kHeader, 0), 1);
    put_message(guest, kMore, 10, 20);
    EXPECT_EQ(guest.call(SYS_recvmsg, through.second, kHeader, 0), 1);
    auto header = guest.get<MessageHeader>(kHeader);
    EXPECT_EQ(header.flags & MSG_CTRUNC, static_cast<std::uint32_t>(MSG_CTRUNC));
    EXPECT_EQ(guest.get<ControlOfTwo>(kControl).length, 20U);
  });
}

TEST_F(SocketCalls, BadControlMessagesAreRefused) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    put_message(guest, kBytes, 1, 24);
    guest.put(kControl, ControlOfTwo{.length = 100});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EINVAL);
    guest.put(kControl, ControlOfTwo{.length = 8});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EINVAL);
    guest.put(kControl, ControlOfTwo{.type = 99});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EINVAL);
    guest.put(kControl, ControlOfTwo{.fds = {fds.first, 999}});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EBADF);
    put_message(guest, kBytes, 1, 200'000);
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -ENOBUFS);
  });
}

struct ControlOfCredentials {
  std::uint64_t length = 28;
  std::int32_t level = SOL_SOCKET, type = SCM_CREDENTIALS;
  ucred claimed{};
};

TEST_F(SocketCalls, CredentialsNameTheSender) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.put(kValue, 1);
    guest.call(SYS_setsockopt, fds.first, SOL_SOCKET, SO_PASSCRED, kValue, 4);
    std::int64_t child = guest.fork([=](FakeGuest& own) { send(own, fds.second, 1); });
    put_message(guest, kMore, 10, 32);
    EXPECT_EQ(guest.call(SYS_recvmsg, fds.first, kHeader, 0), 1);
    EXPECT_EQ(guest.get<ControlOfCredentials>(kControl).claimed.pid, child);
    EXPECT_EQ(guest.get<MessageHeader>(kHeader).control_length, 32U);
  });
}

TEST_F(SocketCalls, CredentialsCannotBeMadeUp) {
  auto plain = credentials->copy();
  plain->effective = 0;
  plain->uid = plain->euid = plain->suid = 9;
  credentials = plain;
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    auto self = static_cast<pid_t>(guest.call(SYS_getpid));
    put_message(guest, kBytes, 1, 32);
    guest.put(kControl, ControlOfCredentials{.claimed = {.pid = self, .uid = 9, .gid = 0}});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), 1);
    guest.put(kControl, ControlOfCredentials{.claimed = {.pid = self, .uid = 8, .gid = 0}});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EPERM);
    guest.put(kControl, ControlOfCredentials{.claimed = {.pid = 1, .uid = 9, .gid = 0}});
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EPERM);
  });
}

TEST_F(SocketCalls, PeerCredentialsAreOfThePairsMaker) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    guest.put(kLength, 12);
    EXPECT_EQ(guest.call(SYS_getsockopt, fds.first, SOL_SOCKET, SO_PEERCRED, kValue, kLength), 0);
    EXPECT_EQ(guest.get<ucred>(kValue).pid, guest.call(SYS_getpid));
  });
}

TEST_F(SocketCalls, TcpConnectWaitsAndAcceptToo) {
  run([](FakeGuest& guest) {
    std::int64_t server = guest.call(SYS_socket, AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    guest.put(kName, address);
    guest.put(kLength, 16);
    EXPECT_EQ(guest.call(SYS_bind, server, kName, 16), 0);
    EXPECT_EQ(guest.call(SYS_listen, server, 1), 0);
    EXPECT_EQ(guest.call(SYS_getsockname, server, kName, kLength), 0);
    guest.fork([=](FakeGuest& own) {
      std::int64_t client = own.call(SYS_socket, AF_INET, SOCK_STREAM, 0);
      sleep_ms(own, 10);
      EXPECT_EQ(own.call(SYS_connect, client, kName, 16), 0);
      EXPECT_EQ(send(own, static_cast<int>(client), 4), 4);
    });
    guest.put(kLength, 4);  // no room for all of the address
    std::int64_t accepted = guest.call(SYS_accept4, server, kValue, kLength, SOCK_CLOEXEC);
    EXPECT_GT(accepted, server);
    EXPECT_EQ(guest.get<int>(kLength), 16);
    EXPECT_EQ(receive(guest, static_cast<int>(accepted), 100), 4);
    EXPECT_EQ(receive(guest, static_cast<int>(accepted), 100), 0);
    guest.call(SYS_shutdown, server, SHUT_RD);
    std::int64_t late = guest.call(SYS_socket, AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(guest.call(SYS_connect, late, kName, 16), -ECONNREFUSED);
  });
}

TEST_F(SocketCalls, SeveralMessagesInOneCall) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest, SOCK_DGRAM);
    for (std::uint64_t i = 0; i < 3; ++i) {
      guest.put(kVector + i * 16, std::array<std::uint64_t, 2>{kBytes, i + 1});
      guest.put(kControl + i * 64, MessageHeader{.segments = kVector + i * 16, .segment_count = 1});
    }
    EXPECT_EQ(guest.call(SYS_sendmmsg, fds.first, kControl, 3, 0), 3);
    EXPECT_EQ(guest.get<int>(kControl + 2 * 64 + 56), 3);
    EXPECT_EQ(guest.call(SYS_recvmmsg, fds.second, kControl, 3, MSG_WAITFORONE, 0), 3);
    EXPECT_EQ(guest.call(SYS_recvmmsg, fds.second, kControl, 3, MSG_DONTWAIT, 0), -EAGAIN);
  });
}

TEST_F(SocketCalls, Errors) {
  run([](FakeGuest& guest) {
    Pair fds = pair(guest);
    std::int64_t event = guest.call(SYS_eventfd2, 0, 0);
    EXPECT_EQ(guest.call(SYS_listen, 999, 1), -EBADF);
    EXPECT_EQ(guest.call(SYS_listen, event, 1), -ENOTSOCK);
    EXPECT_EQ(guest.call(SYS_socket, AF_UNIX, SOCK_STREAM | 0x10000, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_accept4, fds.first, 0, 0, 0x10000), -EINVAL);
    EXPECT_EQ(guest.call(SYS_shutdown, fds.first, 3), -EINVAL);
    EXPECT_EQ(guest.call(SYS_bind, fds.first, kName, 129), -EINVAL);
    EXPECT_EQ(guest.call(SYS_bind, fds.first, 8, 16), -EFAULT);
    EXPECT_EQ(guest.call(SYS_sendto, fds.first, 8, 16, 0, 0, 0), -EFAULT);
    EXPECT_EQ(guest.call(SYS_getsockname, fds.first, kName, 8), -EFAULT);
    guest.put(kLength, -1);
    EXPECT_EQ(guest.call(SYS_getsockname, fds.first, kName, kLength), -EINVAL);
    EXPECT_EQ(guest.call(SYS_setsockopt, fds.first, SOL_SOCKET, SO_SNDBUF, kValue, -1), -EINVAL);
    put_message(guest, kBytes, 1, 0);
    auto header = guest.get<MessageHeader>(kHeader);
    header.segment_count = 1025;
    guest.put(kHeader, header);
    EXPECT_EQ(guest.call(SYS_sendmsg, fds.first, kHeader, 0), -EMSGSIZE);
  });
}

TEST_F(SocketCalls, PairThatCannotBeToldIsClosed) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8), -EFAULT);
    EXPECT_EQ(guest.call(SYS_socketpair, AF_INET, SOCK_STREAM, 0, kFds), -EOPNOTSUPP);
    EXPECT_EQ(pair(guest).first, 0);  // all numbers are free
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls
