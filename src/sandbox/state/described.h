// Plain data in a stream: a struct says once what it consists of, for both directions, by
//
//   template <typename Stream>
//   void describe(Stream& stream, Limit& limit) { stream(limit.soft, limit.hard); }
//
// beside it. Numbers, enumerations, texts and the containers of these need nothing.
#pragma once

#include <concepts>
#include <type_traits>

namespace caisson::sandbox::state {

// Stands for Writer and Reader where it is asked whether a type describes itself.
struct AnyStream {
  template <typename... Parts>
  void operator()(Parts&... parts);
};

template <typename T>
concept Described = requires(AnyStream& stream, T& value) { describe(stream, value); };

template <typename T>
concept Number = std::integral<T> || std::is_enum_v<T>;

}  // namespace caisson::sandbox::state
