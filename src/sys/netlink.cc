#include "sys/netlink.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>

namespace caisson::sys {
namespace {

constexpr int kAnswerTimeoutS = 10;
constexpr std::size_t kBufferSize = 65536;

template <typename T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void pad(std::string& out) { out.resize(NLMSG_ALIGN(out.size())); }

// A request: its header (completed by ask()), the family's own header, then attributes.
template <typename T>
std::string request(std::uint16_t type, std::uint16_t flags, const T& header) {
  nlmsghdr message{};
  message.nlmsg_type = type;
  message.nlmsg_flags = flags;
  std::string out;
  append_bytes(out, message);
  append_bytes(out, header);
  pad(out);
  return out;
}

void add_attribute(std::string& out, std::uint16_t type, std::string_view value) {
  rtattr attribute{};
  attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size()));
  attribute.rta_type = type;
  append_bytes(out, attribute);
  out += value;
  pad(out);
}

void add_name(std::string& out, std::string_view name) {
  add_attribute(out, IFLA_IFNAME, std::string(name) + '\0');
}

template <typename T>
std::optional<T> take_header(std::string_view& payload) {
  if (payload.size() < sizeof(T)) return std::nullopt;
  T header;
  std::memcpy(&header, payload.data(), sizeof header);
  payload.remove_prefix(std::min(payload.size(), std::size_t{NLMSG_ALIGN(sizeof header)}));
  return header;
}

// Calls visit(type, value) for each attribute; false when they are malformed.
template <typename Visit>
bool each_attribute(std::string_view bytes, Visit visit) {
  while (bytes.size() >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, bytes.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > bytes.size()) return false;
    visit(attribute.rta_type & NLA_TYPE_MASK,
          bytes.substr(sizeof attribute, attribute.rta_len - sizeof attribute));
    bytes.remove_prefix(std::min(bytes.size(), std::size_t{RTA_ALIGN(attribute.rta_len)}));
  }
  return true;
}

ErrnoOr<> error_of(std::string_view payload) {
  auto header = take_header<nlmsgerr>(payload);
  if (!header) return std::unexpected(Errno{EBADMSG});
  if (header->error == 0) return {};
  return std::unexpected(Errno{-header->error});
}

ifinfomsg interface(int index, std::uint32_t flags = 0) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = flags;
  return header;
}

}  // namespace

std::optional<Link> parse_link(std::string_view payload) {
  auto header = take_header<ifinfomsg>(payload);
  if (!header) return std::nullopt;
  Link out{header->ifi_index, header->ifi_flags, {}};
  bool whole = each_attribute(payload, [&](int type, std::string_view value) {
    if (type == IFLA_IFNAME) out.name = value.substr(0, value.find('\0'));
  });
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<InterfaceAddress> parse_address(std::string_view payload) {
  auto header = take_header<ifaddrmsg>(payload);
  if (!header) return std::nullopt;
  InterfaceAddress out;
  out.index = static_cast<int>(header->ifa_index);
  out.family = header->ifa_family;
  out.prefix_length = header->ifa_prefixlen;
  out.scope = header->ifa_scope;
  out.flags = header->ifa_flags;
  bool whole = each_attribute(payload, [&](int type, std::string_view value) {
    if (type == IFA_LOCAL) out.local = value;
    if (type == IFA_ADDRESS) out.address = value;
    if (type == IFA_BROADCAST) out.broadcast = value;
    // All 32 bits of what the header has eight of.
    if (type == IFA_FLAGS && value.size() == sizeof out.flags) {
      std::memcpy(&out.flags, value.data(), sizeof out.flags);
    }
  });
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

ErrnoOr<RouteSocket> RouteSocket::open() {
  Fd socket = TRY(call_fd(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  timeval limit{kAnswerTimeoutS, 0};
  TRY(call_void(SYS_setsockopt, socket.number(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
  return RouteSocket(std::move(socket));
}

template <typename Take>
ErrnoOr<> RouteSocket::ask(std::string message, Take take) {
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof header);
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  header.nlmsg_seq = ++sequence_;
  std::memcpy(message.data(), &header, sizeof header);
  TRY(call_retry(SYS_sendto, socket_.number(), message.data(), message.size(), 0, nullptr, 0));
  std::string buffer(kBufferSize, '\0');
  for (;;) {
    long got = TRY(call_retry(SYS_recvfrom, socket_.number(), buffer.data(), buffer.size(), 0,
                              nullptr, nullptr));
    std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
    while (rest.size() >= sizeof(nlmsghdr)) {
      std::memcpy(&header, rest.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) {
        return std::unexpected(Errno{EBADMSG});
      }
      std::string_view payload = rest.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
      rest.remove_prefix(std::min(rest.size(), std::size_t{NLMSG_ALIGN(header.nlmsg_len)}));
      if (header.nlmsg_seq != sequence_) continue;
      if (header.nlmsg_type == NLMSG_ERROR) return error_of(payload);
      if (header.nlmsg_type == NLMSG_DONE) return {};
      take(payload);
    }
  }
}

ErrnoOr<Link> RouteSocket::link(std::string_view name) {
  std::string message = request(RTM_GETLINK, 0, interface(0));
  add_name(message, name);
  std::optional<Link> found;
  TRY(ask(std::move(message), [&](std::string_view payload) { found = parse_link(payload); }));
  if (!found) return std::unexpected(Errno{ENODEV});
  return *std::move(found);
}

ErrnoOr<std::vector<InterfaceAddress>> RouteSocket::addresses(int index) {
  ifaddrmsg header{};
  header.ifa_family = AF_UNSPEC;
  std::vector<InterfaceAddress> out;
  TRY(ask(request(RTM_GETADDR, NLM_F_DUMP, header), [&](std::string_view payload) {
    auto address = parse_address(payload);
    if (address && address->index == index) out.push_back(*std::move(address));
  }));
  return out;
}

ErrnoOr<> RouteSocket::move(int index, FdRef ns, std::string_view name) {
  std::string message = request(RTM_SETLINK, 0, interface(index));
  std::int32_t number = ns.number();
  add_attribute(message, IFLA_NET_NS_FD, {reinterpret_cast<const char*>(&number), sizeof number});
  add_name(message, name);
  return ask(std::move(message), [](std::string_view) {});
}

ErrnoOr<> RouteSocket::rename(int index, std::string_view name) {
  std::string message = request(RTM_SETLINK, 0, interface(index));
  add_name(message, name);
  return ask(std::move(message), [](std::string_view) {});
}

ErrnoOr<> RouteSocket::set_up(int index) {
  return ask(request(RTM_SETLINK, 0, interface(index, IFF_UP)), [](std::string_view) {});
}

ErrnoOr<> RouteSocket::add_address(int index, const InterfaceAddress& address) {
  ifaddrmsg header{};
  header.ifa_family = address.family;
  header.ifa_prefixlen = address.prefix_length;
  header.ifa_scope = address.scope;
  header.ifa_index = static_cast<unsigned>(index);
  std::string message = request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  if (!address.local.empty()) add_attribute(message, IFA_LOCAL, address.local);
  if (!address.address.empty()) add_attribute(message, IFA_ADDRESS, address.address);
  if (!address.broadcast.empty()) add_attribute(message, IFA_BROADCAST, address.broadcast);
  add_attribute(message, IFA_FLAGS,
                {reinterpret_cast<const char*>(&address.flags), sizeof address.flags});
  return ask(std::move(message), [](std::string_view) {});
}

}  // namespace caisson::sys
