// rtnetlink(7): the few requests about network interfaces that we make.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/call.h"

namespace caisson::sys {

struct Link {
  int index = 0;
  std::uint32_t flags = 0;  // IFF_*
  std::string name;
};

struct InterfaceAddress {
  int index = 0;  // of the interface
  std::uint8_t family = 0, prefix_length = 0, scope = 0;
  std::uint32_t flags = 0;                // IFA_F_*
  std::string local, address, broadcast;  // in network byte order; empty: none
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

// Speaks with the network namespace in which it was opened, wherever its owner goes afterwards.
// Every answer is waited for at most some seconds (EAGAIN).
class RouteSocket {
 public:
  RouteSocket() = default;
  static ErrnoOr<RouteSocket> open();

  // ENODEV: none of that name.
  ErrnoOr<Link> link(std::string_view name);
  ErrnoOr<std::vector<InterfaceAddress>> addresses(int index);
  // To another network namespace, and there under `name`.
  ErrnoOr<> move(int index, FdRef ns, std::string_view name);
  ErrnoOr<> rename(int index, std::string_view name);
  ErrnoOr<> set_up(int index);
  // EEXIST: it has that address.
  ErrnoOr<> add_address(int index, const InterfaceAddress& address);

 private:
  explicit RouteSocket(Fd socket) : socket_(std::move(socket)) {}
  template <typename Take>
  ErrnoOr<> ask(std::string message, Take take);

  Fd socket_;
  std::uint32_t sequence_ = 0;
};

// One message of an answer, without its header; empty when it is malformed. For tests.
std::optional<Link> parse_link(std::string_view payload);
std::optional<InterfaceAddress> parse_address(std::string_view payload);

}  // namespace caisson::sys
