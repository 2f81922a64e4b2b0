#include "sandbox/net/network.h"

#include <sys/socket.h>

#include "base/text.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

Network::Network(Ref<Sockets> sockets, Topology topology)
    : sockets_(std::move(sockets)), topology_(std::move(topology)) {}

Network::Network(Ref<Sockets> sockets, Topology topology, Ref<fs::HostPoller> host_poller)
    : sockets_(std::move(sockets)),
      topology_(std::move(topology)),
      host_poller_(std::move(host_poller)) {}

Network::~Network() = default;

Ref<kernel::OpaqueNamespace> Network::make_another() const { return make_ref<Network>(sockets_); }

std::optional<int> Network::interface_index(std::string_view name) const {
  for (const auto& interface : topology_.interfaces)
    if (interface.name == name) return interface.index;
  return std::nullopt;
}

bool Network::is_local(const IpAddress& address) const {
  if (address.is_loopback()) return true;
  for (const auto& interface : topology_.interfaces)
    for (const auto& own : interface.addresses) {
      auto bytes = address.bytes();
      std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (own.family == AF_INET) text.remove_prefix(address.is_v4() ? 12 : text.size());
      if (text == own.address) return true;
    }
  return false;
}

IpAddress Network::source_for(const IpAddress& to) const {
  return to.is_loopback() ? IpAddress::loopback(!to.is_v4()) : to;
}

bool Network::add_netlink_port(int protocol, std::uint32_t port) {
  Locked lock(netlink_mutex_);
  return netlink_ports_.emplace(protocol, port).second;
}

std::uint32_t Network::add_some_netlink_port(int protocol, std::uint32_t wanted) {
  Locked lock(netlink_mutex_);
  // Others are taken from the end, where no process ids are.
  for (std::uint32_t port = wanted, next = ~std::uint32_t{0} - 4096;; port = next--)
    if (port != 0 && netlink_ports_.emplace(protocol, port).second) return port;
}

void Network::remove_netlink_port(int protocol, std::uint32_t port) {
  Locked lock(netlink_mutex_);
  netlink_ports_.erase({protocol, port});
}

bool Network::add_abstract(int type, const std::string& name, UnixEndpoint& endpoint) {
  Locked lock(unix_mutex_);
  return abstract_.emplace(std::pair(type, name), &endpoint).second;
}

std::string Network::add_autobound(int type, UnixEndpoint& endpoint) {
  constexpr std::uint32_t kNames = 1 << 20;
  Locked lock(unix_mutex_);
  for (std::uint32_t tried = 0; tried < kNames; ++tried) {
    std::string digits = hex(next_autobound_++ & (kNames - 1));
    std::string name = cat('\0', std::string(5 - digits.size(), '0'), digits);
    if (abstract_.emplace(std::pair(type, name), &endpoint).second) return name;
  }
  return {};
}

void Network::remove_abstract(int type, const std::string& name) {
  Locked lock(unix_mutex_);
  abstract_.erase({type, name});
}

Ref<UnixEndpoint> Network::find_abstract(int type, const std::string& name) const {
  Locked lock(unix_mutex_);
  auto found = abstract_.find({type, name});
  if (found == abstract_.end() || !found->second->try_add_ref()) return nullptr;
  return Ref<UnixEndpoint>::adopt(found->second);
}

void Network::add_unix(UnixEndpoint& endpoint) {
  Locked lock(unix_mutex_);
  unix_endpoints_.insert(&endpoint);
}

void Network::remove_unix(UnixEndpoint& endpoint) {
  Locked lock(unix_mutex_);
  unix_endpoints_.erase(&endpoint);
}

std::vector<Ref<UnixEndpoint>> Network::unix_endpoints() const {
  Locked lock(unix_mutex_);
  std::vector<Ref<UnixEndpoint>> endpoints;
  for (UnixEndpoint* endpoint : unix_endpoints_)
    if (endpoint->try_add_ref()) endpoints.push_back(Ref<UnixEndpoint>::adopt(endpoint));
  return endpoints;
}

}  // namespace caisson::sandbox::net
