#include "sandbox/net/netlink_endpoint.h"

#include <linux/netlink.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox/net/netlink_route.h"
#include "sandbox/net/network.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kLongestRequest = 65536;
constexpr std::size_t kMostAnswers = 4096;  // that wait to be read
constexpr int kFirstFlag = NETLINK_PKTINFO, kLastFlag = NETLINK_GET_STRICT_CHK;

Address netlink_address(std::uint32_t port, std::uint32_t groups) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_pid = port;
  address.nl_groups = groups;
  return Address::of(address);
}

ErrnoOr<sockaddr_nl> parse(const Address& address) {
  if (address.length() < sizeof(sockaddr_nl) || address.family() != AF_NETLINK)
    return std::unexpected(Errno{EINVAL});
  return address.as<sockaddr_nl>();
}

}  // namespace

NetlinkEndpoint::NetlinkEndpoint(Ref<Network> network, int type, int protocol)
    : Endpoint(std::move(network), AF_NETLINK, type, protocol) {}

void NetlinkEndpoint::close() {
  std::uint32_t port;
  {
    Locked lock(mutex());
    port = std::exchange(port_, 0);
  }
  if (port != 0) network().remove_netlink_port(protocol(), port);
}

// A port of one's own: the process id, as long as it is free.
ErrnoOr<> NetlinkEndpoint::take_port(std::uint32_t wanted, Requester& requester) {
  {
    Locked lock(mutex());
    if (port_ != 0) return {};
  }
  std::uint32_t port = wanted;
  if (wanted == 0) {
    auto process = requester.process();
    port = network().add_some_netlink_port(protocol(),
                                           static_cast<std::uint32_t>(process->id_for(*process)));
  } else if (!network().add_netlink_port(protocol(), wanted)) {
    return std::unexpected(Errno{EADDRINUSE});
  }
  Locked lock(mutex());
  port_ = port;
  return {};
}

ErrnoOr<> NetlinkEndpoint::bind(const Address& address, Requester& requester) {
  auto wanted = TRY(parse(address));
  {
    Locked lock(mutex());
    if (port_ != 0 && wanted.nl_pid != port_ && wanted.nl_pid != 0)
      return std::unexpected(Errno{EINVAL});
  }
  TRY(take_port(wanted.nl_pid, requester));
  Locked lock(mutex());
  groups_ = wanted.nl_groups;
  return {};
}

ErrnoOr<> NetlinkEndpoint::connect(const Address& address, Requester& requester) {
  if (address.family() == AF_UNSPEC && address.length() >= sizeof(sa_family_t)) return {};
  auto wanted = TRY(parse(address));
  // Guests talk to the kernel only.
  if (wanted.nl_pid != 0 || wanted.nl_groups != 0) return std::unexpected(Errno{ECONNREFUSED});
  return take_port(0, requester);
}

ErrnoOr<Address> NetlinkEndpoint::local_address() {
  Locked lock(mutex());
  return netlink_address(port_, groups_);
}

ErrnoOr<Address> NetlinkEndpoint::peer_address() { return netlink_address(0, 0); }

ErrnoOr<std::size_t> NetlinkEndpoint::send(SendRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  if (request.to != nullptr) {
    auto to = TRY(parse(*request.to));
    if (to.nl_pid != 0 || to.nl_groups != 0) return std::unexpected(Errno{ECONNREFUSED});
  }
  TRY(take_port(0, request.requester));
  std::size_t size = request.data.remaining();
  if (size > kLongestRequest) return std::unexpected(Errno{EMSGSIZE});
  std::vector<std::byte> bytes(size);
  if (size != 0) {
    std::size_t copied = TRY(request.data.get(bytes));
    if (copied != size) return std::unexpected(Errno{EFAULT});
  }
  if (protocol() != NETLINK_ROUTE) return size;
  std::uint32_t port;
  {
    Locked lock(mutex());
    port = port_;
  }
  auto answers = answer_route_messages(network().topology(), bytes, port);
  bool any = !answers.empty();
  {
    Locked lock(mutex());
    if (answers_.size() + answers.size() > kMostAnswers) return std::unexpected(Errno{ENOBUFS});
    for (auto& answer : answers) answers_.push_back(std::move(answer));
  }
  if (any) queue().notify(POLLIN | POLLRDNORM);
  return size;
}

ErrnoOr<Received> NetlinkEndpoint::receive(ReceiveRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  if (int error = take_error()) return std::unexpected(Errno{error});
  std::string answer;
  {
    Locked lock(mutex());
    if (answers_.empty()) return std::unexpected(Errno{EAGAIN});
    if ((request.flags & MSG_PEEK) != 0) {
      answer = answers_.front();
    } else {
      answer = std::move(answers_.front());
      answers_.pop_front();
    }
  }
  Received received;
  std::size_t wanted = std::min<std::size_t>(answer.size(), request.data.remaining());
  if (wanted < answer.size()) received.flags |= MSG_TRUNC;
  received.bytes = (request.flags & MSG_TRUNC) != 0 ? answer.size() : wanted;
  received.from = netlink_address(0, 0);
  if (options().flag(SO_PASSCRED))
    received.ancillary.credentials = ProcessCredentials{.process = {}, .uid = 0, .gid = 0};
  if (wanted == 0) return received;
  auto bytes = std::as_bytes(std::span(answer)).first(wanted);
  std::size_t copied = TRY(request.data.put(bytes));
  if (copied != wanted) return std::unexpected(Errno{EFAULT});
  return received;
}

ErrnoOr<> NetlinkEndpoint::shutdown(int) { return std::unexpected(Errno{EOPNOTSUPP}); }

vfs::ReadyMask NetlinkEndpoint::ready() {
  vfs::ReadyMask mask = POLLOUT | POLLWRNORM | POLLWRBAND;
  if (pending_error() != 0) mask |= POLLERR;
  Locked lock(mutex());
  if (!answers_.empty()) mask |= POLLIN | POLLRDNORM;
  return mask;
}

ErrnoOr<> NetlinkEndpoint::set_protocol_option(int level, int name,
                                               std::span<const std::byte> value, Requester&) {
  int number = 0;
  if (level != SOL_NETLINK) return std::unexpected(Errno{ENOPROTOOPT});
  if (value.size() < sizeof number) return std::unexpected(Errno{EINVAL});
  std::memcpy(&number, value.data(), sizeof number);
  // Groups may be joined: nothing is ever announced, as nothing changes.
  if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP)
    return number > 0 ? ErrnoOr<>() : std::unexpected(Errno{EINVAL});
  if (name < kFirstFlag || name > kLastFlag) return std::unexpected(Errno{ENOPROTOOPT});
  Locked lock(mutex());
  if (number != 0)
    options_on_.insert(name);
  else
    options_on_.erase(name);
  return {};
}

ErrnoOr<std::string> NetlinkEndpoint::protocol_option(int level, int name, std::uint32_t length,
                                                      Requester&) {
  if (level != SOL_NETLINK || name < kFirstFlag || name > kLastFlag)
    return std::unexpected(Errno{ENOPROTOOPT});
  if (length < sizeof(int)) return std::unexpected(Errno{EINVAL});
  Locked lock(mutex());
  return option_bytes(options_on_.contains(name) ? 1 : 0);
}

std::vector<ControlMessage> NetlinkEndpoint::control_messages(const Received&) const {
  Locked lock(mutex());
  if (!options_on_.contains(NETLINK_PKTINFO)) return {};
  nl_pktinfo info{.group = 0};
  return {{.level = SOL_NETLINK, .type = NETLINK_PKTINFO, .bytes = option_bytes(info)}};
}

ErrnoOr<std::size_t> NetlinkEndpoint::readable_bytes() {
  Locked lock(mutex());
  return answers_.empty() ? 0 : answers_.front().size();
}

}  // namespace caisson::sandbox::net
