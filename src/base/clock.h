// Clocks: monotonic nanoseconds for measuring and bounding, wall time as RFC 3339 text for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace caisson {

// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t monotonic_ns();
// Nanoseconds since the epoch, CLOCK_REALTIME.
std::int64_t realtime_ns();
// "2026-03-01T09:08:07.123456789Z" for nanoseconds since the epoch (UTC, RFC 3339).
std::string rfc3339(std::int64_t epoch_ns);

// A point in time after which a wait gives up.
class Deadline {
 public:
  static Deadline in_ms(std::int64_t ms) { return Deadline(monotonic_ns() + ms * 1'000'000); }
  bool passed() const { return monotonic_ns() >= at_ns_; }
  // Milliseconds left for poll(2), rounded up, never negative.
  int left_ms() const;

 private:
  explicit Deadline(std::int64_t at_ns) : at_ns_(at_ns) {}
  std::int64_t at_ns_;
};

}  // namespace caisson
