// rtnetlink(7) for guests: what they ask about links, addresses and routes, answered from a
// Topology. Pure: bytes in, bytes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sandbox/net/interface.h"

namespace caisson::sandbox::net {

// The datagrams that answer the messages in one datagram of a guest, whose port is `port`.
std::vector<std::string> answer_route_messages(const Topology& topology,
                                               std::span<const std::byte> datagram,
                                               std::uint32_t port);

}  // namespace caisson::sandbox::net
