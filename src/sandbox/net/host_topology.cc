#include "sandbox/net/host_topology.h"

#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/defer.h"
#include "base/text.h"
#include "sys/file.h"
#include "sys/inet_socket.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::uint32_t kPermanent = 0x80;  // IFA_F_PERMANENT

std::string bytes_of(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

// An address without its socket; empty for other families.
std::string plain_address(const sockaddr* address) {
  if (address == nullptr) return {};
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    return bytes_of(&in.sin_addr, sizeof in.sin_addr);
  }
  if (address->sa_family != AF_INET6) return {};
  sockaddr_in6 in;
  std::memcpy(&in, address, sizeof in);
  return bytes_of(&in.sin6_addr, sizeof in.sin6_addr);
}

std::uint8_t prefix_length(const std::string& mask) {
  int bits = 0;
  for (char c : mask) bits += std::popcount(static_cast<unsigned char>(c));
  return static_cast<std::uint8_t>(bits);
}

std::uint8_t scope_of(const Interface& interface, const InterfaceAddress& address) {
  if ((interface.flags & IFF_LOOPBACK) != 0) return RT_SCOPE_HOST;
  bool link_local = address.family == AF_INET6 && address.address.starts_with("\xfe\x80");
  return link_local ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

std::uint32_t mtu_of(const Fd& socket, const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  auto asked = sys::call_void(SYS_ioctl, socket.number(), SIOCGIFMTU, &request);
  return asked ? static_cast<std::uint32_t>(request.ifr_mtu) : 1500;
}

Interface& interface_named(Topology& topology, const ifaddrs& entry, const Fd& socket) {
  for (auto& known : topology.interfaces)
    if (known.name == entry.ifa_name) return known;
  Interface interface{.index = static_cast<int>(if_nametoindex(entry.ifa_name)),
                      .name = entry.ifa_name,
                      .flags = entry.ifa_flags};
  interface.mtu = mtu_of(socket, interface.name);
  topology.interfaces.push_back(std::move(interface));
  return topology.interfaces.back();
}

void add_entry(Topology& topology, const ifaddrs& entry, const Fd& socket) {
  Interface& interface = interface_named(topology, entry, socket);
  if (entry.ifa_addr == nullptr) return;
  if (entry.ifa_addr->sa_family == AF_PACKET) {
    sockaddr_ll link;
    std::memcpy(&link, entry.ifa_addr, sizeof link);
    interface.hardware_type = link.sll_hatype;
    std::copy_n(std::begin(link.sll_addr), interface.hardware_address.size(),
                interface.hardware_address.begin());
    return;
  }
  InterfaceAddress address{.family = entry.ifa_addr->sa_family,
                           .prefix_length = prefix_length(plain_address(entry.ifa_netmask)),
                           .flags = kPermanent,
                           .address = plain_address(entry.ifa_addr),
                           .broadcast = {}};
  if (address.address.empty()) return;
  address.scope = scope_of(interface, address);
  if (address.family == AF_INET && (entry.ifa_flags & IFF_BROADCAST) != 0)
    address.broadcast = plain_address(entry.ifa_broadaddr);
  interface.addresses.push_back(std::move(address));
}

// "00000000" or an address as it lies in memory, in hexadecimal digits; empty for the first.
std::string route_address(std::string_view digits) {
  auto number = parse_number<std::uint32_t>(digits, 16).value_or(0);
  return number == 0 ? std::string() : bytes_of(&number, sizeof number);
}

// A line of /proc/net/route; what is no route is left out.
void add_route(Topology& topology, std::string_view line) {
  auto fields = split(line, '\t');
  if (fields.size() < 8) return;
  for (const auto& interface : topology.interfaces) {
    if (interface.name != trim(fields[0])) continue;
    Route route{.family = AF_INET,
                .prefix_length = prefix_length(route_address(fields[7])),
                .destination = route_address(fields[1]),
                .gateway = route_address(fields[2]),
                .interface = interface.index};
    if (route.gateway.empty()) route.scope = RT_SCOPE_LINK;
    route.metric = parse_number<std::uint32_t>(fields[6]).value_or(0);
    topology.routes.push_back(std::move(route));
  }
}

}  // namespace

Result<Topology> topology_of_host() {
  Topology topology;
  ifaddrs* entries = nullptr;
  if (::getifaddrs(&entries) != 0)
    return std::unexpected(Error(Errno{errno}).doing("list the host's interfaces"));
  Defer free_entries([&] { ::freeifaddrs(entries); });
  Fd socket = TRY_CTX(sys::inet_socket(AF_INET, SOCK_DGRAM, 0), "make a socket");
  for (const ifaddrs* entry = entries; entry != nullptr; entry = entry->ifa_next)
    add_entry(topology, *entry, socket);
  // A host may hide its routes; its network works without a list of them.
  if (auto text = sys::read_file(sys::kCwd, "/proc/net/route"))
    for (std::string_view line : split(*text, '\n')) add_route(topology, line);
  if (auto text = sys::read_file(sys::kCwd, "/proc/sys/net/ipv4/ip_unprivileged_port_start"))
    topology.unprivileged_ports =
        parse_number<std::uint16_t>(trim(*text)).value_or(topology.unprivileged_ports);
  return topology;
}

}  // namespace caisson::sandbox::net
