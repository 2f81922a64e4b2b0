#include "sandbox/net/address.h"

#include <algorithm>

namespace caisson::sandbox::net {

Address::Address(std::span<const std::byte> bytes)
    : length_(static_cast<std::uint32_t>(std::min(bytes.size(), kCapacity))) {
  std::copy_n(bytes.begin(), length_, bytes_.begin());
}

Address Address::unix_name(std::string_view path) {
  Address address;
  sa_family_t family = AF_UNIX;
  std::size_t length = std::min(path.size(), kCapacity - sizeof family);
  std::memcpy(address.bytes_.data(), &family, sizeof family);
  std::memcpy(address.bytes_.data() + sizeof family, path.data(), length);
  address.length_ = static_cast<std::uint32_t>(sizeof family + length);
  return address;
}

sa_family_t Address::family() const {
  return length_ < sizeof(sa_family_t) ? sa_family_t{AF_UNSPEC} : as<sa_family_t>();
}

std::string_view Address::tail() const {
  if (length_ <= sizeof(sa_family_t)) return {};
  const auto* first = reinterpret_cast<const char*>(bytes_.data());
  return {first + sizeof(sa_family_t), length_ - sizeof(sa_family_t)};
}

}  // namespace caisson::sandbox::net
