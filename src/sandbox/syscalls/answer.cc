#include "sandbox/syscalls/answer.h"

#include <limits>

namespace caisson::sandbox::syscalls {

ErrnoOr<std::int64_t> to_nanoseconds(const GuestTime& time, std::int64_t fractions_per_second) {
  if (time.seconds < 0 || time.fraction < 0 || time.fraction >= fractions_per_second)
    return fail(EINVAL);
  constexpr std::int64_t kLongest = std::numeric_limits<std::int64_t>::max();
  if (time.seconds >= kLongest / kNanosecond) return kLongest;  // KTIME_MAX
  return time.seconds * kNanosecond + time.fraction * (kNanosecond / fractions_per_second);
}

GuestTime to_timespec(std::int64_t nanoseconds) {
  return {nanoseconds / kNanosecond, nanoseconds % kNanosecond};
}

GuestTime to_timeval(std::int64_t nanoseconds) {
  return {nanoseconds / kNanosecond, nanoseconds % kNanosecond / 1000};
}

}  // namespace caisson::sandbox::syscalls
