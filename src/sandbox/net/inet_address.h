// Addresses of IPv4 and IPv6 in one form: IPv4 as IPv6 has it mapped (::ffff:127.0.0.1).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "sandbox/net/address.h"

namespace caisson::sandbox::net {

class IpAddress {
 public:
  IpAddress() = default;  // "::"
  static IpAddress any_v4() { return v4(0); }
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress loopback(bool is_v6);
  static IpAddress of_bytes(const void* bytes16);

  bool is_v4() const;  // mapped
  std::uint32_t v4_number() const;
  bool is_any() const;  // of its family
  bool is_any_v6() const { return *this == IpAddress(); }
  bool is_loopback() const;  // 127.0.0.0/8, ::1
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

struct InetAddress {
  IpAddress ip;
  std::uint16_t port = 0;  // host order
  // As a socket of that family shows it.
  Address to_socket_address(int family) const;
  friend bool operator==(const InetAddress&, const InetAddress&) = default;
};

// The address that a guest gave to a socket of `family`. EINVAL: too short; EAFNOSUPPORT.
ErrnoOr<InetAddress> parse_inet_address(const Address& address, int family);

}  // namespace caisson::sandbox::net
