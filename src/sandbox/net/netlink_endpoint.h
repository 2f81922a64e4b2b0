// Netlink sockets (netlink(7)): those of routes are answered at once; those of kernel events take
// subscribers and stay silent.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>

#include "sandbox/net/endpoint.h"

namespace caisson::sandbox::net {

class NetlinkEndpoint final : public Endpoint {
 public:
  NetlinkEndpoint(Ref<Network> network, int type, int protocol);

  void close() override;
  ErrnoOr<> bind(const Address& address, Requester& requester) override;
  ErrnoOr<> connect(const Address& address, Requester& requester) override;
  ErrnoOr<Address> local_address() override;
  ErrnoOr<Address> peer_address() override;
  ErrnoOr<std::size_t> send(SendRequest& request) override;
  ErrnoOr<Received> receive(ReceiveRequest& request) override;
  ErrnoOr<> shutdown(int how) override;
  vfs::ReadyMask ready() override;
  ErrnoOr<> set_protocol_option(int level, int name, std::span<const std::byte> value,
                                Requester& requester) override;
  ErrnoOr<std::string> protocol_option(int level, int name, std::uint32_t length,
                                       Requester& requester) override;
  std::vector<ControlMessage> control_messages(const Received& received) const override;
  ErrnoOr<std::size_t> readable_bytes() override;
  ErrnoOr<std::size_t> unsent_bytes() override { return 0; }

 private:
  ~NetlinkEndpoint() override = default;
  ErrnoOr<> take_port(std::uint32_t wanted, Requester& requester);

  // Under mutex():
  std::uint32_t port_ = 0;  // 0: none yet
  std::uint32_t groups_ = 0;
  std::set<int> options_on_;
  std::deque<std::string> answers_;
};

}  // namespace caisson::sandbox::net
