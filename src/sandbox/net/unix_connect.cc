// Connections of unix sockets.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/net/network.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {

// Two endpoints, locked in the order of their addresses; they may be the same.
class LockedPair {
 public:
  LockedPair(Endpoint& a, Endpoint& b) : first_(std::min(&a, &b)), second_(std::max(&a, &b)) {
    first_->mutex().lock();
    if (first_ != second_) second_->mutex().lock();
  }
  LockedPair(const LockedPair&) = delete;
  LockedPair& operator=(const LockedPair&) = delete;
  ~LockedPair() {
    if (first_ != second_) second_->mutex().unlock();
    first_->mutex().unlock();
  }

 private:
  Endpoint *first_, *second_;
};

}  // namespace

UnixEndpoint::Credentials UnixEndpoint::credentials_of(Requester& requester) {
  const vfs::Credentials& own = requester.credentials();
  return {.process = {.process = requester.process(), .uid = own.euid, .gid = own.egid},
          .groups = own.groups};
}

ErrnoOr<> UnixEndpoint::listen(int backlog, Requester& requester) {
  if (!connects()) return std::unexpected(Errno{EOPNOTSUPP});
  {
    Locked lock(mutex());
    if (!name_ || state_ == State::kConnected) return std::unexpected(Errno{EINVAL});
    state_ = State::kListening;
    unsigned wanted = static_cast<unsigned>(backlog);
    backlog_ = static_cast<int>(std::min(wanted, static_cast<unsigned>(network().max_backlog())));
    own_credentials_ = credentials_of(requester);
    peer_credentials_ = own_credentials_;
  }
  wake_senders();
  return {};
}

ErrnoOr<> UnixEndpoint::connect(const Address& address, Requester& requester) {
  return connects() ? connect_stream(address, requester) : connect_datagram(address, requester);
}

ErrnoOr<> UnixEndpoint::connect_stream(const Address& address, Requester& requester) {
  if (options().flag(SO_PASSCRED)) TRY(autobind());
  auto listener = TRY(find(address, requester));
  auto embryo = make_ref<UnixEndpoint>(Ref<Network>::share(&network()), type());
  embryo->state_ = State::kConnected;
  embryo->embryo_ = true;
  embryo->peer_ = Ref<UnixEndpoint>::share(this);
  embryo->peer_credentials_ = credentials_of(requester);
  auto joined = join(*listener, embryo);
  if (!joined) {
    Locked lock(embryo->mutex());
    embryo->peer_ = nullptr;
    return joined;
  }
  listener->queue().notify(POLLIN | POLLRDNORM);
  return {};
}

// The order of the checks is that of Linux: first what is wrong with the other side.
ErrnoOr<> UnixEndpoint::join(UnixEndpoint& listener, const Ref<UnixEndpoint>& embryo) {
  LockedPair lock(*this, listener);
  if (listener.closed_ || listener.state_ != State::kListening ||
      (listener.shutdown_ & kNoReceive) != 0)
    return std::unexpected(Errno{ECONNREFUSED});
  if (listener.is_full()) {
    listener.add_waiting(*this);
    return std::unexpected(Errno{EAGAIN});
  }
  if (state_ == State::kConnected) return std::unexpected(Errno{EISCONN});
  if (state_ == State::kListening) return std::unexpected(Errno{EINVAL});
  for (int name : {SO_PASSCRED, SO_PASSSEC})
    embryo->options().set_flag(name, listener.options().flag(name));
  embryo->name_ = listener.name_;
  listener.pending_.push_back(embryo);
  state_ = State::kConnected;
  peer_ = embryo;
  peer_credentials_ = listener.own_credentials_;
  return {};
}

ErrnoOr<Ref<Endpoint>> UnixEndpoint::accept(bool nonblocking) {
  if (!connects()) return std::unexpected(Errno{EOPNOTSUPP});
  Ref<UnixEndpoint> accepted;
  {
    Locked lock(mutex());
    if (state_ != State::kListening) return std::unexpected(Errno{EINVAL});
    bool ended = (shutdown_ & kNoReceive) != 0 && !nonblocking;
    if (pending_.empty()) return std::unexpected(Errno{ended ? EINVAL : EAGAIN});
    accepted = std::move(pending_.front());
    pending_.pop_front();
  }
  {
    Locked lock(accepted->mutex());
    accepted->embryo_ = false;
  }
  wake_senders();
  return Ref<Endpoint>(std::move(accepted));
}

ErrnoOr<> UnixEndpoint::pair(Endpoint& other, Requester& requester) {
  auto& second = static_cast<UnixEndpoint&>(other);
  Credentials credentials = credentials_of(requester);
  LockedPair lock(*this, other);
  peer_ = Ref<UnixEndpoint>::share(&second);
  second.peer_ = Ref<UnixEndpoint>::share(this);
  peer_credentials_ = second.peer_credentials_ = std::move(credentials);
  state_ = second.state_ = State::kConnected;
  return {};
}

ErrnoOr<> UnixEndpoint::connect_datagram(const Address& address, Requester& requester) {
  if (address.length() < sizeof(sa_family_t)) return std::unexpected(Errno{EINVAL});
  if (address.family() == AF_UNSPEC) {
    disconnect_datagram();
    return {};
  }
  Ref<UnixEndpoint> receiver;
  Ref<UnixEndpoint> before;
  if (options().flag(SO_PASSCRED)) TRY(autobind());
  receiver = TRY(find(address, requester));
  {
    LockedPair lock(*this, *receiver);
    if (receiver->closed_) return std::unexpected(Errno{ECONNREFUSED});
    if (receiver->peer_ && receiver->peer_.get() != this) return std::unexpected(Errno{EPERM});
    before = peer_;
    if (before == receiver) return {};
  }
  if (before) disconnect_datagram();
  {
    Locked lock(mutex());
    peer_ = std::move(receiver);
  }
  queue().notify(POLLOUT | POLLWRNORM | POLLWRBAND);
  return {};
}

// What the old peer sent is dropped; it learns of it if it was connected to us.
void UnixEndpoint::disconnect_datagram() {
  Ref<UnixEndpoint> peer;
  std::deque<UnixMessage> messages;
  {
    Locked lock(mutex());
    peer = std::move(peer_);
    if (!peer) return;
    messages.swap(messages_);
    queued_bytes_ = 0;
  }
  bool told = false;
  if (peer.get() != this) {
    Locked lock(peer->mutex());
    told = !peer->closed_ && peer->peer_.get() == this;
    if (told) peer->set_error(ECONNRESET);
  }
  if (told) peer->queue().notify(POLLERR);
  for (auto& message : messages) discharge(std::move(message));
  wake_senders();
  queue().notify(POLLOUT | POLLWRNORM | POLLWRBAND);
}

}  // namespace caisson::sandbox::net
