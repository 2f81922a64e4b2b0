#include "sandbox/net/inet_endpoint.h"

#include <linux/capability.h>
#include <netinet/in.h>

#include <cerrno>

#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {
constexpr std::uint16_t kFirstUnprivileged = 1024;
}

PortTable& InetEndpoint::ports() const {
  return is_stream() ? network().tcp_ports() : network().udp_ports();
}

ErrnoOr<> InetEndpoint::bind(const Address& address, Requester& requester) {
  InetAddress wanted;
  // Of old, AF_UNSPEC with the wildcard address is AF_INET.
  if (domain() == AF_INET && address.family() == AF_UNSPEC &&
      address.length() >= sizeof(sockaddr_in)) {
    if (address.as<sockaddr_in>().sin_addr.s_addr != INADDR_ANY)
      return std::unexpected(Errno{EAFNOSUPPORT});
    wanted.ip = IpAddress::any_v4();
    wanted.port = ntohs(address.as<sockaddr_in>().sin_port);
  } else {
    wanted = TRY(parse_inet_address(address, domain()));
  }
  bool v6_only = is_v6() && option_is_on(IPPROTO_IPV6, IPV6_V6ONLY);
  if (v6_only && wanted.ip.is_v4()) return std::unexpected(Errno{EINVAL});
  bool any_address =
      option_is_on(IPPROTO_IP, IP_FREEBIND) || option_is_on(IPPROTO_IP, IP_TRANSPARENT);
  if (!wanted.ip.is_any() && !network().is_local(wanted.ip) && !any_address)
    return std::unexpected(Errno{EADDRNOTAVAIL});
  if (wanted.port != 0 && wanted.port < kFirstUnprivileged &&
      !requester.credentials().has(CAP_NET_BIND_SERVICE))
    return std::unexpected(Errno{EACCES});
  {
    Locked lock(mutex());
    if (local_.port != 0 || !may_bind_now()) return std::unexpected(Errno{EINVAL});
  }
  TRY(claim(wanted, requester));
  Locked lock(mutex());
  address_chosen_ = !wanted.ip.is_any();
  return {};
}

ErrnoOr<> InetEndpoint::claim(const InetAddress& wanted, Requester& requester) {
  PortTable::Entry entry{.endpoint = this,
                         .local = wanted,
                         .remote = {},
                         .v6_only = is_v6() && option_is_on(IPPROTO_IPV6, IPV6_V6ONLY),
                         .listening = false,
                         .uid = requester.credentials().euid};
  std::uint16_t port = TRY(ports().bind(entry));
  bool late = false;
  {
    Locked lock(mutex());
    late = local_.port != 0;  // another thread was faster
    if (!late) local_ = {.ip = wanted.ip, .port = port};
    if (!late) uid_ = entry.uid;
  }
  if (late) {
    ports().remove(*this);
    return std::unexpected(Errno{EINVAL});
  }
  return {};
}

ErrnoOr<> InetEndpoint::autobind(Requester& requester) {
  {
    Locked lock(mutex());
    if (local_.port != 0) return {};
  }
  return claim({.ip = is_v6() ? IpAddress() : IpAddress::any_v4(), .port = 0}, requester);
}

void InetEndpoint::unbind() {
  ports().remove(*this);
  Locked lock(mutex());
  local_ = {};
  address_chosen_ = false;
}

ErrnoOr<Address> InetEndpoint::local_address() {
  Locked lock(mutex());
  InetAddress local = local_;
  if (local.port == 0 && !is_v6()) local.ip = IpAddress::any_v4();
  return local.to_socket_address(domain());
}

IpAddress InetEndpoint::source_for(const IpAddress& to) const {
  Locked lock(mutex());
  if (!local_.ip.is_any() && local_.port != 0) return local_.ip;
  return network().source_for(to);
}

ErrnoOr<InetAddress> InetEndpoint::destination(const Address& address) {
  // A socket of IPv6 takes destinations of IPv4 in mapped form, and as they are.
  bool plain_v4 = is_v6() && !is_stream() && address.family() == AF_INET;
  InetAddress to = TRY(parse_inet_address(address, plain_v4 ? AF_INET : domain()));
  if (is_v6() && to.ip.is_v4() && option_is_on(IPPROTO_IPV6, IPV6_V6ONLY))
    return std::unexpected(Errno{ENETUNREACH});
  if (to.ip.is_any()) to.ip = IpAddress::loopback(is_v6() && !to.ip.is_v4());
  if (!network().is_local(to.ip)) return std::unexpected(Errno{ENETUNREACH});
  return to;
}

}  // namespace caisson::sandbox::net
