// UDP sockets within one network namespace (udp(7)).
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "sandbox/net/inet_endpoint.h"

namespace caisson::sandbox::net {

class UdpEndpoint final : public InetEndpoint {
 public:
  UdpEndpoint(Ref<Network> network, int domain);

  void close() override;
  ErrnoOr<> connect(const Address& address, Requester& requester) override;
  ErrnoOr<Address> peer_address() override;
  ErrnoOr<std::size_t> send(SendRequest& request) override;
  ErrnoOr<Received> receive(ReceiveRequest& request) override;
  ErrnoOr<> shutdown(int how) override;
  vfs::ReadyMask ready() override;
  ErrnoOr<std::size_t> readable_bytes() override;
  ErrnoOr<std::size_t> unsent_bytes() override { return 0; }
  std::vector<ControlMessage> control_messages(const Received& received) const override;
  Facts facts() override;

 private:
  struct Datagram {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0, charge = 0;
    InetAddress from, to;
    int hop_limit = 64, traffic_class = 0;
  };

  ~UdpEndpoint() override = default;
  void disconnect();
  ErrnoOr<InetAddress> receiver_of(const SendRequest& request);
  ErrnoOr<Datagram> load_datagram(SendRequest& request, const InetAddress& to) const;
  bool take(Datagram datagram, const InetAddress& from);
  Address shown(const InetAddress& address) const;

  Mutex read_mutex_;
  // Under mutex():
  std::optional<InetAddress> remote_;
  bool address_before_connect_ = false;
  std::uint8_t shutdown_ = 0;  // 1: receives no more, 2: sends no more
  bool closed_ = false;
  std::deque<Datagram> datagrams_;
  std::size_t charged_ = 0;
};

}  // namespace caisson::sandbox::net
