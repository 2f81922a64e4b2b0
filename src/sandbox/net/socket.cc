#include "sandbox/net/socket.h"

#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "base/text.h"
#include "sandbox/net/host_endpoint.h"
#include "sandbox/net/interface_ioctl.h"
#include "sandbox/net/netlink_endpoint.h"
#include "sandbox/net/tcp_endpoint.h"
#include "sandbox/net/udp_endpoint.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {

// A read or write without the means of sendmsg(2).
class PlainRequester final : public Requester {
 public:
  PlainRequester(const Sockets& sockets, vfs::Caller& caller)
      : sockets_(sockets), caller_(caller) {}
  vfs::Caller& caller() override { return caller_; }
  Ref<const Process> process() override { return sockets_.process_of(caller_); }
  ErrnoOr<vfs::WalkContext> walk_context() override { return std::unexpected(Errno{ENOENT}); }
  std::uint32_t umask() override { return 0; }
  std::uint64_t file_limit() override { return 0; }

 private:
  const Sockets& sockets_;
  vfs::Caller& caller_;
};

}  // namespace

SocketInode::SocketInode(Ref<SocketFilesystem> filesystem, const vfs::Credentials& owner)
    : Inode(*filesystem, S_IFSOCK),
      filesystem_(std::move(filesystem)),
      number_(filesystem_->next_inode()),
      uid_(owner.fsuid),
      gid_(owner.fsgid) {}

ErrnoOr<vfs::Attributes> SocketInode::attributes() {
  Locked lock(mutex_);
  vfs::Attributes attributes;
  attributes.mode = mode_;
  attributes.uid = uid_;
  attributes.gid = gid_;
  attributes.inode = number_;
  attributes.device = filesystem_->device();
  return attributes;
}

ErrnoOr<> SocketInode::change(const vfs::AttributeChange& change) {
  Locked lock(mutex_);
  if (change.mode) mode_ = S_IFSOCK | (*change.mode & 07777);
  if (change.uid) uid_ = *change.uid;
  if (change.gid) gid_ = *change.gid;
  return {};
}

ErrnoOr<Ref<vfs::File>> SocketInode::open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) {
  return std::unexpected(Errno{ENXIO});
}

Socket::Socket(Ref<Endpoint> endpoint, Ref<SocketInode> inode, std::uint32_t flags)
    : File({}, std::move(inode), flags), endpoint_(std::move(endpoint)) {}

Socket::~Socket() { endpoint_->close(); }

ErrnoOr<std::size_t> Socket::read(vfs::IoBuffer& to, vfs::Caller& caller) {
  if (to.remaining() == 0) return 0;
  PlainRequester requester(endpoint_->network().sockets(), caller);
  ReceiveRequest request{.data = to, .requester = requester, .nonblocking = nonblocking()};
  return TRY(endpoint_->receive(request)).bytes;
}

ErrnoOr<std::size_t> Socket::write(vfs::IoBuffer& from, vfs::Caller& caller) {
  PlainRequester requester(endpoint_->network().sockets(), caller);
  SendRequest request{
      .data = from, .requester = requester, .nonblocking = nonblocking(), .ancillary = {}};
  return endpoint_->send(request);
}

ErrnoOr<std::size_t> Socket::read_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::size_t> Socket::write_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::uint64_t> Socket::seek(std::int64_t, int) { return std::unexpected(Errno{ESPIPE}); }

ErrnoOr<> Socket::sync(bool) { return std::unexpected(Errno{EINVAL}); }

ErrnoOr<> Socket::change(const vfs::AttributeChange& change) {
  TRY(inode()->change(change));
  if (change.mode && endpoint_->domain() == AF_UNIX)
    static_cast<UnixEndpoint&>(*endpoint_).set_inode_mode(*change.mode);
  return {};
}

ErrnoOr<std::int64_t> Socket::ioctl(vfs::Caller& caller, std::uint32_t request,
                                    std::uint64_t argument) {
  switch (request) {
    case SIOCINQ:
    case SIOCOUTQ: {
      auto bytes = static_cast<int>(
          TRY(request == SIOCINQ ? endpoint_->readable_bytes() : endpoint_->unsent_bytes()));
      std::size_t copied =
          TRY(caller.memory().write(argument, std::as_bytes(std::span(&bytes, 1))));
      if (copied != sizeof bytes) return std::unexpected(Errno{EFAULT});
      return 0;
    }
    default: return interface_ioctl(endpoint_->network(), caller, request, argument);
  }
}

std::string Socket::link_text(const vfs::Path&) {
  return cat("socket:[", endpoint_->inode_number(), "]");
}

std::optional<std::int64_t> Socket::wait_limit_ns(bool writing) {
  const SocketOptions& options = endpoint_->options();
  std::int64_t limit = writing ? options.send_timeout_ns.load() : options.receive_timeout_ns.load();
  if (limit < 0) return std::nullopt;
  return limit;
}

namespace {

// SOCK_PACKET and the like are what privileged programs try; they hear what Linux tells them.
ErrnoOr<Ref<Endpoint>> create_unix(Network& network, int type, int protocol) {
  if (protocol != 0 && protocol != AF_UNIX) return std::unexpected(Errno{EPROTONOSUPPORT});
  switch (type) {
    case SOCK_RAW: type = SOCK_DGRAM; [[fallthrough]];
    case SOCK_STREAM:
    case SOCK_DGRAM:
    case SOCK_SEQPACKET:
      return Ref<Endpoint>(make_ref<UnixEndpoint>(Ref<Network>::share(&network), type));
    default: return std::unexpected(Errno{ESOCKTNOSUPPORT});
  }
}

ErrnoOr<Ref<Endpoint>> create_inet(Network& network, int domain, int type, int protocol,
                                   Requester& requester) {
  auto shared = Ref<Network>::share(&network);
  if (protocol < 0 || protocol >= IPPROTO_MAX) return std::unexpected(Errno{EINVAL});
  bool tcp = protocol == 0 || protocol == IPPROTO_TCP;
  bool udp = protocol == 0 || protocol == IPPROTO_UDP;
  switch (type) {
    case SOCK_STREAM:
      if (!tcp) return std::unexpected(Errno{EPROTONOSUPPORT});
      if (network.host_poller())
        return HostEndpoint::create(std::move(shared), domain, type, IPPROTO_TCP);
      return Ref<Endpoint>(make_ref<TcpEndpoint>(std::move(shared), domain));
    case SOCK_DGRAM:
      if (!udp) return std::unexpected(Errno{EPROTONOSUPPORT});
      if (network.host_poller())
        return HostEndpoint::create(std::move(shared), domain, type, IPPROTO_UDP);
      return Ref<Endpoint>(make_ref<UdpEndpoint>(std::move(shared), domain));
    case SOCK_RAW:
      // There are no packets to see.
      if (protocol == 0) return std::unexpected(Errno{EPROTONOSUPPORT});
      return std::unexpected(
          Errno{requester.credentials().has(CAP_NET_RAW) ? EPROTONOSUPPORT : EPERM});
    default: return std::unexpected(Errno{ESOCKTNOSUPPORT});
  }
}

ErrnoOr<Ref<Endpoint>> create_netlink(Network& network, int type, int protocol) {
  if (type != SOCK_RAW && type != SOCK_DGRAM) return std::unexpected(Errno{ESOCKTNOSUPPORT});
  if (protocol != NETLINK_ROUTE && protocol != NETLINK_KOBJECT_UEVENT)
    return std::unexpected(Errno{EPROTONOSUPPORT});
  return Ref<Endpoint>(make_ref<NetlinkEndpoint>(Ref<Network>::share(&network), type, protocol));
}

}  // namespace

ErrnoOr<Ref<Endpoint>> create_endpoint(Network& network, int domain, int type, int protocol,
                                       Requester& requester) {
  constexpr int kTypes = 11;  // SOCK_MAX
  if (domain < 0 || domain >= AF_MAX) return std::unexpected(Errno{EAFNOSUPPORT});
  if (type < 0 || type >= kTypes) return std::unexpected(Errno{EINVAL});
  switch (domain) {
    case AF_UNIX: return create_unix(network, type, protocol);
    case AF_INET:
    case AF_INET6: return create_inet(network, domain, type, protocol, requester);
    case AF_NETLINK: return create_netlink(network, type, protocol);
    default: return std::unexpected(Errno{EAFNOSUPPORT});
  }
}

}  // namespace caisson::sandbox::net
