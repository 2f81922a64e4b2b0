// Turns a raw system call into an ErrnoOr. The floor below every other header of sys/.
#pragma once

#include <sys/syscall.h>

#include <cerrno>

#include "base/fd.h"
#include "base/result.h"
#include "sys/raw.h"

namespace caisson::sys {

inline bool failed(long result) { return result < 0 && result >= -4095; }

// The value of a system call, or its errno.
template <typename... Args>
ErrnoOr<long> call(long number, Args... args) {
  long result = raw(number, args...);
  if (failed(result)) [[unlikely]]
    return std::unexpected(Errno{static_cast<int>(-result)});
  return result;
}

// The same for calls whose value means nothing.
template <typename... Args>
ErrnoOr<> call_void(long number, Args... args) {
  long result = raw(number, args...);
  if (failed(result)) [[unlikely]]
    return std::unexpected(Errno{static_cast<int>(-result)});
  return {};
}

// The same for calls that make a descriptor.
template <typename... Args>
ErrnoOr<Fd> call_fd(long number, Args... args) {
  long result = raw(number, args...);
  if (failed(result)) [[unlikely]]
    return std::unexpected(Errno{static_cast<int>(-result)});
  return Fd(static_cast<int>(result));
}

// Whether the kernel has a call, tried with arguments that every kernel with it refuses, other than
// by ENOSYS.
template <typename... Args>
bool has_call(long number, Args... args) {
  return raw(number, args...) != -ENOSYS;
}

// Repeats a call while a signal interrupts it.
template <typename... Args>
ErrnoOr<long> call_retry(long number, Args... args) {
  for (;;) {
    long result = raw(number, args...);
    if (!failed(result)) return result;
    if (result != -EINTR) return std::unexpected(Errno{static_cast<int>(-result)});
  }
}

}  // namespace caisson::sys
