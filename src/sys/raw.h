// The bare system call. Touches no errno, so it may be used in a child that shares its parent's
// memory (CLONE_VM) and in code without a libc. Returns what the kernel returns: -4095..-1 is a
// negated errno.
#pragma once

#include <type_traits>

namespace caisson::sys {

#if defined(__x86_64__)

inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

#else
#error "no system call sequence for this architecture"
#endif

namespace detail {

template <typename T>
long register_value(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<long>(value);
  }
}

}  // namespace detail

template <typename... Args>
  requires(sizeof...(Args) <= 6)
long raw(long number, Args... args) {
  long values[6 + 1] = {detail::register_value(args)...};
  return raw_syscall6(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

}  // namespace caisson::sys
