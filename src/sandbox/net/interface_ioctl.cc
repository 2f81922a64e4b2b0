#include "sandbox/net/interface_ioctl.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {

template <typename T>
ErrnoOr<T> load(vfs::Caller& caller, std::uint64_t address) {
  T value;
  std::size_t copied =
      TRY(caller.memory().read(address, std::as_writable_bytes(std::span(&value, 1))));
  if (copied != sizeof value) return std::unexpected(Errno{EFAULT});
  return value;
}

template <typename T>
ErrnoOr<> store(vfs::Caller& caller, std::uint64_t address, const T& value) {
  std::size_t copied = TRY(caller.memory().write(address, std::as_bytes(std::span(&value, 1))));
  if (copied != sizeof value) return std::unexpected(Errno{EFAULT});
  return {};
}

sockaddr socket_address(const std::string& bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, bytes.data(), std::min<std::size_t>(bytes.size(), 4));
  sockaddr result;
  std::memcpy(&result, &address, sizeof result);
  return result;
}

sockaddr netmask(int prefix_length) {
  std::uint32_t mask = prefix_length == 0 ? 0 : htonl(~std::uint32_t{0} << (32 - prefix_length));
  return socket_address(std::string(reinterpret_cast<const char*>(&mask), sizeof mask));
}

const InterfaceAddress* first_address(const Interface& interface) {
  for (const auto& address : interface.addresses)
    if (address.family == AF_INET) return &address;
  return nullptr;
}

// The list of interfaces with an IPv4 address; a null buffer asks for the room that it needs.
ErrnoOr<std::int64_t> list_interfaces(const Network& network, vfs::Caller& caller,
                                      std::uint64_t argument) {
  struct Request {  // struct ifconf
    std::int32_t length, padding;
    std::uint64_t buffer;
  };
  auto request = TRY(load<Request>(caller, argument));
  std::int32_t used = 0;
  for (const auto& interface : network.topology().interfaces) {
    for (const auto& address : interface.addresses) {
      if (address.family != AF_INET) continue;
      ifreq entry{};
      interface.name.copy(entry.ifr_name, IFNAMSIZ - 1);
      entry.ifr_addr = socket_address(address.address);
      auto size = static_cast<std::int32_t>(sizeof entry);
      if (request.buffer != 0 && request.length - used < size) break;
      if (request.buffer != 0)
        TRY(store(caller, request.buffer + static_cast<std::uint64_t>(used), entry));
      used += size;
    }
  }
  request.length = used;
  TRY(store(caller, argument, request));
  return 0;
}

ErrnoOr<> fill_address(ifreq& entry, const Interface& interface, std::uint32_t request) {
  const InterfaceAddress* address = first_address(interface);
  if (address == nullptr) return std::unexpected(Errno{EADDRNOTAVAIL});
  switch (request) {
    case SIOCGIFNETMASK: entry.ifr_netmask = netmask(address->prefix_length); break;
    case SIOCGIFBRDADDR: entry.ifr_broadaddr = socket_address(address->broadcast); break;
    default: entry.ifr_addr = socket_address(address->address); break;
  }
  return {};
}

ErrnoOr<> fill(ifreq& entry, const Interface& interface, std::uint32_t request) {
  switch (request) {
    case SIOCGIFFLAGS: entry.ifr_flags = static_cast<short>(interface.flags); return {};
    case SIOCGIFMETRIC: entry.ifr_metric = 0; return {};
    case SIOCGIFMTU: entry.ifr_mtu = static_cast<int>(interface.mtu); return {};
    case SIOCGIFINDEX: entry.ifr_ifindex = interface.index; return {};
    case SIOCGIFTXQLEN: entry.ifr_qlen = 1000; return {};
    case SIOCGIFMAP: std::memset(&entry.ifr_map, 0, sizeof entry.ifr_map); return {};
    case SIOCGIFHWADDR:
      std::memset(&entry.ifr_hwaddr, 0, sizeof entry.ifr_hwaddr);
      entry.ifr_hwaddr.sa_family = interface.hardware_type;
      std::memcpy(entry.ifr_hwaddr.sa_data, interface.hardware_address.data(),
                  interface.hardware_address.size());
      return {};
    default: return fill_address(entry, interface, request);
  }
}

bool asks_one(std::uint32_t request) {
  constexpr std::uint32_t kRequests[] = {
      SIOCGIFFLAGS,  SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC,
      SIOCGIFHWADDR, SIOCGIFMTU,  SIOCGIFINDEX,   SIOCGIFTXQLEN,  SIOCGIFMAP};
  return std::ranges::find(kRequests, request) != std::end(kRequests);
}

bool changes_one(std::uint32_t request) {
  constexpr std::uint32_t kRequests[] = {
      SIOCSIFFLAGS, SIOCSIFADDR,   SIOCSIFDSTADDR, SIOCSIFBRDADDR, SIOCSIFNETMASK, SIOCSIFMETRIC,
      SIOCSIFMTU,   SIOCSIFHWADDR, SIOCSIFNAME,    SIOCSIFTXQLEN,  SIOCADDRT,      SIOCDELRT};
  return std::ranges::find(kRequests, request) != std::end(kRequests);
}

}  // namespace

ErrnoOr<std::int64_t> interface_ioctl(Network& network, vfs::Caller& caller, std::uint32_t request,
                                      std::uint64_t argument) {
  if (request == SIOCGIFCONF) return list_interfaces(network, caller, argument);
  if (changes_one(request)) return std::unexpected(Errno{EPERM});
  if (request != SIOCGIFNAME && !asks_one(request)) return std::unexpected(Errno{ENOTTY});
  auto entry = TRY(load<ifreq>(caller, argument));
  entry.ifr_name[IFNAMSIZ - 1] = '\0';
  for (const auto& interface : network.topology().interfaces) {
    if (request == SIOCGIFNAME && interface.index == entry.ifr_ifindex) {
      std::memset(entry.ifr_name, 0, IFNAMSIZ);
      interface.name.copy(entry.ifr_name, IFNAMSIZ - 1);
    } else if (request != SIOCGIFNAME && interface.name == entry.ifr_name) {
      TRY(fill(entry, interface, request));
    } else {
      continue;
    }
    TRY(store(caller, argument, entry));
    return 0;
  }
  return std::unexpected(Errno{ENODEV});
}

}  // namespace caisson::sandbox::net
