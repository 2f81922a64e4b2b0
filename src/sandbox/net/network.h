// Network: a network namespace of the guest: abstract names of unix sockets, ports, interfaces.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/fs/host_file/poller.h"
#include "sandbox/kernel/namespaces.h"
#include "sandbox/net/inet_address.h"
#include "sandbox/net/interface.h"
#include "sandbox/net/port_table.h"
#include "sandbox/net/sockets.h"

namespace caisson::sandbox::net {

class UnixEndpoint;

class Network final : public kernel::OpaqueNamespace {
 public:
  explicit Network(Ref<Sockets> sockets, Topology topology = loopback_only());

  // The host's network: sockets of the internet families are the host's.
  Network(Ref<Sockets> sockets, Topology topology, Ref<fs::HostPoller> host_poller);

  Network* network() override { return this; }
  // Null: not the host's.
  const Ref<fs::HostPoller>& host_poller() const { return host_poller_; }
  Ref<kernel::OpaqueNamespace> make_another() const override;
  Sockets& sockets() const { return *sockets_; }

  // net.core.somaxconn and net.unix.max_dgram_qlen.
  int max_backlog() const { return 4096; }
  int max_datagrams() const { return 10; }

  // --- interfaces
  const Topology& topology() const { return topology_; }
  std::optional<int> interface_index(std::string_view name) const;

  // Whether packets to this address come back to us; from which address they come.
  bool is_local(const IpAddress& address) const;
  IpAddress source_for(const IpAddress& to) const;

  // --- ports
  PortTable& tcp_ports() { return tcp_ports_; }
  PortTable& udp_ports() { return udp_ports_; }

  // --- netlink: who has which port. False: taken.
  bool add_netlink_port(int protocol, std::uint32_t port);
  // `wanted`, or one that is free.
  std::uint32_t add_some_netlink_port(int protocol, std::uint32_t wanted);
  void remove_netlink_port(int protocol, std::uint32_t port);

  // --- unix sockets: abstract names, of stream and datagram sockets apart, with the leading null
  // byte. False: taken.
  bool add_abstract(int type, const std::string& name, UnixEndpoint& endpoint);
  // The first free name of five hexadecimal digits (unix(7), "Autobind"); empty: none is left.
  std::string add_autobound(int type, UnixEndpoint& endpoint);
  void remove_abstract(int type, const std::string& name);
  Ref<UnixEndpoint> find_abstract(int type, const std::string& name) const;
  // All of them, for /proc/net/unix.
  void add_unix(UnixEndpoint& endpoint);
  void remove_unix(UnixEndpoint& endpoint);
  std::vector<Ref<UnixEndpoint>> unix_endpoints() const;

 private:
  ~Network() override;
  Ref<Sockets> sockets_;
  const Topology topology_;
  const Ref<fs::HostPoller> host_poller_;
  PortTable tcp_ports_{true}, udp_ports_{false};
  Mutex netlink_mutex_;
  std::set<std::pair<int, std::uint32_t>> netlink_ports_;
  mutable Mutex unix_mutex_;
  std::map<std::pair<int, std::string>, UnixEndpoint*> abstract_;
  std::set<UnixEndpoint*> unix_endpoints_;
  std::uint32_t next_autobound_ = 0;
};

}  // namespace caisson::sandbox::net
