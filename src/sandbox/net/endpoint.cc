#include "sandbox/net/endpoint.h"

#include <cerrno>

#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

Endpoint::Endpoint(Ref<Network> network, int domain, int type, int protocol)
    : network_(std::move(network)), domain_(domain), type_(type), protocol_(protocol) {}

Endpoint::~Endpoint() = default;

void SocketOptions::inherit(const SocketOptions& from) {
  for (std::size_t i = 0; i < std::size(flags_); ++i) flags_[i] = from.flags_[i].load();
  send_buffer = from.send_buffer.load();
  receive_buffer = from.receive_buffer.load();
  receive_low_water = from.receive_low_water.load();
  receive_timeout_ns = from.receive_timeout_ns.load();
  send_timeout_ns = from.send_timeout_ns.load();
  linger_s = from.linger_s.load();
  priority = from.priority.load();
  mark = from.mark.load();
  busy_poll = from.busy_poll.load();
  busy_poll_budget = from.busy_poll_budget.load();
  buffer_lock = from.buffer_lock.load();
  interface = from.interface.load();
  pacing_rate = from.pacing_rate.load();
}

ErrnoOr<> Endpoint::listen(int, Requester&) { return std::unexpected(Errno{EOPNOTSUPP}); }

ErrnoOr<Ref<Endpoint>> Endpoint::accept(bool) { return std::unexpected(Errno{EOPNOTSUPP}); }

ErrnoOr<> Endpoint::pair(Endpoint&, Requester&) { return std::unexpected(Errno{EOPNOTSUPP}); }

ErrnoOr<> Endpoint::set_protocol_option(int, int, std::span<const std::byte>, Requester&) {
  return std::unexpected(Errno{EOPNOTSUPP});
}

ErrnoOr<std::string> Endpoint::protocol_option(int, int, std::uint32_t, Requester&) {
  return std::unexpected(Errno{EOPNOTSUPP});
}

ErrnoOr<std::string> Endpoint::peer_option(int name, Requester&) {
  if (name == SO_PEERCRED) {
    ucred nobody{.pid = 0, .uid = ~uid_t{0}, .gid = ~gid_t{0}};
    return option_bytes(nobody);
  }
  // SO_PEERSEC asks a security module, which is not there.
  return std::unexpected(Errno{name == SO_PEERSEC ? ENOPROTOOPT : ENODATA});
}

}  // namespace caisson::sandbox::net
