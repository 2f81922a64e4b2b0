#include "sandbox/mm/random.h"

#include "sys/call.h"

namespace caisson::sandbox::mm {

void fill_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    // Requests of up to 256 bytes are never cut short once the host has booted (getrandom(2)).
    long got = MUST(sys::call_retry(SYS_getrandom, bytes.data(), bytes.size(), 0));
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  fill_random(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace caisson::sandbox::mm
