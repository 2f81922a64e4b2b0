#include "sandbox/net/inet_address.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace caisson::sandbox::net {

namespace {
constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kOldIn6Length = 24;  // SIN6_LEN_RFC2133: without the scope
}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress address;
  std::copy(kMapped.begin(), kMapped.end(), address.bytes_.begin());
  std::uint32_t number = htonl(host_order);
  std::memcpy(address.bytes_.data() + kMapped.size(), &number, sizeof number);
  return address;
}

IpAddress IpAddress::loopback(bool is_v6) {
  if (!is_v6) return v4(INADDR_LOOPBACK);
  IpAddress address;
  address.bytes_[15] = 1;
  return address;
}

IpAddress IpAddress::of_bytes(const void* bytes16) {
  IpAddress address;
  std::memcpy(address.bytes_.data(), bytes16, address.bytes_.size());
  return address;
}

bool IpAddress::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin()); }

std::uint32_t IpAddress::v4_number() const {
  std::uint32_t number;
  std::memcpy(&number, bytes_.data() + kMapped.size(), sizeof number);
  return ntohl(number);
}

bool IpAddress::is_any() const { return is_any_v6() || *this == any_v4(); }

bool IpAddress::is_loopback() const {
  if (is_v4()) return v4_number() >> 24 == 127;
  return *this == loopback(true);
}

Address InetAddress::to_socket_address(int family) const {
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(ip.is_v4() ? ip.v4_number() : 0);
    return Address::of(in);
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, ip.bytes().data(), ip.bytes().size());
  return Address::of(in);
}

ErrnoOr<InetAddress> parse_inet_address(const Address& address, int family) {
  InetAddress parsed;
  if (family == AF_INET) {
    if (address.length() < sizeof(sockaddr_in)) return std::unexpected(Errno{EINVAL});
    if (address.family() != AF_INET) return std::unexpected(Errno{EAFNOSUPPORT});
    auto in = address.as<sockaddr_in>();
    parsed.ip = IpAddress::v4(ntohl(in.sin_addr.s_addr));
    parsed.port = ntohs(in.sin_port);
    return parsed;
  }
  if (address.length() < kOldIn6Length) return std::unexpected(Errno{EINVAL});
  if (address.family() != AF_INET6) return std::unexpected(Errno{EAFNOSUPPORT});
  auto in = address.as<sockaddr_in6>();
  parsed.ip = IpAddress::of_bytes(&in.sin6_addr);
  parsed.port = ntohs(in.sin6_port);
  return parsed;
}

}  // namespace caisson::sandbox::net
