// Address: a struct sockaddr of any family as a guest gave it or will get it.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace caisson::sandbox::net {

class Address {
 public:
  static constexpr std::size_t kCapacity = sizeof(sockaddr_storage);

  Address() = default;
  // Bytes beyond the capacity are left out.
  explicit Address(std::span<const std::byte> bytes);
  // AF_UNIX; `path` begins with a null byte for an abstract name.
  static Address unix_name(std::string_view path);
  template <typename T>
  static Address of(const T& socket_address) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kCapacity);
    return Address(std::as_bytes(std::span(&socket_address, 1)));
  }

  bool empty() const { return length_ == 0; }
  std::uint32_t length() const { return length_; }
  std::span<const std::byte> bytes() const { return {bytes_.data(), length_}; }
  // AF_UNSPEC when there are too few bytes for one.
  sa_family_t family() const;
  // Zeroes stand for bytes that are not there.
  template <typename T>
  T as() const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kCapacity);
    T value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    return value;
  }
  // What follows the family.
  std::string_view tail() const;

 private:
  std::uint32_t length_ = 0;
  std::array<std::byte, kCapacity> bytes_{};
};

}  // namespace caisson::sandbox::net
