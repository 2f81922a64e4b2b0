#include "sandbox/net/interface.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

namespace caisson::sandbox::net {

Topology loopback_only() {
  Interface lo{.index = 1,
               .name = "lo",
               .flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
               .mtu = 65536,
               .hardware_type = ARPHRD_LOOPBACK,
               .hardware_address = {},
               .addresses = {}};
  lo.addresses.push_back({.family = AF_INET,
                          .prefix_length = 8,
                          .scope = RT_SCOPE_HOST,
                          .flags = 0x80,  // IFA_F_PERMANENT
                          .address = std::string("\x7f\0\0\1", 4),
                          .broadcast = {}});
  lo.addresses.push_back({.family = AF_INET6,
                          .prefix_length = 128,
                          .scope = RT_SCOPE_HOST,
                          .flags = 0x80,
                          .address = std::string(15, '\0') + '\1',
                          .broadcast = {}});
  Topology topology;
  topology.interfaces.push_back(std::move(lo));
  return topology;
}

}  // namespace caisson::sandbox::net
