// Options of SOL_SOCKET have the values and errors that this host's kernel has for them.
#include <sys/time.h>

#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {
namespace {

// What both have the same way. Left out: filters and programs (none here), the options of newer
// kernels that older ones lack, SO_COOKIE (another number), SO_MEMINFO and SO_TXTIME (of packets).
constexpr int kComparable[] = {
    SO_DEBUG,
    SO_REUSEADDR,
    SO_TYPE,
    SO_ERROR,
    SO_DONTROUTE,
    SO_BROADCAST,
    SO_SNDBUF,
    SO_RCVBUF,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_NO_CHECK,
    SO_PRIORITY,
    SO_LINGER,
    SO_BSDCOMPAT,
    SO_REUSEPORT,
    SO_PASSCRED,
    SO_RCVLOWAT,
    SO_SNDLOWAT,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SO_PEERNAME,
    SO_TIMESTAMP,
    SO_ACCEPTCONN,
    SO_PEERSEC,
    SO_PASSSEC,
    SO_TIMESTAMPNS,
    SO_PROTOCOL,
    SO_DOMAIN,
    SO_RXQ_OVFL,
    SO_PEEK_OFF,
    SO_NOFCS,
    SO_LOCK_FILTER,
    SO_MAX_PACING_RATE,
    SO_BPF_EXTENSIONS,
    SO_INCOMING_CPU,
    SO_DETACH_FILTER,
    SO_BINDTOIFINDEX,
    22,
    23,
    24,
    78,
};

class SocketOptionsOf : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(SocketOptionsOf, FirstValues) {
  expect_same([](Script& s) {
    int a = s.socket(GetParam().first, GetParam().second);
    for (int name : kComparable) s.get(a, SOL_SOCKET, name);
  });
}

TEST_P(SocketOptionsOf, SetAndGet) {
  for (int name : kComparable) {
    expect_same([name](Script& s) {
      int a = s.socket(GetParam().first, GetParam().second);
      s.set_bytes(a, SOL_SOCKET, name, std::string("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
      s.get(a, SOL_SOCKET, name);
      s.set_bytes(a, SOL_SOCKET, name, std::string("\1\0", 2));
      s.set_bytes(a, SOL_SOCKET, name, std::string(16, '\0'));
      s.get(a, SOL_SOCKET, name, 2);
      s.get(a, SOL_SOCKET, name, 0);
    });
  }
}

TEST_P(SocketOptionsOf, BufferSizes) {
  expect_same([](Script& s) {
    int a = s.socket(GetParam().first, GetParam().second);
    for (int name : {SO_SNDBUF, SO_RCVBUF}) {
      for (int value : {0, 1, 3000, 100000, -1}) {
        s.set(a, SOL_SOCKET, name, value);
        s.get(a, SOL_SOCKET, name);
      }
    }
  });
}

TEST_P(SocketOptionsOf, Timeouts) {
  expect_same([](Script& s) {
    int a = s.socket(GetParam().first, GetParam().second);
    const timeval values[] = {{1, 500000}, {0, 0}, {0, 1000000}, {0, -1}, {-1, 0}, {5, 0}};
    for (int name : {SO_RCVTIMEO, SO_SNDTIMEO})
      for (const timeval& value : values) s.set_bytes(a, SOL_SOCKET, name, option_bytes(value));
    s.get(a, SOL_SOCKET, SO_RCVTIMEO);
  });
}

TEST_P(SocketOptionsOf, NumbersOutOfRange) {
  expect_same([](Script& s) {
    int a = s.socket(GetParam().first, GetParam().second);
    for (int name : {SO_RCVLOWAT, SO_PRIORITY}) {
      for (int value : {-1, 0, 6}) {
        s.set(a, SOL_SOCKET, name, value);
        s.get(a, SOL_SOCKET, name);
      }
    }
  });
}

TEST_P(SocketOptionsOf, OtherLevels) {
  expect_same([](Script& s) {
    int a = s.socket(GetParam().first, GetParam().second);
    for (int level : {270, 999, int{IPPROTO_IPV6}, int{IPPROTO_TCP}, int{IPPROTO_UDP}}) {
      s.set(a, level, 997, 1);
      s.get(a, level, 997);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(
    Families, SocketOptionsOf,
    testing::Values(std::pair(AF_UNIX, SOCK_STREAM), std::pair(AF_UNIX, SOCK_DGRAM),
                    std::pair(AF_UNIX, SOCK_SEQPACKET), std::pair(AF_INET, SOCK_STREAM),
                    std::pair(AF_INET, SOCK_DGRAM), std::pair(AF_INET6, SOCK_STREAM)));

}  // namespace
}  // namespace caisson::sandbox::net
