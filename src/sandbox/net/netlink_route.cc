#include "sandbox/net/netlink_route.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kDatagram = 4000;      // glibc reads them into a page
constexpr std::uint32_t kLowerUp = 1 << 16;  // IFF_LOWER_UP of <linux/if.h>

template <typename T>
std::string_view raw(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// One message under construction; its length is filled in at the end.
class Message {
 public:
  template <typename Body>
  Message(const nlmsghdr& request, std::uint16_t type, std::uint16_t flags, std::uint32_t port,
          const Body& body) {
    nlmsghdr header{.nlmsg_len = 0,
                    .nlmsg_type = type,
                    .nlmsg_flags = flags,
                    .nlmsg_seq = request.nlmsg_seq,
                    .nlmsg_pid = port};
    bytes_ += raw(header);
    bytes_ += raw(body);
    pad();
  }
  void attribute(std::uint16_t type, std::string_view value) {
    rtattr header{.rta_len = static_cast<std::uint16_t>(sizeof(rtattr) + value.size()),
                  .rta_type = type};
    bytes_ += raw(header);
    bytes_ += value;
    pad();
  }
  template <typename T>
    requires std::is_integral_v<T>
  void attribute(std::uint16_t type, T value) {
    attribute(type, raw(value));
  }
  void text(std::uint16_t type, const std::string& value) {
    attribute(type, std::string_view(value.c_str(), value.size() + 1));
  }
  std::string take() {
    auto length = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    return std::move(bytes_);
  }

 private:
  void pad() { bytes_.resize(aligned(bytes_.size())); }
  std::string bytes_;
};

// One request of a guest, whose lengths have been checked.
class Request {
 public:
  Request(const nlmsghdr& header, std::span<const std::byte> payload)
      : header_(header), payload_(payload) {}
  const nlmsghdr& header() const { return header_; }
  bool is_dump() const { return (header_.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP; }

  // The fixed part; zeroes for what is missing.
  template <typename Body>
  Body body() const {
    Body body{};
    std::memcpy(&body, payload_.data(), std::min(payload_.size(), sizeof body));
    return body;
  }
  // An attribute behind a fixed part of that size.
  std::optional<std::string_view> attribute(std::size_t behind, std::uint16_t type) const {
    behind = aligned(behind);
    if (behind >= payload_.size()) return std::nullopt;
    auto rest = payload_.subspan(behind);
    while (rest.size() >= sizeof(rtattr)) {
      rtattr header;
      std::memcpy(&header, rest.data(), sizeof header);
      if (header.rta_len < sizeof header || header.rta_len > rest.size()) return std::nullopt;
      auto value = rest.subspan(sizeof header, header.rta_len - sizeof header);
      if (header.rta_type == type)
        return std::string_view(reinterpret_cast<const char*>(value.data()), value.size());
      rest = rest.subspan(std::min(rest.size(), aligned(header.rta_len)));
    }
    return std::nullopt;
  }

 private:
  nlmsghdr header_;
  std::span<const std::byte> payload_;
};

// Collects the answers to one datagram.
class Answers {
 public:
  Answers(const Topology& topology, std::uint32_t port) : topology_(topology), port_(port) {}

  void answer(const Request& request) {
    const nlmsghdr& header = request.header();
    if (header.nlmsg_type < RTM_BASE) {  // of netlink itself: nothing is asked
      if ((header.nlmsg_flags & NLM_F_ACK) != 0) acknowledge(request, 0);
      return;
    }
    int error = serve(request);
    bool dumped = error == 0 && request.is_dump() && (header.nlmsg_type & 3) == 2;
    if (dumped) return finish_dump(request);
    flush();
    if (error != 0 || (header.nlmsg_flags & NLM_F_ACK) != 0) acknowledge(request, error);
  }
  std::vector<std::string> take() { return std::move(datagrams_); }

 private:
  int serve(const Request& request);
  int links(const Request& request);
  int change_link(const Request& request) const;
  int addresses(const Request& request);
  int routes(const Request& request);
  int route_to(const Request& request, const rtmsg& wanted);
  const Interface* find(const Request& request) const;

  void add_link(const Request& request, const Interface& interface);
  void add_address(const Request& request, const Interface& interface,
                   const InterfaceAddress& address);
  void add_route(const Request& request, const Route& route, std::uint8_t type);

  std::uint16_t flags(const Request& request) const { return request.is_dump() ? NLM_F_MULTI : 0; }
  void add(std::string message) {
    if (!pending_.empty() && pending_.size() + message.size() > kDatagram) flush();
    pending_ += message;
  }
  void flush() {
    if (!pending_.empty()) datagrams_.push_back(std::move(pending_));
    pending_.clear();
  }
  void finish_dump(const Request& request) {
    flush();
    std::int32_t error = 0;
    add(Message(request.header(), NLMSG_DONE, NLM_F_MULTI, port_, error).take());
    flush();
  }
  void acknowledge(const Request& request, int error) {
    nlmsgerr body{.error = -error, .msg = request.header()};
    add(Message(request.header(), NLMSG_ERROR, 0, port_, body).take());
    flush();
  }

  const Topology& topology_;
  std::uint32_t port_;
  std::string pending_;
  std::vector<std::string> datagrams_;
};

int Answers::serve(const Request& request) {
  switch (request.header().nlmsg_type) {
    case RTM_GETLINK: return links(request);
    case RTM_GETADDR: return addresses(request);
    case RTM_GETROUTE: return routes(request);
    case RTM_NEWLINK: return change_link(request);
    // Nobody else is on these wires, and no rule stands before the tables.
    case RTM_GETNEIGH:
    case RTM_GETNEIGHTBL:
    case RTM_GETRULE:
    case RTM_GETQDISC: return request.is_dump() ? 0 : EOPNOTSUPP;
    default:
      // What would change something; the network is as it was given.
      return (request.header().nlmsg_type & 3) == 2 ? EOPNOTSUPP : EPERM;
  }
}

const Interface* Answers::find(const Request& request) const {
  auto wanted = request.body<ifinfomsg>();
  auto name = request.attribute(sizeof wanted, IFLA_IFNAME);
  if (name) name = name->substr(0, name->find('\0'));
  for (const auto& interface : topology_.interfaces) {
    if (wanted.ifi_index != 0 && interface.index == wanted.ifi_index) return &interface;
    if (wanted.ifi_index == 0 && name && interface.name == *name) return &interface;
  }
  return nullptr;
}

int Answers::links(const Request& request) {
  if (request.is_dump()) {
    for (const auto& interface : topology_.interfaces) add_link(request, interface);
    return 0;
  }
  const Interface* interface = find(request);
  if (interface == nullptr) return ENODEV;
  add_link(request, *interface);
  return 0;
}

// Setting a link up that is up already changes nothing.
int Answers::change_link(const Request& request) const {
  const Interface* interface = find(request);
  if (interface == nullptr) return ENODEV;
  auto wanted = request.body<ifinfomsg>();
  bool same = ((wanted.ifi_flags ^ interface->flags) & wanted.ifi_change) == 0;
  return wanted.ifi_change == IFF_UP && same ? 0 : EPERM;
}

void Answers::add_link(const Request& request, const Interface& interface) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_type = interface.hardware_type;
  body.ifi_index = interface.index;
  body.ifi_flags = interface.flags;
  bool loops = (interface.flags & IFF_LOOPBACK) != 0;
  if ((interface.flags & IFF_RUNNING) != 0) body.ifi_flags |= kLowerUp;
  Message message(request.header(), RTM_NEWLINK, flags(request), port_, body);
  message.text(IFLA_IFNAME, interface.name);
  message.attribute(IFLA_TXQLEN, std::uint32_t{1000});
  message.attribute(IFLA_OPERSTATE, static_cast<std::uint8_t>(loops ? 0 : 6));  // unknown, up
  message.attribute(IFLA_LINKMODE, std::uint8_t{0});
  message.attribute(IFLA_MTU, interface.mtu);
  message.attribute(IFLA_GROUP, std::uint32_t{0});
  message.attribute(IFLA_PROMISCUITY, std::uint32_t{0});
  message.attribute(IFLA_NUM_TX_QUEUES, std::uint32_t{1});
  message.attribute(IFLA_NUM_RX_QUEUES, std::uint32_t{1});
  message.attribute(IFLA_CARRIER, std::uint8_t{1});
  message.text(IFLA_QDISC, "noqueue");
  std::array<std::uint8_t, 6> everybody{};
  if (!loops) everybody.fill(0xff);
  message.attribute(IFLA_ADDRESS, raw(interface.hardware_address));
  message.attribute(IFLA_BROADCAST, raw(everybody));
  message.attribute(IFLA_STATS64, raw(rtnl_link_stats64{}));
  message.attribute(IFLA_STATS, raw(rtnl_link_stats{}));
  add(message.take());
}

int Answers::addresses(const Request& request) {
  auto wanted = request.body<ifaddrmsg>();
  if (!request.is_dump()) return EOPNOTSUPP;
  for (const auto& interface : topology_.interfaces)
    for (const auto& address : interface.addresses)
      if (wanted.ifa_family == AF_UNSPEC || wanted.ifa_family == address.family)
        add_address(request, interface, address);
  return 0;
}

void Answers::add_address(const Request& request, const Interface& interface,
                          const InterfaceAddress& address) {
  ifaddrmsg body{};
  body.ifa_family = static_cast<std::uint8_t>(address.family);
  body.ifa_prefixlen = address.prefix_length;
  body.ifa_flags = static_cast<std::uint8_t>(address.flags);
  body.ifa_scope = address.scope;
  body.ifa_index = static_cast<std::uint32_t>(interface.index);
  Message message(request.header(), RTM_NEWADDR, flags(request), port_, body);
  message.attribute(IFA_ADDRESS, address.address);
  if (address.family == AF_INET) {
    message.attribute(IFA_LOCAL, address.address);
    if (!address.broadcast.empty()) message.attribute(IFA_BROADCAST, address.broadcast);
    message.text(IFA_LABEL, interface.name);
  }
  message.attribute(IFA_FLAGS, address.flags);
  ifa_cacheinfo forever{.ifa_prefered = ~0U, .ifa_valid = ~0U, .cstamp = 0, .tstamp = 0};
  message.attribute(IFA_CACHEINFO, raw(forever));
  add(message.take());
}

int Answers::routes(const Request& request) {
  auto wanted = request.body<rtmsg>();
  if (!request.is_dump()) return route_to(request, wanted);
  for (const auto& route : topology_.routes)
    if (wanted.rtm_family == AF_UNSPEC || wanted.rtm_family == route.family)
      add_route(request, route, RTN_UNICAST);
  return 0;
}

bool matches(const Route& route, std::string_view destination) {
  if (route.prefix_length > destination.size() * 8) return false;
  for (std::size_t bit = 0; bit < route.prefix_length; ++bit) {
    auto byte = static_cast<unsigned char>(destination[bit / 8]);
    auto other = bit / 8 < route.destination.size()
                     ? static_cast<unsigned char>(route.destination[bit / 8])
                     : 0;
    if (((byte ^ other) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

// RTM_GETROUTE for one destination: which way packets would go.
int Answers::route_to(const Request& request, const rtmsg& wanted) {
  auto destination = request.attribute(sizeof wanted, RTA_DST);
  std::size_t size = wanted.rtm_family == AF_INET ? 4 : 16;
  if (!destination || destination->size() != size) return EINVAL;
  Route found{.family = wanted.rtm_family,
              .prefix_length = static_cast<std::uint8_t>(size * 8),
              .destination = std::string(*destination),
              .gateway = {},
              .source = {},
              .interface = 1};
  for (const auto& interface : topology_.interfaces) {
    for (const auto& address : interface.addresses) {
      bool loopback = size == 4 && (*destination)[0] == 127 && interface.index == 1;
      if (address.family != wanted.rtm_family) continue;
      if (address.address != *destination && !loopback) continue;
      found.source = address.address;
      add_route(request, found, RTN_LOCAL);
      return 0;
    }
  }
  const Route* best = nullptr;
  for (const auto& route : topology_.routes)
    if (route.family == wanted.rtm_family && matches(route, *destination) &&
        (best == nullptr || route.prefix_length > best->prefix_length))
      best = &route;
  if (best == nullptr) return ENETUNREACH;
  found.gateway = best->gateway;
  found.source = best->source;
  found.interface = best->interface;
  add_route(request, found, RTN_UNICAST);
  return 0;
}

void Answers::add_route(const Request& request, const Route& route, std::uint8_t type) {
  rtmsg body{};
  body.rtm_family = static_cast<std::uint8_t>(route.family);
  body.rtm_dst_len = route.prefix_length;
  body.rtm_table = type == RTN_LOCAL ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
  body.rtm_protocol = route.protocol;
  body.rtm_scope = route.scope;
  body.rtm_type = type;
  Message message(request.header(), RTM_NEWROUTE, flags(request), port_, body);
  message.attribute(RTA_TABLE, std::uint32_t{body.rtm_table});
  if (!route.destination.empty()) message.attribute(RTA_DST, route.destination);
  if (route.metric != 0) message.attribute(RTA_PRIORITY, route.metric);
  if (!route.source.empty()) message.attribute(RTA_PREFSRC, route.source);
  if (!route.gateway.empty()) message.attribute(RTA_GATEWAY, route.gateway);
  message.attribute(RTA_OIF, static_cast<std::uint32_t>(route.interface));
  add(message.take());
}

}  // namespace

std::vector<std::string> answer_route_messages(const Topology& topology,
                                               std::span<const std::byte> datagram,
                                               std::uint32_t port) {
  Answers answers(topology, port);
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) break;
    auto payload = datagram.subspan(sizeof header, header.nlmsg_len - sizeof header);
    if ((header.nlmsg_flags & NLM_F_REQUEST) != 0) answers.answer(Request(header, payload));
    datagram = datagram.subspan(std::min(datagram.size(), aligned(header.nlmsg_len)));
  }
  return answers.take();
}

}  // namespace caisson::sandbox::net
