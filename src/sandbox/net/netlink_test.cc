// Netlink sockets: what the C library and ip(8) ask.
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cstring>

#include <gtest/gtest.h>

#include "sandbox/net/interface_ioctl.h"
#include "sandbox/net/net_fixture_test.h"
#include "sandbox/net/netlink_route.h"

namespace caisson::sandbox::net {
namespace {

template <typename Body>
std::string request(std::uint16_t type, std::uint16_t flags, const Body& body,
                    const std::string& attributes = "") {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + sizeof body + attributes.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  header.nlmsg_seq = 77;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) +
         std::string(reinterpret_cast<const char*>(&body), sizeof body) + attributes;
}

struct Answer {
  nlmsghdr header;
  std::string payload;
  template <typename Body>
  Body body() const {
    Body body{};
    std::memcpy(&body, payload.data(), std::min(payload.size(), sizeof body));
    return body;
  }
  std::string attribute(std::size_t behind, int type) const {
    std::size_t at = (behind + 3) & ~std::size_t{3};
    while (at + sizeof(rtattr) <= payload.size()) {
      rtattr header_of;
      std::memcpy(&header_of, payload.data() + at, sizeof header_of);
      if (header_of.rta_type == type)
        return payload.substr(at + sizeof header_of, header_of.rta_len - sizeof header_of);
      at += (header_of.rta_len + 3U) & ~3U;
    }
    return "absent";
  }
};

std::vector<Answer> parse(const std::vector<std::string>& datagrams) {
  std::vector<Answer> answers;
  for (const auto& datagram : datagrams) {
    std::size_t at = 0;
    while (at + sizeof(nlmsghdr) <= datagram.size()) {
      Answer answer;
      std::memcpy(&answer.header, datagram.data() + at, sizeof answer.header);
      answer.payload =
          datagram.substr(at + sizeof(nlmsghdr), answer.header.nlmsg_len - sizeof(nlmsghdr));
      answers.push_back(answer);
      at += (answer.header.nlmsg_len + 3U) & ~3U;
    }
  }
  return answers;
}

std::vector<Answer> ask(const std::string& message, const Topology& topology = loopback_only()) {
  return parse(answer_route_messages(topology, std::as_bytes(std::span(message)), 5));
}

int error_of(const Answer& answer) {
  EXPECT_EQ(answer.header.nlmsg_type, NLMSG_ERROR);
  return -answer.body<nlmsgerr>().error;
}

TEST(NetlinkRoute, DumpOfLinks) {
  auto answers = ask(request(RTM_GETLINK, NLM_F_DUMP, rtgenmsg{}));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].header.nlmsg_type, RTM_NEWLINK);
  EXPECT_EQ(answers[0].header.nlmsg_flags, NLM_F_MULTI);
  EXPECT_EQ(answers[0].header.nlmsg_seq, 77U);
  EXPECT_EQ(answers[0].header.nlmsg_pid, 5U);
  EXPECT_EQ(answers[0].body<ifinfomsg>().ifi_index, 1);
  EXPECT_EQ(answers[0].attribute(sizeof(ifinfomsg), IFLA_IFNAME), std::string("lo\0", 3));
  EXPECT_EQ(answers[1].header.nlmsg_type, NLMSG_DONE);
}

TEST(NetlinkRoute, DumpOfAddressesByFamily) {
  auto all = ask(request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}));
  ASSERT_EQ(all.size(), 3U);
  ifaddrmsg wanted{};
  wanted.ifa_family = AF_INET6;
  auto answers = ask(request(RTM_GETADDR, NLM_F_DUMP, wanted));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].body<ifaddrmsg>().ifa_prefixlen, 128);
  EXPECT_EQ(answers[0].attribute(sizeof(ifaddrmsg), IFA_ADDRESS).size(), 16U);
}

TEST(NetlinkRoute, OneLinkByIndexOrName) {
  ifinfomsg wanted{};
  wanted.ifi_index = 1;
  EXPECT_EQ(ask(request(RTM_GETLINK, 0, wanted))[0].header.nlmsg_type, RTM_NEWLINK);
  wanted.ifi_index = 9;
  EXPECT_EQ(error_of(ask(request(RTM_GETLINK, 0, wanted))[0]), ENODEV);
  wanted.ifi_index = 0;
  rtattr name{.rta_len = 7, .rta_type = IFLA_IFNAME};
  std::string attribute(reinterpret_cast<const char*>(&name), sizeof name);
  auto answers = ask(request(RTM_GETLINK, 0, wanted, attribute + std::string("lo\0\0", 4)));
  EXPECT_EQ(answers[0].header.nlmsg_type, RTM_NEWLINK);
}

TEST(NetlinkRoute, AcknowledgesWhenAsked) {
  ifinfomsg wanted{};
  wanted.ifi_index = 1;
  auto answers = ask(request(RTM_GETLINK, NLM_F_ACK, wanted));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(error_of(answers[1]), 0);
}

TEST(NetlinkRoute, SettingUpWhatIsUp) {
  ifinfomsg wanted{};
  wanted.ifi_index = 1;
  wanted.ifi_flags = wanted.ifi_change = IFF_UP;
  EXPECT_EQ(error_of(ask(request(RTM_NEWLINK, NLM_F_ACK, wanted))[0]), 0);
  wanted.ifi_flags = 0;
  EXPECT_EQ(error_of(ask(request(RTM_NEWLINK, NLM_F_ACK, wanted))[0]), EPERM);
}

TEST(NetlinkRoute, ChangesAreRefused) {
  EXPECT_EQ(error_of(ask(request(RTM_NEWADDR, 0, ifaddrmsg{}))[0]), EPERM);
  EXPECT_EQ(error_of(ask(request(RTM_DELROUTE, 0, rtmsg{}))[0]), EPERM);
}

Topology with_default_route() {
  Topology topology = loopback_only();
  Interface eth{.index = 2, .name = "eth0", .flags = IFF_UP | IFF_RUNNING, .mtu = 1500};
  eth.addresses.push_back({.family = AF_INET,
                           .prefix_length = 24,
                           .address = std::string("\x0a\0\0\x02", 4),
                           .broadcast = std::string("\x0a\0\0\xff", 4)});
  topology.interfaces.push_back(eth);
  topology.routes.push_back(
      {.family = AF_INET, .gateway = std::string("\x0a\0\0\x01", 4), .interface = 2});
  topology.routes.push_back({.family = AF_INET,
                             .prefix_length = 24,
                             .destination = std::string("\x0a\0\0\0", 4),
                             .source = std::string("\x0a\0\0\x02", 4),
                             .interface = 2});
  return topology;
}

std::string route_request(const std::string& destination) {
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  wanted.rtm_dst_len = 32;
  rtattr header{.rta_len = 8, .rta_type = RTA_DST};
  return request(RTM_GETROUTE, 0, wanted,
                 std::string(reinterpret_cast<const char*>(&header), sizeof header) + destination);
}

TEST(NetlinkRoute, DumpOfRoutes) {
  EXPECT_EQ(ask(request(RTM_GETROUTE, NLM_F_DUMP, rtmsg{})).size(), 1U);
  EXPECT_EQ(ask(request(RTM_GETROUTE, NLM_F_DUMP, rtmsg{}), with_default_route()).size(), 3U);
}

TEST(NetlinkRoute, WayToOneDestination) {
  auto topology = with_default_route();
  auto far = ask(route_request("\x08\x08\x08\x08"), topology);
  EXPECT_EQ(far[0].attribute(sizeof(rtmsg), RTA_GATEWAY), std::string("\x0a\0\0\x01", 4));
  auto near = ask(route_request(std::string("\x0a\0\0\x07", 4)), topology);
  EXPECT_EQ(near[0].attribute(sizeof(rtmsg), RTA_GATEWAY), "absent");
  EXPECT_EQ(near[0].attribute(sizeof(rtmsg), RTA_PREFSRC), std::string("\x0a\0\0\x02", 4));
  auto own = ask(route_request(std::string("\x0a\0\0\x02", 4)), topology);
  EXPECT_EQ(own[0].body<rtmsg>().rtm_type, RTN_LOCAL);
  EXPECT_EQ(error_of(ask(route_request("\x08\x08\x08\x08"))[0]), ENETUNREACH);
}

TEST(NetlinkRoute, BrokenMessagesAreLeftOut) {
  std::string good = request(RTM_GETLINK, NLM_F_DUMP, rtgenmsg{});
  EXPECT_TRUE(ask(good.substr(0, 10)).empty());
  std::string longer = good;
  longer[0] = 127;
  EXPECT_TRUE(ask(longer).empty());
  std::string shorter = good;
  shorter[0] = 3;
  EXPECT_TRUE(ask(shorter).empty());
}

class NetlinkSocket : public testing::Test {
 protected:
  ErrnoOr<std::size_t> send(Socket& socket, const std::string& bytes) {
    auto data = vfs::IoBuffer::of(std::as_bytes(std::span(bytes)));
    return socket.write(data, net_.caller());
  }
  TestNetwork net_;
};

TEST_F(NetlinkSocket, AnswersAreReadOneDatagramAtATime) {
  auto socket = MUST(net_.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  EXPECT_EQ(socket->ready() & POLLIN, 0U);
  ASSERT_TRUE(send(*socket, request(RTM_GETLINK, NLM_F_DUMP, rtgenmsg{})));
  EXPECT_NE(socket->ready() & POLLIN, 0U);
  std::vector<std::byte> bytes(4096);
  auto data = vfs::IoBuffer::of(std::span<std::byte>(bytes));
  EXPECT_GT(MUST(socket->read(data, net_.caller())), 100U);
  auto rest = vfs::IoBuffer::of(std::span<std::byte>(bytes));
  EXPECT_EQ(MUST(socket->read(rest, net_.caller())), 20U);
  auto none = socket->read(rest, net_.caller());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().value, EAGAIN);
}

TEST_F(NetlinkSocket, PortsAreUnique) {
  auto first = MUST(net_.socket(AF_NETLINK, SOCK_RAW));
  auto second = MUST(net_.socket(AF_NETLINK, SOCK_RAW));
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  MUST(first->endpoint().bind(Address::of(any), net_));
  MUST(second->endpoint().bind(Address::of(any), net_));
  auto one = MUST(first->endpoint().local_address()).as<sockaddr_nl>();
  auto two = MUST(second->endpoint().local_address()).as<sockaddr_nl>();
  EXPECT_EQ(one.nl_pid, 1U);  // the process
  EXPECT_NE(two.nl_pid, one.nl_pid);
  any.nl_pid = one.nl_pid;
  auto third = MUST(net_.socket(AF_NETLINK, SOCK_RAW));
  auto taken = third->endpoint().bind(Address::of(any), net_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().value, EADDRINUSE);
  first = nullptr;
  MUST(third->endpoint().bind(Address::of(any), net_));
}

TEST_F(NetlinkSocket, OtherProtocolsAreNotThere) {
  auto refused = net_.socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().value, EPROTONOSUPPORT);
  EXPECT_TRUE(net_.socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
}

class InterfaceIoctl : public testing::Test {
 protected:
  ErrnoOr<std::int64_t> ask(std::uint32_t number, void* argument) {
    return interface_ioctl(net_.network(), net_.caller(), number,
                           reinterpret_cast<std::uint64_t>(argument));
  }
  static ifreq named(const char* name) {
    ifreq entry{};
    std::strncpy(entry.ifr_name, name, IFNAMSIZ - 1);
    return entry;
  }
  TestNetwork net_;
};

TEST_F(InterfaceIoctl, FactsAboutTheLoopback) {
  ifreq entry = named("lo");
  MUST(ask(SIOCGIFINDEX, &entry));
  EXPECT_EQ(entry.ifr_ifindex, 1);
  MUST(ask(SIOCGIFNAME, &entry));
  EXPECT_STREQ(entry.ifr_name, "lo");
  MUST(ask(SIOCGIFFLAGS, &entry));
  EXPECT_EQ(entry.ifr_flags, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
  MUST(ask(SIOCGIFMTU, &entry));
  EXPECT_EQ(entry.ifr_mtu, 65536);
  MUST(ask(SIOCGIFNETMASK, &entry));
  sockaddr_in mask;
  std::memcpy(&mask, &entry.ifr_netmask, sizeof mask);
  EXPECT_EQ(ntohl(mask.sin_addr.s_addr), 0xff000000U);
}

TEST_F(InterfaceIoctl, ListOfInterfaces) {
  ifconf list{};
  MUST(ask(SIOCGIFCONF, &list));
  EXPECT_EQ(list.ifc_len, static_cast<int>(sizeof(ifreq)));
  ifreq entries[3];
  list.ifc_len = sizeof entries;
  list.ifc_req = entries;
  MUST(ask(SIOCGIFCONF, &list));
  EXPECT_EQ(list.ifc_len, static_cast<int>(sizeof(ifreq)));
  EXPECT_STREQ(entries[0].ifr_name, "lo");
}

TEST_F(InterfaceIoctl, Errors) {
  ifreq entry = named("eth9");
  EXPECT_EQ(ask(SIOCGIFINDEX, &entry).error().value, ENODEV);
  EXPECT_EQ(ask(SIOCSIFFLAGS, &entry).error().value, EPERM);
  EXPECT_EQ(ask(0x1234, &entry).error().value, ENOTTY);
  EXPECT_EQ(ask(SIOCGIFINDEX, nullptr).error().value, EFAULT);
}

}  // namespace
}  // namespace caisson::sandbox::net
