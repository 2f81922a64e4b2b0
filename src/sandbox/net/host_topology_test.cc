#include "sandbox/net/host_topology.h"

#include <net/if.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

namespace caisson::sandbox::net {
namespace {

TEST(HostTopology, HasTheLoopbackAsItIs) {
  auto topology = topology_of_host();
  ASSERT_TRUE(topology) << topology.error().message();
  const Interface* lo = nullptr;
  for (const auto& interface : topology->interfaces)
    if (interface.name == "lo") lo = &interface;
  ASSERT_NE(lo, nullptr);
  EXPECT_EQ(lo->index, static_cast<int>(if_nametoindex("lo")));
  EXPECT_NE(lo->flags & IFF_LOOPBACK, 0U);
  EXPECT_GE(lo->mtu, 1500U);
}

TEST(HostTopology, RoutesLeadThroughItsInterfaces) {
  auto topology = topology_of_host();
  ASSERT_TRUE(topology);
  for (const auto& route : topology->routes) {
    bool known = false;
    for (const auto& interface : topology->interfaces) known |= interface.index == route.interface;
    EXPECT_TRUE(known);
    EXPECT_LE(route.prefix_length, 32);
  }
}

}  // namespace
}  // namespace caisson::sandbox::net
