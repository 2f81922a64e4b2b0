#include "sandbox/net/proc_text.h"

#include <netinet/in.h>

#include <gmock/gmock.h>

#include "sandbox/net/net_fixture_test.h"

namespace caisson::sandbox::net {
namespace {

using testing::HasSubstr;

class ProcNet : public testing::Test {
 protected:
  std::string text(std::string_view name) {
    return proc_net_text(net_.network(), name).value_or("absent");
  }
  TestNetwork net_;
};

TEST_F(ProcNet, UnixSocketsWithNames) {
  auto socket = MUST(net_.socket(AF_UNIX, SOCK_STREAM));
  MUST(socket->endpoint().bind(Address::unix_name(std::string("\0some\0name", 10)), net_));
  MUST(socket->endpoint().listen(1, net_));
  EXPECT_THAT(text("unix"), HasSubstr(" 00000000 00010000 0001 01 "));
  EXPECT_THAT(text("unix"), HasSubstr(" @some@name\n"));
}

TEST_F(ProcNet, ListeningTcpSocket) {
  auto socket = MUST(net_.socket(AF_INET, SOCK_STREAM));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8080);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  MUST(socket->endpoint().bind(Address::of(address), net_));
  MUST(socket->endpoint().listen(1, net_));
  EXPECT_THAT(text("tcp"), HasSubstr("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 "));
  EXPECT_EQ(text("udp").find("1F90"), std::string::npos);
}

TEST_F(ProcNet, SocketsOfIpv6AreApart) {
  auto socket = MUST(net_.socket(AF_INET6, SOCK_DGRAM));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(53000);
  address.sin6_addr = in6addr_loopback;
  MUST(socket->endpoint().bind(Address::of(address), net_));
  EXPECT_THAT(text("udp6"), HasSubstr("00000000000000000000000001000000:CF08 "));
  EXPECT_EQ(text("udp").find("CF08"), std::string::npos);
}

TEST_F(ProcNet, InterfacesAndRoutes) {
  EXPECT_THAT(text("dev"), HasSubstr("    lo:       0"));
  EXPECT_THAT(text("route"), HasSubstr("Iface\tDestination"));
  EXPECT_EQ(text("nothing"), "absent");
}

}  // namespace
}  // namespace caisson::sandbox::net
