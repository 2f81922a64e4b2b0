// Reader: a stream that a Writer made as objects again. Nothing in it is believed: lengths,
// numbers, tags and what refers to what are checked, and a damaged stream is an error.
//
// An object is made when it is first asked for, by the function that its tag names in the table:
// that may ask for others. Where they ask for it in turn, it says made() before it goes on; what
// may be deep (directories) or needs others whole is put off by later().
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/described.h"
#include "sandbox/state/services.h"
#include "sandbox/state/tag.h"

namespace caisson::sandbox::state {

class Reader;

// How an object of one tag is made. `family`: what those who refer to it have it as.
struct Maker {
  Tag tag;
  const void* family;
  Result<Ref<RefCounted>> (*make)(Reader& from);
};

template <typename Family, auto restore>
constexpr Maker maker(Tag tag) {
  return {tag, &detail::kIdentity<Family>, [](Reader& from) -> Result<Ref<RefCounted>> {
            auto made = restore(from);
            if (!made) return std::unexpected(std::move(made).error());
            return Ref<RefCounted>(Ref<Family>(*std::move(made)));
          }};
}

class Reader {
 public:
  // The bytes and the table outlive it.
  static Result<std::unique_ptr<Reader>> open(std::string_view bytes,
                                              std::span<const Maker> makers);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Services services;
  template <typename T>
  T& need() const {
    T* found = services.find<T>();
    if (found == nullptr) missing_service();
    return *found;
  }

  // --- plain data. What cannot be read is empty, and the object that it is read for an error when
  // its maker returns; who cannot go on with that asks check() first.
  template <typename... Parts>
  void operator()(Parts&... parts) {
    (get(parts), ...);
  }
  template <typename T>
  T value() {
    T got{};
    get(got);
    return got;
  }
  std::span<const std::byte> bytes();
  // How many elements follow: no more than there are bytes.
  std::size_t count();
  Result<> check() const;
  void fail(std::string_view why);

  // --- objects
  template <typename T>
  Result<Ref<T>> object() {
    Ref<T> found = TRY(optional_object<T>());
    if (!found) return std::unexpected(damaged("an object is missing"));
    return found;
  }
  template <typename T>
  Result<Ref<T>> optional_object() {
    Ref<RefCounted> found = TRY(find(&detail::kIdentity<T>));
    return Ref<T>::share(static_cast<T*>(found.get()));
  }
  // The one whose maker is running, for those that it refers to.
  template <typename T>
  void made(const Ref<T>& object) {
    keep(object);
  }
  // Runs when all that was asked for by then has been made, with the rest of the object's bytes.
  void later(std::function<Result<>(Reader&)> work);
  // Does what was put off so far: all that was asked for is whole then.
  Result<> settle();
  // The same after the last read of the root.
  Result<> finish();

  static Error damaged(std::string_view why);

 private:
  struct Record {
    Tag tag;
    std::string_view bytes;
    Ref<RefCounted> object;
    const void* family = nullptr;
    bool begun = false;
  };
  struct PutOff {
    std::function<Result<>(Reader&)> work;
    std::string_view rest;
    Tag tag;
  };
  // Objects that are made for each other: a chain of directories, at the most.
  static constexpr int kDeepest = 5000;

  Reader(std::string_view bytes, std::span<const Maker> makers) : rest_(bytes), makers_(makers) {}
  Result<> read_records();
  [[noreturn]] static void missing_service();
  std::uint64_t number();
  Result<Ref<RefCounted>> find(const void* family);
  Result<> make(Record& record);
  void keep(Ref<RefCounted> object);
  template <typename T>
  void get(T& value);

  std::string_view rest_;
  std::string_view failure_;  // why; empty: all is well
  std::span<const Maker> makers_;
  std::vector<Record> records_;  // number n stands at n - 1
  Record* making_ = nullptr;
  bool put_off_ = false;  // by the one who is being made: its bytes are used up later
  int depth_ = 0;
  std::deque<PutOff> later_;
};

// --- how each kind of value is read

namespace detail {
constexpr std::int64_t unfold(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

template <typename T>
struct Form;  // of containers
template <typename T>
struct Form<std::optional<T>> {
  static void get(Reader& from, std::optional<T>& value) {
    value.reset();
    if (from.value<bool>()) value = from.value<T>();
  }
};
template <typename T, std::size_t n>
struct Form<std::array<T, n>> {
  static void get(Reader& from, std::array<T, n>& value) {
    for (T& each : value) from(each);
  }
};
template <typename A, typename B>
struct Form<std::pair<A, B>> {
  static void get(Reader& from, std::pair<A, B>& value) { from(value.first, value.second); }
};
template <typename T>
struct Form<std::vector<T>> {
  static void get(Reader& from, std::vector<T>& value) {
    value.clear();
    for (std::size_t left = from.count(); left != 0 && from.check(); --left)
      value.push_back(from.value<T>());
  }
};
template <typename T>
struct Form<std::deque<T>> {
  static void get(Reader& from, std::deque<T>& value) {
    value.clear();
    for (std::size_t left = from.count(); left != 0 && from.check(); --left)
      value.push_back(from.value<T>());
  }
};
template <typename K, typename V, typename... Rest>
struct Form<std::map<K, V, Rest...>> {
  static void get(Reader& from, std::map<K, V, Rest...>& value) {
    value.clear();
    for (std::size_t left = from.count(); left != 0 && from.check(); --left) {
      K key = from.value<K>();
      value.insert_or_assign(std::move(key), from.value<V>());
    }
  }
};
}  // namespace detail

template <typename T>
void Reader::get(T& value) {
  if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(this->value<std::underlying_type_t<T>>());
  } else if constexpr (std::same_as<T, bool>) {
    std::uint64_t got = number();
    if (got > 1) fail("a truth value is none");
    value = got == 1;
  } else if constexpr (std::signed_integral<T>) {
    std::int64_t got = detail::unfold(number());
    if (got < std::numeric_limits<T>::min() || got > std::numeric_limits<T>::max())
      fail("a number is out of range"), got = 0;
    value = static_cast<T>(got);
  } else if constexpr (std::unsigned_integral<T>) {
    std::uint64_t got = number();
    if (got > std::numeric_limits<T>::max()) fail("a number is out of range"), got = 0;
    value = static_cast<T>(got);
  } else if constexpr (std::same_as<T, std::string>) {
    auto got = bytes();
    value.assign(reinterpret_cast<const char*>(got.data()), got.size());
  } else if constexpr (Described<T>) {
    describe(*this, value);
  } else {
    detail::Form<T>::get(*this, value);
  }
}

}  // namespace caisson::sandbox::state
