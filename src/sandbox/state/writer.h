// Writer: the objects of a kernel as a stream of bytes. Who is referred to gets a number and is
// written once, after those who refer to it; so cycles need nothing, and nobody's stack grows with
// the graph.
//
// What can be referred to has
//   state::Tag save_tag() const;             // kNone: it cannot be saved
//   Result<> save(state::Writer& to);        // an error says why not; the container runs on
// and its reader stands in the table that the Reader is given.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ref.h"
#include "base/result.h"
#include "base/text.h"
#include "sandbox/state/described.h"
#include "sandbox/state/services.h"
#include "sandbox/state/tag.h"

namespace caisson::sandbox::state {

class Writer {
 public:
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Services services;
  // What they need can be taken for granted: its absence is a programmer's mistake.
  template <typename T>
  T& need() const {
    T* found = services.find<T>();
    if (found == nullptr) missing_service();
    return *found;
  }

  // --- plain data
  template <typename... Parts>
  void operator()(const Parts&... parts) {
    (put(parts), ...);
  }
  void bytes(std::span<const std::byte> bytes);

  // --- objects. `note`: what the one who is being written has it for ("descriptor 5"), for errors.
  template <typename T>
  void refer(const Ref<T>& object, std::string note = {}) {
    refer(object.get(), std::move(note));
  }
  template <typename T>
  void refer(T* object, std::string note = {}) {
    if (object == nullptr) return number(0);
    const RefCounted* identity = object;  // the same for whatever its pointer is of
    number(
        number_of(identity, {object, object->save_tag(), &save_as<T>, writing_, std::move(note)}));
  }

  // Writes all that is referred to by now, and by that. What failed is named by who refers to it.
  Result<> write_objects();
  // The bytes, for seal().
  std::string take();

 private:
  using Save = Result<> (*)(void* object, Writer& to);
  struct Object {
    void* object;
    Tag tag;
    Save save;
    std::uint64_t referred_by;  // 0: by the root
    std::string note;
  };
  template <typename T>
  static Result<> save_as(void* object, Writer& to) {
    return static_cast<T*>(object)->save(to);
  }
  [[noreturn]] static void missing_service();
  std::uint64_t number_of(const RefCounted* identity, Object object);
  Result<> write_object(std::uint64_t number);
  std::string way_to(std::uint64_t number) const;

  void number(std::uint64_t value);
  template <typename T>
  void put(const T& value);

  std::string root_, current_;
  std::string records_;
  std::deque<Object> objects_;  // number n stands at n - 1
  std::unordered_map<const RefCounted*, std::uint64_t> numbers_;
  std::uint64_t written_ = 0;
  std::uint64_t writing_ = 0;  // 0: the root
};

// --- how each kind of value is written

namespace detail {
constexpr std::uint64_t fold(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}

template <typename T>
struct Shape;  // of containers
template <typename T>
struct Shape<std::optional<T>> {
  static void put(Writer& to, const std::optional<T>& value) {
    to(value.has_value());
    if (value) to(*value);
  }
};
template <typename T, std::size_t n>
struct Shape<std::array<T, n>> {
  static void put(Writer& to, const std::array<T, n>& value) {
    for (const T& each : value) to(each);
  }
};
template <typename A, typename B>
struct Shape<std::pair<A, B>> {
  static void put(Writer& to, const std::pair<A, B>& value) { to(value.first, value.second); }
};
template <typename T>
struct Shape<std::vector<T>> {
  static void put(Writer& to, const std::vector<T>& value) {
    to(value.size());
    for (const T& each : value) to(each);
  }
};
template <typename T>
struct Shape<std::deque<T>> {
  static void put(Writer& to, const std::deque<T>& value) {
    to(value.size());
    for (const T& each : value) to(each);
  }
};
template <typename K, typename V, typename... Rest>
struct Shape<std::map<K, V, Rest...>> {
  static void put(Writer& to, const std::map<K, V, Rest...>& value) {
    to(value.size());
    for (const auto& [key, each] : value) to(key, each);
  }
};
}  // namespace detail

template <typename T>
void Writer::put(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    put(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::signed_integral<T>) {
    number(detail::fold(value));
  } else if constexpr (std::unsigned_integral<T>) {
    number(static_cast<std::uint64_t>(value));
  } else if constexpr (std::convertible_to<T, std::string_view>) {
    bytes(std::as_bytes(std::span(std::string_view(value))));
  } else if constexpr (Described<T>) {
    describe(*this, const_cast<T&>(value));  // which only reads it
  } else {
    detail::Shape<T>::put(*this, value);
  }
}

}  // namespace caisson::sandbox::state
