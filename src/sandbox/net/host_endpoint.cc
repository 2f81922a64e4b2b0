#include "sandbox/net/host_endpoint.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "sandbox/net/network.h"
#include "sys/inet_socket.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kPiece = 65536;  // one copy between guest and host; the longest datagram
constexpr int kSendFlags = MSG_OOB | MSG_DONTROUTE | MSG_EOR | MSG_CONFIRM | MSG_MORE;
constexpr int kReceiveFlags = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;
constexpr int kFlagsToGuest = MSG_TRUNC | MSG_OOB | MSG_EOR | MSG_ERRQUEUE;
constexpr vfs::ReadyMask kAsked =
    POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;

// Options of SOL_SOCKET that the host's socket has to know. The others concern the guest's side
// alone (timeouts), or what a guest may not do to the host (marks, devices, filters).
constexpr int kPassedFlags[] = {SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST, SO_KEEPALIVE,
                                SO_OOBINLINE, SO_DONTROUTE, SO_TIMESTAMP, SO_TIMESTAMPNS};

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// Control messages that speak of packets; no others reach the guest.
bool may_pass(const cmsghdr& header) {
  if (header.cmsg_level == IPPROTO_IP || header.cmsg_level == IPPROTO_IPV6) return true;
  if (header.cmsg_level != SOL_SOCKET) return false;
  return header.cmsg_type == SO_TIMESTAMP || header.cmsg_type == SO_TIMESTAMPNS;
}

std::vector<ControlMessage> control_of(msghdr& message) {
  std::vector<ControlMessage> controls;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (!may_pass(*header)) continue;
    std::string bytes(reinterpret_cast<const char*>(CMSG_DATA(header)),
                      header->cmsg_len - CMSG_LEN(0));
    controls.push_back(
        {.level = header->cmsg_level, .type = header->cmsg_type, .bytes = std::move(bytes)});
  }
  return controls;
}

}  // namespace

HostEndpoint::HostEndpoint(Ref<Network> network, int domain, int type, int protocol, Fd fd)
    : Endpoint(std::move(network), domain, type, protocol),
      fd_(std::move(fd)),
      poller_(this->network().host_poller()) {}

HostEndpoint::~HostEndpoint() {
  if (watched_) poller_->remove(*this, fd_);
}

ErrnoOr<Ref<Endpoint>> HostEndpoint::create(Ref<Network> network, int domain, int type,
                                            int protocol) {
  Fd fd = TRY(sys::inet_socket(domain, type, protocol));
  return adopt(std::move(network), domain, type, protocol, std::move(fd));
}

ErrnoOr<Ref<Endpoint>> HostEndpoint::adopt(Ref<Network> network, int domain, int type, int protocol,
                                           Fd fd) {
  auto endpoint = Ref<HostEndpoint>::adopt(
      new HostEndpoint(std::move(network), domain, type, protocol, std::move(fd)));
  TRY(endpoint->poller_->add(*endpoint, endpoint->fd_));
  endpoint->watched_ = true;
  endpoint->read_buffer_sizes();
  return Ref<Endpoint>(std::move(endpoint));
}

void HostEndpoint::close() {
  if (watched_) poller_->remove(*this, fd_);
  watched_ = false;
}

void HostEndpoint::ask(vfs::ReadyMask events) {
  poller_->arm(*this, fd_, asked_.fetch_or(events) | events);
}

// A report disarms all that was asked for: those who wait for the rest look again and ask again.
void HostEndpoint::host_ready(vfs::ReadyMask ready) { queue().notify(ready | asked_.exchange(0)); }

template <typename T>
ErrnoOr<T> HostEndpoint::or_ask(ErrnoOr<T> result, vfs::ReadyMask events) {
  if (!result && result.error().value == EAGAIN) ask(events);
  return result;
}

// This process has the capability for its guests, who may lack it.
ErrnoOr<> HostEndpoint::bind(const Address& address, Requester& requester) {
  // The port stands at the same place in both families.
  std::uint16_t port = ntohs(address.as<sockaddr_in>().sin_port);
  bool has_port = address.family() == AF_INET || address.family() == AF_INET6;
  if (has_port && port != 0 && port < network().topology().unprivileged_ports &&
      !requester.credentials().has(CAP_NET_BIND_SERVICE))
    return std::unexpected(Errno{EACCES});
  return sys::bind(fd_, address.bytes());
}

ErrnoOr<> HostEndpoint::listen(int backlog, Requester&) {
  TRY(sys::listen(fd_, backlog));
  listening_ = true;
  ask(POLLIN);  // who watched it before saw a hang-up, and asked for nothing
  return {};
}

ErrnoOr<> HostEndpoint::connect(const Address& address, Requester&) {
  auto connected = sys::connect(fd_, address.bytes());
  bool goes_on =
      !connected && (connected.error().value == EINPROGRESS || connected.error().value == EALREADY);
  if (goes_on) ask(POLLOUT);
  return connected;
}

ErrnoOr<> HostEndpoint::finish_connect() {
  if (sys::poll_now(fd_, POLLOUT) == 0) {
    ask(POLLOUT);
    return std::unexpected(Errno{EAGAIN});
  }
  int error = take_error();
  if (error != 0) return std::unexpected(Errno{error});
  return {};
}

ErrnoOr<Ref<Endpoint>> HostEndpoint::accept(bool) {
  Fd fd = TRY(or_ask(sys::accept_nonblocking(fd_), POLLIN));
  auto accepted =
      TRY(adopt(Ref<Network>::share(&network()), domain(), type(), protocol(), std::move(fd)));
  for (int name : kPassedFlags) accepted->options().set_flag(name, options().flag(name));
  return accepted;
}

ErrnoOr<Address> HostEndpoint::name(bool of_peer) {
  std::array<std::byte, Address::kCapacity> bytes;
  std::size_t length = TRY(sys::socket_name(fd_, of_peer, bytes));
  return Address(std::span(bytes).first(std::min(length, bytes.size())));
}

ErrnoOr<std::size_t> HostEndpoint::send_piece(SendRequest& request) {
  // A datagram that is longer than any is refused by the host, which must see that it is.
  std::size_t size = std::min<std::size_t>(request.data.remaining(), kPiece);
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  if (size != 0) {
    std::size_t copied = TRY(request.data.peek({bytes.get(), size}));
    if (copied != size) return std::unexpected(Errno{EFAULT});
  }
  std::span<const std::byte> to;
  if (request.to != nullptr) to = request.to->bytes();
  std::size_t sent =
      TRY(or_ask(sys::send_to(fd_, {bytes.get(), size}, request.flags & kSendFlags, to), POLLOUT));
  request.data.skip(sent);
  return sent;
}

ErrnoOr<std::size_t> HostEndpoint::send(SendRequest& request) {
  if (!is_stream()) return send_piece(request);
  std::size_t total = TRY(send_piece(request));
  while (request.data.remaining() != 0) {
    auto sent = send_piece(request);
    if (!sent) break;
    total += *sent;
  }
  return total;
}

ErrnoOr<Received> HostEndpoint::receive(ReceiveRequest& request) {
  std::size_t size = std::min<std::size_t>(request.data.remaining(), kPiece);
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  alignas(cmsghdr) std::array<std::byte, 512> control;
  sockaddr_storage from;
  iovec segment{.iov_base = bytes.get(), .iov_len = size};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &segment;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  std::size_t got = TRY(or_ask(sys::receive(fd_, message, request.flags & kReceiveFlags), POLLIN));
  // Bytes that are left, or come, are an event to edge-triggered watchers even now.
  if (!queue().empty()) ask(POLLIN);
  Received received;
  received.bytes = got;
  received.flags = message.msg_flags & kFlagsToGuest;
  if (message.msg_namelen != 0)
    received.from =
        Address(bytes_of(from).first(std::min<std::size_t>(message.msg_namelen, sizeof from)));
  received.control = control_of(message);
  bool discarded = is_stream() && (request.flags & MSG_TRUNC) != 0;
  std::size_t wanted = discarded ? 0 : std::min(got, size);
  if (wanted == 0) return received;
  std::size_t copied = TRY(request.data.put({bytes.get(), wanted}));
  if (copied != wanted) return std::unexpected(Errno{EFAULT});
  return received;
}

ErrnoOr<> HostEndpoint::shutdown(int how) {
  TRY(sys::shutdown(fd_, how));
  if (how != SHUT_WR) listening_ = false;
  return {};
}

vfs::ReadyMask HostEndpoint::ready() {
  vfs::ReadyMask now = sys::poll_now(fd_, kAsked);
  vfs::ReadyMask missing = (POLLIN | POLLPRI | POLLOUT | POLLRDHUP) & ~now;
  // Errors and hang-ups are reported without end.
  if (missing != 0 && (now & (POLLHUP | POLLERR)) == 0) ask(missing);
  return now;
}

ErrnoOr<std::size_t> HostEndpoint::readable_bytes() {
  return static_cast<std::size_t>(TRY(sys::socket_bytes(fd_, FIONREAD)));
}

ErrnoOr<std::size_t> HostEndpoint::unsent_bytes() {
  return static_cast<std::size_t>(TRY(sys::socket_bytes(fd_, TIOCOUTQ)));
}

int HostEndpoint::take_error() {
  int error = 0;
  (void)sys::get_option(fd_, SOL_SOCKET, SO_ERROR, std::as_writable_bytes(std::span(&error, 1)));
  return error != 0 ? error : Endpoint::take_error();
}

void HostEndpoint::read_buffer_sizes() {
  for (int name : {SO_SNDBUF, SO_RCVBUF}) {
    int size = 0;
    if (sys::get_option(fd_, SOL_SOCKET, name, std::as_writable_bytes(std::span(&size, 1))))
      (name == SO_SNDBUF ? options().send_buffer : options().receive_buffer) = size;
  }
}

// What the host refuses stays as it was there; the guest sees what it asked for, as it does where
// there are no packets at all.
void HostEndpoint::option_changed(int name) {
  if (std::ranges::find(kPassedFlags, name) != std::end(kPassedFlags)) {
    int on = options().flag(name) ? 1 : 0;
    (void)sys::set_option(fd_, SOL_SOCKET, name, bytes_of(on));
    return;
  }
  bool sending = name == SO_SNDBUF || name == SO_SNDBUFFORCE;
  if (sending || name == SO_RCVBUF || name == SO_RCVBUFFORCE) {
    // The host doubles it as well.
    int half = (sending ? options().send_buffer : options().receive_buffer) / 2;
    (void)sys::set_option(fd_, SOL_SOCKET, sending ? SO_SNDBUF : SO_RCVBUF, bytes_of(half));
    read_buffer_sizes();
  } else if (name == SO_LINGER) {
    linger value{.l_onoff = options().flag(SO_LINGER), .l_linger = options().linger_s};
    (void)sys::set_option(fd_, SOL_SOCKET, SO_LINGER, bytes_of(value));
  } else if (name == SO_RCVLOWAT) {
    (void)sys::set_option(fd_, SOL_SOCKET, name, bytes_of(options().receive_low_water.load()));
  }
}

ErrnoOr<> HostEndpoint::set_protocol_option(int level, int name, std::span<const std::byte> value,
                                            Requester&) {
  bool text = level == IPPROTO_TCP && name == TCP_CONGESTION;
  if (!text && !is_number_option(level, name)) return std::unexpected(Errno{ENOPROTOOPT});
  return sys::set_option(fd_, level, name, value.first(std::min<std::size_t>(value.size(), 16)));
}

ErrnoOr<std::string> HostEndpoint::protocol_option(int level, int name, std::uint32_t length,
                                                   Requester&) {
  bool known = is_number_option(level, name) ||
               (level == IPPROTO_TCP && (name == TCP_CONGESTION || name == TCP_INFO));
  if (!known) return std::unexpected(Errno{ENOPROTOOPT});
  std::array<std::byte, 512> value;
  std::size_t room = std::min<std::size_t>(length, value.size());
  std::size_t got = TRY(sys::get_option(fd_, level, name, std::span(value).first(room)));
  return std::string(reinterpret_cast<const char*>(value.data()), std::min(got, room));
}

}  // namespace caisson::sandbox::net
