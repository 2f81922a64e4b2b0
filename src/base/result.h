// Result types and the TRY family: how every fallible function of the project reports failure.
//
// Two weights. `Errno` is a bare errno value for code that stands directly on the kernel (sys/, the
// child side of an executor, the sandbox). `Error` adds text for people and is used above.
// Nothing here throws, and nothing allocates on success.
#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace caisson {

template <typename T = void>
using Result = std::expected<T, Error>;

template <typename T = void>
using ErrnoOr = std::expected<T, Errno>;

namespace detail {

// Ends the process: a MUST() did not hold. Never returns.
[[noreturn]] void must_failed(const char* expression, const char* file, int line, int errno_value);

inline int errno_of(Errno error) { return error.value; }
inline int errno_of(const Error& error) { return error.errno_value(); }

}  // namespace detail
}  // namespace caisson

#define CAISSON_CONCAT_(a, b) a##b
#define CAISSON_CONCAT(a, b) CAISSON_CONCAT_(a, b)

#define CAISSON_TRY_(name, expression)                 \
  (__extension__({                                     \
    auto name = (expression);                          \
    if (!name) [[unlikely]]                            \
      return std::unexpected(std::move(name).error()); \
    *std::move(name);                                  \
  }))

// Evaluates to the value of a Result or ErrnoOr; returns its error from the enclosing function.
#define TRY(expression) CAISSON_TRY_(CAISSON_CONCAT(try_result_, __COUNTER__), expression)

#define CAISSON_TRY_CTX_(name, expression, ...)                                             \
  (__extension__({                                                                          \
    auto name = (expression);                                                               \
    if (!name) [[unlikely]]                                                                 \
      return std::unexpected(::caisson::Error(std::move(name).error()).doing(__VA_ARGS__)); \
    *std::move(name);                                                                       \
  }))

// TRY that says what was being done: TRY_CTX(sys::mkdirat(..), "make directory ", path).
// The text is put together only on failure.
#define TRY_CTX(expression, ...) \
  CAISSON_TRY_CTX_(CAISSON_CONCAT(try_result_, __COUNTER__), expression, __VA_ARGS__)

#define CAISSON_MUST_(name, expression)                                          \
  (__extension__({                                                               \
    auto name = (expression);                                                    \
    if (!name) [[unlikely]]                                                      \
      ::caisson::detail::must_failed(#expression, __FILE__, __LINE__,            \
                                     ::caisson::detail::errno_of(name.error())); \
    *std::move(name);                                                            \
  }))

// For what can fail only by a programmer's mistake: aborts with the place and the reason.
#define MUST(expression) CAISSON_MUST_(CAISSON_CONCAT(must_result_, __COUNTER__), expression)
