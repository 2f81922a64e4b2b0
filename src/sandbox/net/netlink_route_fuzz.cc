// What guests ask of rtnetlink: any bytes.
#include "sandbox/net/netlink_route.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caisson::sandbox::net;
  auto answers = answer_route_messages(loopback_only(), std::as_bytes(std::span(data, size)), 1);
  for (const auto& answer : answers)
    if (answer.size() < 16) std::abort();
  return 0;
}
