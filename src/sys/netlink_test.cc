#include "sys/netlink.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

#include <gtest/gtest.h>

namespace caisson::sys {
namespace {

template <typename T>
std::string bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string attribute(std::uint16_t type, std::string value) {
  rtattr header{static_cast<std::uint16_t>(sizeof(rtattr) + value.size()), type};
  std::string out = bytes(header) + value;
  out.resize(RTA_ALIGN(out.size()));
  return out;
}

TEST(Netlink, ReadsALink) {
  ifinfomsg header{};
  header.ifi_index = 7;
  header.ifi_flags = IFF_UP;
  auto link = parse_link(bytes(header) + attribute(IFLA_MTU, "1234") +
                         attribute(IFLA_IFNAME, std::string("eth0\0", 5)));
  ASSERT_TRUE(link);
  EXPECT_EQ(link->index, 7);
  EXPECT_EQ(link->flags, static_cast<unsigned>(IFF_UP));
  EXPECT_EQ(link->name, "eth0");
}

TEST(Netlink, ReadsAnAddressWithAllItsFlags) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 24;
  header.ifa_index = 3;
  header.ifa_flags = IFA_F_PERMANENT;
  std::uint32_t flags = IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE;
  auto address = parse_address(bytes(header) + attribute(IFA_LOCAL, "\x0a\1\1\1") +
                               attribute(IFA_FLAGS, bytes(flags)));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->index, 3);
  EXPECT_EQ(address->prefix_length, 24);
  EXPECT_EQ(address->local, "\x0a\1\1\1");
  EXPECT_EQ(address->flags, flags);
}

TEST(Netlink, RefusesWhatIsCutShort) {
  EXPECT_FALSE(parse_link("short"));
  std::string text = bytes(ifinfomsg{}) + attribute(IFLA_IFNAME, "eth0");
  EXPECT_FALSE(parse_link(std::string_view(text).substr(0, text.size() - 2)));
  rtattr endless{0, IFLA_IFNAME};
  EXPECT_FALSE(parse_link(bytes(ifinfomsg{}) + bytes(endless)));
}

TEST(Netlink, FindsTheLoopback) {
  auto socket = RouteSocket::open();
  ASSERT_TRUE(socket);
  auto loopback = socket->link("lo");
  ASSERT_TRUE(loopback);
  EXPECT_EQ(loopback->index, 1);
  auto none = socket->link("no-such-device");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().value, ENODEV);
}

}  // namespace
}  // namespace caisson::sys
