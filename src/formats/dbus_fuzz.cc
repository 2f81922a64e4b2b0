// Whatever comes from a bus is a message or is none; one that is read can be written and read
// again.
#include "formats/dbus.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace dbus = caisson::formats::dbus;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto message = dbus::decode(bytes);
  if (!message) return 0;
  auto again = dbus::decode(dbus::encode(*message));
  if (!again || again->body != message->body || again->member != message->member) std::abort();
  dbus::Reader body(message->body);
  std::string_view type = message->signature;
  while (!type.empty() && body.skip(type)) {
  }
  return 0;
}
