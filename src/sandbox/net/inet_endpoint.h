// What TCP and UDP sockets have in common: addresses, ports, options of ip(7) and ipv6(7). There
// are no packets: what is sent reaches the other socket of the namespace at once, and addresses
// that are not of this machine cannot be reached.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "sandbox/net/endpoint.h"
#include "sandbox/net/inet_address.h"
#include "sandbox/net/port_table.h"

namespace caisson::sandbox::net {

class InetEndpoint : public Endpoint {
 public:
  using Endpoint::Endpoint;

  ErrnoOr<> bind(const Address& address, Requester& requester) override;
  ErrnoOr<Address> local_address() override;
  ErrnoOr<> set_protocol_option(int level, int name, std::span<const std::byte> value,
                                Requester& requester) override;
  ErrnoOr<std::string> protocol_option(int level, int name, std::uint32_t length,
                                       Requester& requester) override;

  // For /proc/net/{tcp,udp}.
  struct Facts {
    InetAddress local, remote;
    int state = 0;  // TCP_*
    std::size_t receive_queue = 0;
    std::uint32_t uid = 0;
  };
  virtual Facts facts() = 0;

 protected:
  bool is_v6() const { return domain() == AF_INET6; }
  PortTable& ports() const;
  // Under mutex(): where it is bound; port 0: nowhere.
  InetAddress local_;
  bool address_chosen_ = false;  // by bind(2), not by us
  std::uint32_t uid_ = 0;        // who bound it

  // Gives it a port if it has none. EADDRINUSE.
  ErrnoOr<> autobind(Requester& requester);
  // accept(2): an accepted socket has its listener's options.
  void inherit_values(const InetEndpoint& listener);
  void unbind();
  // The address to send to for what a guest gave: EINVAL, EAFNOSUPPORT, ENETUNREACH.
  ErrnoOr<InetAddress> destination(const Address& address);
  // From which address packets to `to` come.
  IpAddress source_for(const IpAddress& to) const;
  bool option_is_on(int level, int name) const;
  std::optional<int> option_value(int level, int name) const;
  virtual bool may_bind_now() const { return true; }  // mutex() held
  virtual std::string tcp_info() { return {}; }

 private:
  ErrnoOr<> claim(const InetAddress& wanted, Requester& requester);
  ErrnoOr<> set_special_option(int level, int name, int value, Requester& requester);
  // Under mutex(): by level and name, those that differ from what they are at first.
  std::map<std::pair<int, int>, int> values_;
};

}  // namespace caisson::sandbox::net
