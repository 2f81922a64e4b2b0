#include "sandbox/net/udp_endpoint.h"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kLongestV4 = 65507, kLongestV6 = 65527;
constexpr std::uint8_t kNoReceive = 1, kNoSend = 2;

// What a datagram takes of the receiver's buffer on Linux, roughly.
std::size_t charge_for(std::size_t size) {
  return 256 + std::bit_ceil(std::max<std::size_t>(size + 64 + 320, 512));
}

template <typename T>
ControlMessage control(int level, int type, const T& value) {
  return {.level = level, .type = type, .bytes = option_bytes(value)};
}

}  // namespace

UdpEndpoint::UdpEndpoint(Ref<Network> network, int domain)
    : InetEndpoint(std::move(network), domain, SOCK_DGRAM, IPPROTO_UDP) {}

void UdpEndpoint::close() {
  std::deque<Datagram> datagrams;
  {
    Locked lock(mutex());
    closed_ = true;
    datagrams.swap(datagrams_);
  }
  unbind();
}

ErrnoOr<> UdpEndpoint::connect(const Address& address, Requester& requester) {
  if (address.length() < sizeof(sa_family_t)) return std::unexpected(Errno{EINVAL});
  if (address.family() == AF_UNSPEC) {
    disconnect();
    return {};
  }
  TRY(autobind(requester));
  InetAddress to = TRY(destination(address));
  IpAddress source = source_for(to.ip);
  InetAddress local;
  {
    Locked lock(mutex());
    local_.ip = source;
    local = local_;
    remote_ = to;
  }
  ports().set_remote(*this, local, to);
  return {};
}

// The address that it got by connecting is gone; a port that it was given stays bound.
void UdpEndpoint::disconnect() {
  InetAddress local;
  bool bound;
  {
    Locked lock(mutex());
    if (!remote_) return;
    remote_.reset();
    if (!address_chosen_) local_.ip = is_v6() ? IpAddress() : IpAddress::any_v4();
    local = local_;
    bound = local_.port != 0;
  }
  if (bound) ports().set_remote(*this, local, std::nullopt);
}

Address UdpEndpoint::shown(const InetAddress& address) const {
  return address.to_socket_address(domain());
}

ErrnoOr<Address> UdpEndpoint::peer_address() {
  Locked lock(mutex());
  if (!remote_) return std::unexpected(Errno{ENOTCONN});
  return shown(*remote_);
}

ErrnoOr<InetAddress> UdpEndpoint::receiver_of(const SendRequest& request) {
  if (request.to != nullptr) {
    InetAddress to = TRY(destination(*request.to));
    if (to.port == 0) return std::unexpected(Errno{EINVAL});
    return to;
  }
  Locked lock(mutex());
  if (!remote_) return std::unexpected(Errno{EDESTADDRREQ});
  return *remote_;
}

ErrnoOr<UdpEndpoint::Datagram> UdpEndpoint::load_datagram(SendRequest& request,
                                                          const InetAddress& to) const {
  Datagram datagram;
  datagram.size = request.data.remaining();
  datagram.charge = charge_for(datagram.size);
  datagram.bytes = std::make_unique_for_overwrite<std::byte[]>(datagram.size);
  if (datagram.size != 0) {
    std::size_t copied = TRY(request.data.get({datagram.bytes.get(), datagram.size}));
    if (copied != datagram.size) return std::unexpected(Errno{EFAULT});
  }
  datagram.to = to;
  bool v4 = to.ip.is_v4();
  datagram.hop_limit = v4 ? option_value(IPPROTO_IP, IP_TTL).value_or(64)
                          : option_value(IPPROTO_IPV6, IPV6_UNICAST_HOPS).value_or(64);
  datagram.traffic_class = v4 ? option_value(IPPROTO_IP, IP_TOS).value_or(0)
                              : option_value(IPPROTO_IPV6, IPV6_TCLASS).value_or(0);
  return datagram;
}

ErrnoOr<std::size_t> UdpEndpoint::send(SendRequest& request) {
  if (request.data.remaining() > 0xffff) return std::unexpected(Errno{EMSGSIZE});
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  InetAddress to = TRY(receiver_of(request));
  if (int error = take_error()) return std::unexpected(Errno{error});
  {
    Locked lock(mutex());
    if ((shutdown_ & kNoSend) != 0) return std::unexpected(Errno{EPIPE});
  }
  std::size_t size = request.data.remaining();
  if (size > (to.ip.is_v4() ? kLongestV4 : kLongestV6)) return std::unexpected(Errno{EMSGSIZE});
  if (!autobind(request.requester)) return std::unexpected(Errno{EAGAIN});
  auto datagram = load_datagram(request, to);
  if (!datagram) return std::unexpected(datagram.error());
  {
    Locked lock(mutex());
    datagram->from.port = local_.port;
  }
  datagram->from.ip = source_for(to.ip);
  auto receiver = ports().find(to, datagram->from);
  InetAddress from = datagram->from;
  bool taken = receiver && static_cast<UdpEndpoint&>(*receiver).take(*std::move(datagram), from);
  if (taken) return size;
  // "Port unreachable" reaches those who are connected, or asked for such news.
  bool told;
  {
    Locked lock(mutex());
    told = remote_ == to;
  }
  if (told || option_is_on(IPPROTO_IP, IP_RECVERR)) {
    set_error(ECONNREFUSED);
    queue().notify(POLLERR);
  }
  return size;
}

// False: nobody is there any more. One for which there is no room is lost.
bool UdpEndpoint::take(Datagram datagram, const InetAddress& from) {
  {
    Locked lock(mutex());
    if (closed_) return false;
    datagram.from = from;
    auto room = static_cast<std::size_t>(options().receive_buffer.load());
    if (charged_ > room || (shutdown_ & kNoReceive) != 0) return true;
    charged_ += datagram.charge;
    datagrams_.push_back(std::move(datagram));
  }
  queue().notify(POLLIN | POLLRDNORM);
  return true;
}

ErrnoOr<Received> UdpEndpoint::receive(ReceiveRequest& request) {
  if ((request.flags & MSG_ERRQUEUE) != 0) return std::unexpected(Errno{EAGAIN});
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  if (int error = take_error()) return std::unexpected(Errno{error});
  bool peek = (request.flags & MSG_PEEK) != 0;
  Locked reading(read_mutex_);
  Datagram taken;
  const Datagram* first = nullptr;
  {
    Locked lock(mutex());
    if (datagrams_.empty()) {
      bool ended = (shutdown_ & kNoReceive) != 0 && !request.nonblocking;
      if (ended) return Received{};
      return std::unexpected(Errno{EAGAIN});
    }
    first = &datagrams_.front();
    if (!peek) {
      taken = std::move(datagrams_.front());
      datagrams_.pop_front();
      charged_ -= taken.charge;
      first = &taken;
    }
  }
  Received received;
  std::size_t wanted = std::min<std::size_t>(first->size, request.data.remaining());
  if (wanted < first->size) received.flags |= MSG_TRUNC;
  received.bytes = (request.flags & MSG_TRUNC) != 0 ? first->size : wanted;
  received.from = shown(first->from);
  received.packet = PacketFacts{.destination = shown(first->to),
                                .interface = 1,
                                .hop_limit = first->hop_limit,
                                .traffic_class = first->traffic_class};
  if (wanted == 0) return received;
  std::size_t copied = TRY(request.data.put({first->bytes.get(), wanted}));
  if (copied != wanted) return std::unexpected(Errno{EFAULT});
  return received;
}

std::vector<ControlMessage> UdpEndpoint::control_messages(const Received& received) const {
  std::vector<ControlMessage> messages;
  if (!received.packet) return messages;
  const PacketFacts& packet = *received.packet;
  if (option_is_on(IPPROTO_IP, IP_PKTINFO)) {
    in_pktinfo info{};
    info.ipi_ifindex = packet.interface;
    info.ipi_addr = info.ipi_spec_dst = packet.destination.as<sockaddr_in>().sin_addr;
    messages.push_back(control(IPPROTO_IP, IP_PKTINFO, info));
  }
  if (option_is_on(IPPROTO_IP, IP_RECVTTL))
    messages.push_back(control(IPPROTO_IP, IP_TTL, packet.hop_limit));
  if (option_is_on(IPPROTO_IP, IP_RECVTOS))
    messages.push_back(
        control(IPPROTO_IP, IP_TOS, static_cast<std::uint8_t>(packet.traffic_class)));
  if (!is_v6()) return messages;
  if (option_is_on(IPPROTO_IPV6, IPV6_RECVPKTINFO)) {
    in6_pktinfo info{};
    info.ipi6_addr = packet.destination.as<sockaddr_in6>().sin6_addr;
    info.ipi6_ifindex = static_cast<unsigned>(packet.interface);
    messages.push_back(control(IPPROTO_IPV6, IPV6_PKTINFO, info));
  }
  if (option_is_on(IPPROTO_IPV6, IPV6_RECVHOPLIMIT))
    messages.push_back(control(IPPROTO_IPV6, IPV6_HOPLIMIT, packet.hop_limit));
  if (option_is_on(IPPROTO_IPV6, IPV6_RECVTCLASS))
    messages.push_back(control(IPPROTO_IPV6, IPV6_TCLASS, packet.traffic_class));
  return messages;
}

ErrnoOr<> UdpEndpoint::shutdown(int how) {
  {
    Locked lock(mutex());
    shutdown_ |= static_cast<std::uint8_t>(how + 1);
    if (!remote_) return std::unexpected(Errno{ENOTCONN});
  }
  queue().notify(POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  return {};
}

vfs::ReadyMask UdpEndpoint::ready() {
  vfs::ReadyMask mask = POLLOUT | POLLWRNORM | POLLWRBAND;
  if (pending_error() != 0) mask |= POLLERR;
  Locked lock(mutex());
  if ((shutdown_ & kNoReceive) != 0) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (shutdown_ == (kNoReceive | kNoSend)) mask |= POLLHUP;
  if (!datagrams_.empty()) mask |= POLLIN | POLLRDNORM;
  return mask;
}

ErrnoOr<std::size_t> UdpEndpoint::readable_bytes() {
  Locked lock(mutex());
  return datagrams_.empty() ? 0 : datagrams_.front().size;
}

InetEndpoint::Facts UdpEndpoint::facts() {
  constexpr int kEstablished = 1, kClose = 7;
  Locked lock(mutex());
  return {.local = local_,
          .remote = remote_.value_or(InetAddress{.ip = IpAddress::any_v4(), .port = 0}),
          .state = remote_ ? kEstablished : kClose,
          .receive_queue = charged_,
          .uid = uid_};
}

}  // namespace caisson::sandbox::net
