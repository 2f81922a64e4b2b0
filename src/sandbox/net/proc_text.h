// The files of /proc/net that tell of sockets, interfaces and routes (proc(5)).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace caisson::sandbox::net {

class Network;

// unix, tcp, tcp6, udp, udp6, dev, route; none for others.
std::optional<std::string> proc_net_text(Network& network, std::string_view name);

}  // namespace caisson::sandbox::net
