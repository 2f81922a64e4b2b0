// Interfaces of a network namespace as guests see them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace caisson::sandbox::net {

struct InterfaceAddress {
  int family = 0;
  std::uint8_t prefix_length = 0;
  std::uint8_t scope = 0;   // RT_SCOPE_*
  std::uint32_t flags = 0;  // IFA_F_*
  std::string address;      // in network byte order: 4 or 16 bytes
  std::string broadcast;    // empty: none
};

struct Interface {
  int index = 0;
  std::string name = {};
  std::uint32_t flags = 0;  // IFF_*
  std::uint32_t mtu = 0;
  std::uint16_t hardware_type = 0;  // ARPHRD_*
  std::array<std::uint8_t, 6> hardware_address{};
  std::vector<InterfaceAddress> addresses = {};
};

struct Route {  // of the main table
  int family = 0;
  std::uint8_t prefix_length = 0;
  std::string destination = {}, gateway = {}, source = {};  // network byte order; empty: none
  int interface = 0;
  std::uint8_t protocol = 2;  // RTPROT_KERNEL
  std::uint8_t scope = 0;
  std::uint32_t metric = 0;
};

struct Topology {
  std::vector<Interface> interfaces;
  std::vector<Route> routes;
  // The first port that takes no CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start).
  std::uint16_t unprivileged_ports = 1024;
};

// "lo", up, with 127.0.0.1/8 and ::1/128.
Topology loopback_only();

}  // namespace caisson::sandbox::net
