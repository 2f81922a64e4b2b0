// Options of IP, IPv6, TCP and UDP. Most of them shape packets, of which there are none: they are
// taken, checked and given back.
#include <linux/capability.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "sandbox/net/host_endpoint.h"
#include "sandbox/net/inet_endpoint.h"
#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {

constexpr int kAny = std::numeric_limits<int>::max();

// An option that is a number: what it is at first, and what it may be; `flag`: 0 or 1 whatever is
// given.
struct NumberOption {
  int level, name, initial, least, most;
  bool flag = false;
};

constexpr NumberOption kOptions[] = {
    {IPPROTO_IP, IP_TOS, 0, 0, 255},
    {IPPROTO_IP, IP_TTL, 64, -1, 255},
    {IPPROTO_IP, IP_PKTINFO, 0, 0, 0, true},
    {IPPROTO_IP, IP_RECVTTL, 0, 0, 0, true},
    {IPPROTO_IP, IP_RECVTOS, 0, 0, 0, true},
    {IPPROTO_IP, IP_RECVOPTS, 0, 0, 0, true},
    {IPPROTO_IP, IP_RETOPTS, 0, 0, 0, true},
    {IPPROTO_IP, IP_RECVERR, 0, 0, 0, true},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, 0, 0, 0, true},
    {IPPROTO_IP, IP_FREEBIND, 0, 0, 0, true},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 0, 0, true},
    {IPPROTO_IP, IP_MTU_DISCOVER, 1, 0, 5},
    {IPPROTO_IP, IP_MULTICAST_TTL, 1, -1, 255},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 1, 0, 0, true},
    {IPPROTO_IP, IP_MULTICAST_ALL, 1, 0, 1},
    {IPPROTO_IP, IP_TRANSPARENT, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_V6ONLY, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, -1, 255},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1, -1, 255},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, 0, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 1, 0, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, 0, 0, 1},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, 0, 0, 1},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_RECVERR, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_TCLASS, 0, -1, 255},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, 0, 5},
    {IPPROTO_IPV6, IPV6_DONTFRAG, 0, 0, 0, true},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1, 0, 0, true},
    {IPPROTO_IPV6, IPV6_FREEBIND, 0, 0, 0, true},
    {IPPROTO_TCP, TCP_NODELAY, 0, 0, 0, true},
    {IPPROTO_TCP, TCP_CORK, 0, 0, 0, true},
    {IPPROTO_TCP, TCP_MAXSEG, 536, 88, 32767},
    {IPPROTO_TCP, TCP_KEEPIDLE, 7200, 1, 32767},
    {IPPROTO_TCP, TCP_KEEPINTVL, 75, 1, 32767},
    {IPPROTO_TCP, TCP_KEEPCNT, 9, 1, 127},
    {IPPROTO_TCP, TCP_SYNCNT, 6, 1, 127},
    {IPPROTO_TCP, TCP_LINGER2, 60, -kAny, kAny},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, -kAny, kAny},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0, kAny},
    {IPPROTO_TCP, TCP_QUICKACK, 1, 0, 0, true},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0, kAny},
    {IPPROTO_TCP, TCP_FASTOPEN, 0, 0, kAny},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, 0, 1},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, -kAny, kAny},
    {IPPROTO_TCP, TCP_TIMESTAMP, 0, -kAny, kAny},
    {IPPROTO_TCP, TCP_INQ, 0, 0, 1},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0, 0, 1},
    {IPPROTO_TCP, TCP_THIN_DUPACK, 0, 0, 1},
    {IPPROTO_TCP, TCP_SAVE_SYN, 0, 0, 2},
    {IPPROTO_UDP, UDP_CORK, 0, 0, 0, true},
    {IPPROTO_UDP, UDP_SEGMENT, 0, 0, 65535},
    {IPPROTO_UDP, UDP_GRO, 0, 0, 0, true},
    {IPPROTO_UDP, UDP_NO_CHECK6_TX, 0, 0, 0, true},
    {IPPROTO_UDP, UDP_NO_CHECK6_RX, 0, 0, 0, true},
};

const NumberOption* find_option(int level, int name) {
  for (const auto& option : kOptions)
    if (option.level == level && option.name == name) return &option;
  return nullptr;
}

// Options of IP may be given as one byte.
std::optional<int> number_of(std::span<const std::byte> value, bool byte_allowed) {
  if (value.size() >= sizeof(int)) {
    int number;
    std::memcpy(&number, value.data(), sizeof number);
    return number;
  }
  if (byte_allowed && !value.empty()) return static_cast<int>(value.front());
  return std::nullopt;
}

bool joins_group(int level, int name) {
  if (level == IPPROTO_IP)
    return name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP || name == IP_MULTICAST_IF ||
           name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP;
  return name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP || name == MCAST_JOIN_GROUP ||
         name == MCAST_LEAVE_GROUP;
}

}  // namespace

bool is_number_option(int level, int name) { return find_option(level, name) != nullptr; }

std::optional<int> InetEndpoint::option_value(int level, int name) const {
  const NumberOption* option = find_option(level, name);
  if (option == nullptr) return std::nullopt;
  Locked lock(mutex());
  auto found = values_.find({level, name});
  return found == values_.end() ? option->initial : found->second;
}

bool InetEndpoint::option_is_on(int level, int name) const {
  return option_value(level, name).value_or(0) != 0;
}

void InetEndpoint::inherit_values(const InetEndpoint& listener) {
  std::map<std::pair<int, int>, int> values;
  {
    Locked lock(listener.mutex());
    values = listener.values_;
  }
  Locked lock(mutex());
  values_ = std::move(values);
}

ErrnoOr<> InetEndpoint::set_special_option(int level, int name, int value, Requester& requester) {
  if (level == IPPROTO_IP && name == IP_TRANSPARENT && value != 0) {
    const auto& credentials = requester.credentials();
    if (!credentials.has(CAP_NET_ADMIN) && !credentials.has(CAP_NET_RAW))
      return std::unexpected(Errno{EPERM});
  }
  if (level == IPPROTO_IP && name == IP_TTL && value == 0) return std::unexpected(Errno{EINVAL});
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
    Locked lock(mutex());
    if (local_.port != 0) return std::unexpected(Errno{EINVAL});
  }
  return {};
}

ErrnoOr<> InetEndpoint::set_protocol_option(int level, int name, std::span<const std::byte> value,
                                            Requester& requester) {
  bool known = level == IPPROTO_IP || (level == IPPROTO_IPV6 && is_v6()) ||
               level == (is_stream() ? IPPROTO_TCP : IPPROTO_UDP);
  if (!known) return std::unexpected(Errno{ENOPROTOOPT});
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    std::string_view wanted(reinterpret_cast<const char*>(value.data()), value.size());
    wanted = wanted.substr(0, wanted.find('\0'));
    if (wanted.empty()) return std::unexpected(Errno{EINVAL});
    if (wanted == "cubic" || wanted == "reno") return {};
    return std::unexpected(Errno{ENOENT});
  }
  // Groups have members on other machines only.
  if (level != IPPROTO_TCP && level != IPPROTO_UDP && joins_group(level, name))
    return std::unexpected(Errno{ENODEV});
  const NumberOption* option = find_option(level, name);
  if (option == nullptr) return std::unexpected(Errno{ENOPROTOOPT});
  auto number = number_of(value, level == IPPROTO_IP);
  if (!number) return std::unexpected(Errno{EINVAL});
  TRY(set_special_option(level, name, *number, requester));
  if (level == IPPROTO_IP && name == IP_TOS) *number &= 0xff;
  // The bits of congestion notification are TCP's own.
  bool is_class = (level == IPPROTO_IP && name == IP_TOS) ||
                  (level == IPPROTO_IPV6 && name == IPV6_TCLASS && *number <= 0xff);
  if (is_stream() && is_class && *number >= 0) *number &= ~3;
  if (option->flag) *number = *number != 0 ? 1 : 0;
  if (!option->flag && (*number < option->least || *number > option->most))
    return std::unexpected(Errno{EINVAL});
  if (*number == -1 && option->least == -1) *number = option->initial;
  Locked lock(mutex());
  values_[{level, name}] = *number;
  return {};
}

ErrnoOr<std::string> InetEndpoint::protocol_option(int level, int name, std::uint32_t length,
                                                   Requester&) {
  bool known = level == IPPROTO_IP || (level == IPPROTO_IPV6 && is_v6()) ||
               level == (is_stream() ? IPPROTO_TCP : IPPROTO_UDP);
  if (!known) return std::unexpected(Errno{is_v6() ? ENOPROTOOPT : EOPNOTSUPP});
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    std::string algorithm = "cubic";
    algorithm.resize(16);  // TCP_CA_NAME_MAX
    return algorithm;
  }
  if (level == IPPROTO_TCP && name == TCP_INFO) return tcp_info();
  if (level == IPPROTO_IP && name == IP_OPTIONS) return std::string();
  auto value = option_value(level, name);
  if (!value) return std::unexpected(Errno{ENOPROTOOPT});
  // A short buffer gets a small number as one byte.
  if (level == IPPROTO_IP && length < sizeof(int) && length > 0 && *value >= 0 && *value <= 255)
    return std::string(1, static_cast<char>(*value));
  return option_bytes(*value);
}

}  // namespace caisson::sandbox::net
