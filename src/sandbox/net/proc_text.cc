#include "sandbox/net/proc_text.h"

#include <linux/route.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "sandbox/net/inet_endpoint.h"
#include "sandbox/net/network.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {

// Upper-case hexadecimal digits, at least `width` of them.
std::string digits(std::uint64_t value, std::size_t width) {
  std::string text = hex(value);
  for (char& c : text)
    if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
  if (text.size() < width) text.insert(0, width - text.size(), '0');
  return text;
}

std::string right(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

std::string unix_text(Network& network) {
  std::string text = "Num       RefCount Protocol Flags    Type St Inode Path\n";
  for (const auto& endpoint : network.unix_endpoints()) {
    auto facts = endpoint->facts();
    append(text, "0000000000000000: ", digits(facts.references, 8), " 00000000 ",
           digits(facts.flags, 8), ' ', digits(static_cast<std::uint64_t>(endpoint->type()), 4),
           ' ', digits(facts.state, 2), ' ', right(cat(endpoint->inode_number()), 5));
    if (!facts.name.empty()) append(text, ' ', facts.name);
    text += '\n';
  }
  return text;
}

// The words of an address as they lie in memory.
std::string address_text(const InetAddress& address, bool v6) {
  std::string text;
  const auto& bytes = address.ip.bytes();
  for (std::size_t at = v6 ? 0 : 12; at < bytes.size(); at += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    text += digits(word, 8);
  }
  return cat(text, ':', digits(address.port, 4));
}

std::string inet_text(PortTable& ports, int family, bool tcp) {
  bool v6 = family == AF_INET6;
  std::string text = "  sl  local_address ";
  if (v6) text += "                        ";
  text += v6 ? "remote_address                        " : "rem_address   ";
  text += "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
  text += tcp ? "\n" : " ref pointer drops\n";
  int line = 0;
  for (const auto& endpoint : ports.all()) {
    if (endpoint->domain() != family) continue;
    auto facts = endpoint->facts();
    append(text, right(cat(line++), 4), ": ", address_text(facts.local, v6), ' ',
           address_text(facts.remote, v6), ' ', digits(static_cast<std::uint64_t>(facts.state), 2),
           " 00000000:", digits(facts.receive_queue, 8), " 00:00000000 00000000 ",
           right(cat(facts.uid), 5), "        0 ", endpoint->inode_number(), ' ',
           endpoint->reference_count(),
           tcp ? " 0000000000000000 100 0 0 10 0\n" : " 0000000000000000 0\n");
  }
  return text;
}

std::string dev_text(const Topology& topology) {
  std::string text =
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|"
      "bytes    packets errs drop fifo colls carrier compressed\n";
  for (const auto& interface : topology.interfaces)
    append(text, right(interface.name, 6),
           ":       0       0    0    0    0     0          0         0"
           "        0       0    0    0    0     0       0          0\n");
  return text;
}

std::string word_text(const std::string& bytes) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data(), std::min(bytes.size(), sizeof word));
  return digits(word, 8);
}

std::string route_text(const Topology& topology) {
  std::string text =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
  for (const auto& route : topology.routes) {
    if (route.family != AF_INET) continue;
    std::string name;
    for (const auto& interface : topology.interfaces)
      if (interface.index == route.interface) name = interface.name;
    std::string mask;
    for (int bits = route.prefix_length; bits > 0; bits -= 8)
      mask += static_cast<char>(bits >= 8 ? 0xff : 0xff << (8 - bits));
    int flags = RTF_UP | (route.gateway.empty() ? 0 : RTF_GATEWAY);
    append(text, name, '\t', word_text(route.destination), '\t', word_text(route.gateway), '\t',
           digits(static_cast<std::uint64_t>(flags), 4), "\t0\t0\t", route.metric, '\t',
           word_text(mask), "\t0\t0\t0\n");
  }
  return text;
}

}  // namespace

std::optional<std::string> proc_net_text(Network& network, std::string_view name) {
  if (name == "unix") return unix_text(network);
  if (name == "tcp") return inet_text(network.tcp_ports(), AF_INET, true);
  if (name == "tcp6") return inet_text(network.tcp_ports(), AF_INET6, true);
  if (name == "udp") return inet_text(network.udp_ports(), AF_INET, false);
  if (name == "udp6") return inet_text(network.udp_ports(), AF_INET6, false);
  if (name == "dev") return dev_text(network.topology());
  if (name == "route") return route_text(network.topology());
  return std::nullopt;
}

}  // namespace caisson::sandbox::net
