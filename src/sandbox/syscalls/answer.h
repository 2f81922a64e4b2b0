// What handlers of system calls have in common: how they fail, how they copy guest structs.
#pragma once

#include <cerrno>
#include <cstdint>

#include "base/result.h"
#include "sandbox/kernel/task.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::syscalls {

inline std::unexpected<Errno> fail(int error) { return std::unexpected(Errno{error}); }

// The struct that an argument points to.
template <typename T>
ErrnoOr<T> load(kernel::Task& task, std::uint64_t address) {
  return mm::UserPtr<T>(address).load(task.memory());
}
template <typename T>
ErrnoOr<> store(kernel::Task& task, std::uint64_t address, const T& value) {
  return mm::UserPtr<T>(address).store(task.memory(), value);
}
// The same where null means "not wanted".
template <typename T>
ErrnoOr<> store_if(kernel::Task& task, std::uint64_t address, const T& value) {
  if (address == 0) return {};
  return store(task, address, value);
}

// struct timespec and timeval of 64-bit guests.
struct GuestTime {
  std::int64_t seconds = 0;
  std::int64_t fraction = 0;  // nanoseconds or microseconds
};
// Nanoseconds; EINVAL for what is negative or not normalized. Too long a time is as long as can be.
ErrnoOr<std::int64_t> to_nanoseconds(const GuestTime& time, std::int64_t fractions_per_second);
GuestTime to_timespec(std::int64_t nanoseconds);
GuestTime to_timeval(std::int64_t nanoseconds);

constexpr std::int64_t kNanosecond = 1'000'000'000;
constexpr std::int64_t kMicrosecond = 1'000'000;

}  // namespace caisson::sandbox::syscalls
