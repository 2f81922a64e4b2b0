// Options of SOL_SOCKET (socket(7)). Which there are for which family, and what is wrong with a
// value in which order, is as net/core/sock.c of Linux 6.18 has it.
#include <linux/capability.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "sandbox/net/endpoint.h"
#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {

// Headers older than Linux 6.16 lack them.
constexpr int kReceivePriority = 82, kPassRights = 83;

constexpr int kFlagOptions[] = {
    SO_DEBUG,       SO_REUSEADDR,    SO_DONTROUTE,        SO_BROADCAST,        SO_KEEPALIVE,
    SO_OOBINLINE,   SO_NO_CHECK,     SO_REUSEPORT,        SO_PASSCRED,         SO_TIMESTAMP,
    SO_PASSSEC,     SO_TIMESTAMPNS,  SO_RXQ_OVFL,         SO_WIFI_STATUS,      SO_NOFCS,
    SO_LOCK_FILTER, SO_TIMESTAMPING, SO_ZEROCOPY,         SO_TIMESTAMP_NEW,    SO_TIMESTAMPNS_NEW,
    SO_TXREHASH,    SO_RCVMARK,      SO_SELECT_ERR_QUEUE, SO_PREFER_BUSY_POLL, kReceivePriority,
    kPassRights,
};

constexpr int kBufferMaximum = 4 << 20;  // net.core.{w,r}mem_max
constexpr int kSendMinimum = 4608, kReceiveMinimum = 2304;
constexpr int kFilterExtensions = 64;  // SO_BPF_EXTENSIONS

bool is_flag(int name) { return std::ranges::find(kFlagOptions, name) != std::end(kFlagOptions); }

// Twice what was asked for, as Linux does for its own overhead.
int doubled(int value, int least, bool forced) {
  if (!forced) {
    std::uint32_t bounded =
        std::min(static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(kBufferMaximum));
    return std::max(static_cast<int>(bounded) * 2, least);
  }
  int bounded = std::clamp(value, 0, std::numeric_limits<int>::max() / 2);
  return std::max(bounded * 2, least);
}

template <typename T>
T value_of(std::span<const std::byte> bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

constexpr std::int64_t kSecond = 1'000'000'000;

ErrnoOr<std::int64_t> timeout_of(const timeval& time) {
  if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return std::unexpected(Errno{EDOM});
  if (time.tv_sec < 0) return 0;  // has passed already
  if (time.tv_sec == 0 && time.tv_usec == 0) return -1;
  if (time.tv_sec >= std::numeric_limits<std::int64_t>::max() / kSecond - 1) return -1;
  return time.tv_sec * kSecond + time.tv_usec * 1000;
}

timeval timeval_of(std::int64_t nanoseconds) {
  if (nanoseconds < 0) return {.tv_sec = 0, .tv_usec = 0};
  return {.tv_sec = nanoseconds / kSecond, .tv_usec = nanoseconds % kSecond / 1000};
}

}  // namespace

// Families differ in what they know at all.
bool Endpoint::has_option(int name) const {
  bool is_unix = domain_ == AF_UNIX;
  bool passes = is_unix || domain_ == AF_NETLINK;
  switch (name) {
    case SO_PASSCRED:
    case SO_PASSSEC: return passes;
    case kPassRights: return is_unix;
    case SO_TXREHASH: return (domain_ == AF_INET || domain_ == AF_INET6) && is_stream();
    default: return true;
  }
}

ErrnoOr<> Endpoint::may_set(int name, int value, Requester& requester) const {
  const vfs::Credentials& credentials = requester.credentials();
  bool admin = credentials.has(CAP_NET_ADMIN);
  bool raw = credentials.has(CAP_NET_RAW);
  bool allowed = true;
  switch (name) {
    case SO_DEBUG:
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE: allowed = admin || (name == SO_DEBUG && value == 0); break;
    case SO_PRIORITY: allowed = (value >= 0 && value <= 6) || admin || raw; break;
    case SO_MARK:
    case SO_RCVMARK: allowed = admin || raw; break;
    case SO_BUSY_POLL:
      if (value < 0) return std::unexpected(Errno{EINVAL});
      allowed = value <= options_.busy_poll || admin;
      break;
    case SO_PREFER_BUSY_POLL:
    case SO_BUSY_POLL_BUDGET: allowed = value == 0 || admin; break;
    case SO_LOCK_FILTER: allowed = value != 0 || !options_.flag(name); break;
    default: break;
  }
  if (!allowed) return std::unexpected(Errno{EPERM});
  return {};
}

ErrnoOr<> Endpoint::set_number_option(int name, int value, Requester& requester) {
  TRY(may_set(name, value, requester));
  switch (name) {
    case SO_SNDBUF: options_.send_buffer = doubled(value, kSendMinimum, false); return {};
    case SO_SNDBUFFORCE: options_.send_buffer = doubled(value, kSendMinimum, true); return {};
    case SO_RCVBUF: options_.receive_buffer = doubled(value, kReceiveMinimum, false); return {};
    case SO_RCVBUFFORCE: options_.receive_buffer = doubled(value, kReceiveMinimum, true); return {};
    case SO_RCVLOWAT:
      options_.receive_low_water = value < 0 ? std::numeric_limits<int>::max() : std::max(value, 1);
      return {};
    case SO_PRIORITY: options_.priority = value; return {};
    case SO_MARK: options_.mark = value; return {};
    case SO_PEEK_OFF: options_.peek_offset = value; return {};
    case SO_INCOMING_CPU: options_.incoming_cpu = value; return {};
    case SO_BUSY_POLL: options_.busy_poll = value; return {};
    case SO_BUSY_POLL_BUDGET:
      if (value < 0 || value > 0xffff) return std::unexpected(Errno{EINVAL});
      options_.busy_poll_budget = value;
      return {};
    case SO_BUF_LOCK:
      if ((value & ~3) != 0) return std::unexpected(Errno{EINVAL});
      options_.buffer_lock = value;
      return {};
    case SO_BINDTOIFINDEX:
      if (value < 0) return std::unexpected(Errno{EINVAL});
      options_.interface = value;
      return {};
    case SO_BSDCOMPAT:
    case SO_CNX_ADVICE: return {};                                 // nothing here depends on them
    case SO_DETACH_FILTER: return std::unexpected(Errno{ENOENT});  // none is ever attached
    case SO_ATTACH_FILTER:
    case SO_ATTACH_BPF:
    case SO_ATTACH_REUSEPORT_CBPF:
    case SO_ATTACH_REUSEPORT_EBPF: return std::unexpected(Errno{EPERM});  // no BPF in here
    default: return std::unexpected(Errno{ENOPROTOOPT});
  }
}

ErrnoOr<> Endpoint::set_long_option(int name, std::span<const std::byte> value) {
  if (name == SO_LINGER) {
    if (value.size() < sizeof(linger)) return std::unexpected(Errno{EINVAL});
    auto wanted = value_of<linger>(value);
    options_.linger_s = wanted.l_linger;
    options_.set_flag(SO_LINGER, wanted.l_onoff != 0);
    return {};
  }
  if (name == SO_MAX_PACING_RATE) {
    if (value.size() < sizeof(std::uint64_t)) {
      auto rate = value_of<std::uint32_t>(value);
      options_.pacing_rate = rate == ~0U ? ~std::uint64_t{0} : rate;
    } else {
      options_.pacing_rate = value_of<std::uint64_t>(value);
    }
    return {};
  }
  if (value.size() < sizeof(timeval)) return std::unexpected(Errno{EINVAL});
  std::int64_t timeout = TRY(timeout_of(value_of<timeval>(value)));
  bool receive = name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW;
  (receive ? options_.receive_timeout_ns : options_.send_timeout_ns) = timeout;
  return {};
}

ErrnoOr<> Endpoint::set_socket_option(int name, std::span<const std::byte> value,
                                      Requester& requester) {
  if (name == SO_BINDTODEVICE) {
    std::string_view device(reinterpret_cast<const char*>(value.data()), value.size());
    device = device.substr(0, device.find('\0'));
    if (device.empty() || network().interface_index(device)) return {};
    return std::unexpected(Errno{ENODEV});
  }
  if (value.size() < sizeof(int)) return std::unexpected(Errno{EINVAL});
  int number = value_of<int>(value);
  switch (name) {
    case SO_LINGER:
    case SO_MAX_PACING_RATE:
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW: TRY(set_long_option(name, value)); break;
    default:
      if (!is_flag(name)) {
        TRY(set_number_option(name, number, requester));
        break;
      }
      if (!has_option(name)) return std::unexpected(Errno{EOPNOTSUPP});
      if (domain_ == AF_UNIX && number != 0 && (name == SO_REUSEPORT || name == SO_ZEROCOPY))
        return std::unexpected(Errno{EOPNOTSUPP});
      TRY(may_set(name, number, requester));
      options_.set_flag(name, number != 0);
  }
  option_changed(name);
  return {};
}

std::optional<int> Endpoint::number_option(int name) {
  switch (name) {
    case SO_TYPE: return type_;
    case SO_DOMAIN: return domain_;
    case SO_PROTOCOL: return protocol_;
    case SO_ERROR: return take_error();
    case SO_ACCEPTCONN: return is_listening() ? 1 : 0;
    case SO_SNDBUF: return options_.send_buffer;
    case SO_RCVBUF: return options_.receive_buffer;
    case SO_RCVLOWAT: return options_.receive_low_water;
    case SO_SNDLOWAT: return 1;
    case SO_PRIORITY: return options_.priority;
    case SO_MARK: return options_.mark;
    case SO_PEEK_OFF: return options_.peek_offset;
    case SO_INCOMING_CPU: return options_.incoming_cpu;
    case SO_BUSY_POLL: return options_.busy_poll;
    case SO_BUF_LOCK: return options_.buffer_lock;
    case SO_BPF_EXTENSIONS: return kFilterExtensions;
    case SO_BINDTOIFINDEX: return options_.interface;
    case SO_BSDCOMPAT:
    case SO_INCOMING_NAPI_ID: return 0;
    default: return std::nullopt;
  }
}

ErrnoOr<std::string> Endpoint::socket_option(int name, std::uint32_t length, Requester& requester) {
  if (is_flag(name)) {
    if (!has_option(name)) return std::unexpected(Errno{EOPNOTSUPP});
    return option_bytes(options_.flag(name) ? 1 : 0);
  }
  if (auto number = number_option(name)) return option_bytes(*number);
  switch (name) {
    case SO_LINGER:
      return option_bytes(
          linger{.l_onoff = options_.flag(SO_LINGER), .l_linger = options_.linger_s});
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW: return option_bytes(timeval_of(options_.receive_timeout_ns));
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW: return option_bytes(timeval_of(options_.send_timeout_ns));
    case SO_MAX_PACING_RATE:
      if (length < sizeof(std::uint64_t)) {
        auto rate = std::min<std::uint64_t>(options_.pacing_rate, ~std::uint32_t{0});
        return option_bytes(static_cast<std::uint32_t>(rate));
      }
      return option_bytes(options_.pacing_rate.load());
    case SO_COOKIE:
      if (length < sizeof(std::uint64_t)) return std::unexpected(Errno{EINVAL});
      return option_bytes(inode_number());
    case SO_PEERNAME: {
      auto peer = peer_address();
      if (!peer) return std::unexpected(Errno{ENOTCONN});
      if (peer->length() < length) return std::unexpected(Errno{EINVAL});
      return std::string(reinterpret_cast<const char*>(peer->bytes().data()), length);
    }
    case SO_BINDTODEVICE: return std::string();
    case SO_PEERCRED:
    case SO_PEERSEC:
    case SO_PEERGROUPS: return peer_option(name, requester);
    default: return std::unexpected(Errno{ENOPROTOOPT});
  }
}

}  // namespace caisson::sandbox::net
