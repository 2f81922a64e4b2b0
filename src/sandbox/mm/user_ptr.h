// UserPtr: an address in guest memory that is known to be of a T, and can only be copied from or
// to.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "base/result.h"
#include "sandbox/vfs/io.h"

namespace caisson::sandbox::mm {

template <typename T>
class UserPtr {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit UserPtr(std::uint64_t address = 0) : address_(address) {}
  std::uint64_t address() const { return address_; }
  explicit operator bool() const { return address_ != 0; }
  UserPtr at(std::uint64_t index) const { return UserPtr(address_ + index * sizeof(T)); }

  ErrnoOr<T> load(vfs::Memory& memory) const {
    T value;
    std::size_t copied = TRY(memory.read(address_, std::as_writable_bytes(std::span(&value, 1))));
    if (copied != sizeof(T)) return std::unexpected(Errno{14 /* EFAULT */});
    return value;
  }
  ErrnoOr<> store(vfs::Memory& memory, const T& value) const {
    std::size_t copied = TRY(memory.write(address_, std::as_bytes(std::span(&value, 1))));
    if (copied != sizeof(T)) return std::unexpected(Errno{14 /* EFAULT */});
    return {};
  }
  ErrnoOr<> load(vfs::Memory& memory, std::span<T> values) const {
    std::size_t copied = TRY(memory.read(address_, std::as_writable_bytes(values)));
    if (copied != values.size_bytes()) return std::unexpected(Errno{14 /* EFAULT */});
    return {};
  }
  ErrnoOr<> store(vfs::Memory& memory, std::span<const T> values) const {
    std::size_t copied = TRY(memory.write(address_, std::as_bytes(values)));
    if (copied != values.size_bytes()) return std::unexpected(Errno{14 /* EFAULT */});
    return {};
  }

 private:
  std::uint64_t address_;
};

}  // namespace caisson::sandbox::mm
