#include "sandbox/net/unix_endpoint.h"

#include <linux/net.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include "sandbox/net/network.h"
#include "sandbox/net/socket.h"

namespace caisson::sandbox::net {

namespace {
constexpr vfs::ReadyMask kStateChanged = POLLIN | POLLOUT | POLLRDHUP | POLLHUP;
}

UnixEndpoint::UnixEndpoint(Ref<Network> network, int type)
    : Endpoint(std::move(network), AF_UNIX, type, 0), backlog_(this->network().max_datagrams()) {
  options().set_flag(83 /* SO_PASSRIGHTS */, true);
  this->network().add_unix(*this);
}

UnixEndpoint::~UnixEndpoint() { network().remove_unix(*this); }

void UnixEndpoint::close() {
  Ref<UnixEndpoint> peer;
  Ref<UnixName> name;
  std::deque<UnixMessage> messages;
  std::deque<Ref<UnixEndpoint>> pending;
  bool lost_data;
  {
    Locked lock(mutex());
    closed_ = true;
    shutdown_ = kBoth;
    peer = std::move(peer_);
    if (owns_name_) name = name_;
    messages.swap(messages_);
    pending.swap(pending_);
    queued_bytes_ = 0;
    lost_data = !messages.empty() || embryo_;
  }
  if (name && name->abstract)
    network().remove_abstract(type(), std::string(name->address.tail()));
  else if (name)
    network().sockets().remove_bound(name->path.inode()->data_inode());
  if (peer && connects()) peer->hang_up(lost_data);
  wake_senders();
  for (auto& embryo : pending) embryo->close();
  for (auto& message : messages) discharge(std::move(message));
  network().sockets().rights().collect();
}

void UnixEndpoint::hang_up(bool lost_data) {
  {
    Locked lock(mutex());
    shutdown_ = kBoth;
    if (lost_data) set_error(ECONNRESET);
  }
  queue().notify(kStateChanged);
}

ErrnoOr<Address> UnixEndpoint::local_address() {
  Locked lock(mutex());
  return name_ ? name_->address : Address::unix_name("");
}

ErrnoOr<Address> UnixEndpoint::peer_address() {
  Ref<UnixEndpoint> peer;
  {
    Locked lock(mutex());
    if (!peer_) return std::unexpected(Errno{ENOTCONN});
    peer = peer_;
  }
  return peer->local_address();
}

ErrnoOr<> UnixEndpoint::shutdown(int how) {
  auto ours = static_cast<std::uint8_t>(how + 1);
  Ref<UnixEndpoint> peer;
  {
    Locked lock(mutex());
    shutdown_ |= ours;
    if (connects()) peer = peer_;
  }
  if (peer) {
    std::uint8_t theirs = 0;
    if ((ours & kNoReceive) != 0) theirs |= kNoSend;
    if ((ours & kNoSend) != 0) theirs |= kNoReceive;
    {
      Locked lock(peer->mutex());
      peer->shutdown_ |= theirs;
    }
    peer->queue().notify(kStateChanged);
  }
  queue().notify(kStateChanged);
  wake_senders();
  return {};
}

vfs::ReadyMask UnixEndpoint::ready() {
  vfs::ReadyMask mask = 0;
  Ref<UnixEndpoint> receiver;
  if (pending_error() != 0) mask |= POLLERR;
  {
    Locked lock(mutex());
    if (shutdown_ == kBoth) mask |= POLLHUP;
    if ((shutdown_ & kNoReceive) != 0) mask |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (!messages_.empty() || !pending_.empty()) mask |= POLLIN | POLLRDNORM;
    if (connects() && state_ == State::kUnconnected) mask |= POLLHUP;
    bool writable = state_ != State::kListening &&
                    charged_.load() * 4 <= static_cast<std::size_t>(options().send_buffer.load());
    if (!writable) return mask;
    if (!connects() && peer_ && peer_.get() != this) receiver = peer_;
  }
  if (receiver) {
    Locked lock(receiver->mutex());
    bool full = receiver->peer_.get() != this && receiver->is_full();
    if (full) receiver->add_waiting(*this);
    if (full) return mask;
  }
  return mask | POLLOUT | POLLWRNORM | POLLWRBAND;
}

bool UnixEndpoint::is_full() const {
  std::size_t waiting = state_ == State::kListening ? pending_.size() : messages_.size();
  return waiting > static_cast<std::size_t>(backlog_);
}

void UnixEndpoint::add_waiting(UnixEndpoint& endpoint) {
  for (const auto& known : waiting_)
    if (known.get() == &endpoint) return;
  waiting_.push_back(Ref<UnixEndpoint>::share(&endpoint));
}

void UnixEndpoint::wake_senders() {
  std::vector<Ref<UnixEndpoint>> waiting;
  {
    Locked lock(mutex());
    if (waiting_.empty()) return;
    waiting.swap(waiting_);
  }
  for (const auto& endpoint : waiting) endpoint->queue().notify(POLLOUT | POLLWRNORM | POLLWRBAND);
}

ErrnoOr<std::size_t> UnixEndpoint::readable_bytes() {
  Locked lock(mutex());
  if (state_ == State::kListening) return std::unexpected(Errno{EINVAL});
  if (connects()) return queued_bytes_;
  return messages_.empty() ? 0 : messages_.front().size;
}

bool UnixEndpoint::is_listening() const {
  Locked lock(mutex());
  return state_ == State::kListening;
}

ErrnoOr<std::string> UnixEndpoint::peer_option(int name, Requester& requester) {
  Locked lock(mutex());
  if (!peer_credentials_) return Endpoint::peer_option(name, requester);
  const ProcessCredentials& peer = peer_credentials_->process;
  switch (name) {
    case SO_PEERCRED: {
      int id = peer.process ? peer.process->id_for(*requester.process()) : 0;
      return option_bytes(ucred{.pid = id, .uid = peer.uid, .gid = peer.gid});
    }
    case SO_PEERGROUPS: {
      const auto& groups = peer_credentials_->groups;
      return std::string(reinterpret_cast<const char*>(groups.data()),
                         groups.size() * sizeof(vfs::Gid));
    }
    default: return Endpoint::peer_option(name, requester);
  }
}

std::vector<UnixEndpoint*> UnixEndpoint::sockets_in_queue() {
  std::vector<UnixEndpoint*> sockets;
  std::deque<Ref<UnixEndpoint>> pending;
  {
    Locked lock(mutex());
    pending = pending_;
    for (const auto& message : messages_)
      for (const auto& file : message.rights.files())
        if (auto* socket = vfs::file_as<Socket>(*file);
            socket != nullptr && socket->endpoint().domain() == AF_UNIX)
          sockets.push_back(static_cast<UnixEndpoint*>(&socket->endpoint()));
  }
  for (const auto& embryo : pending)
    for (UnixEndpoint* socket : embryo->sockets_in_queue()) sockets.push_back(socket);
  return sockets;
}

void UnixEndpoint::take_rights(std::vector<Rights>& into) {
  std::deque<Ref<UnixEndpoint>> pending;
  {
    Locked lock(mutex());
    pending = pending_;
    for (auto& message : messages_)
      if (!message.rights.empty()) into.push_back(std::move(message.rights));
  }
  for (const auto& embryo : pending) embryo->take_rights(into);
}

UnixEndpoint::Facts UnixEndpoint::facts() {
  Facts facts;
  Locked lock(mutex());
  facts.references = reference_count() - 1;
  if (state_ == State::kListening) facts.flags = 1 << 16;  // __SO_ACCEPTCON
  facts.state =
      state_ == State::kConnected || (!connects() && peer_) ? SS_CONNECTED : SS_UNCONNECTED;
  if (!name_) return facts;
  std::string_view text = name_->address.tail();
  if (!name_->abstract) text = text.substr(0, text.find('\0'));
  facts.name = text;
  if (name_->abstract)
    for (char& c : facts.name)
      if (c == '\0') c = '@';
  return facts;
}

}  // namespace caisson::sandbox::net
