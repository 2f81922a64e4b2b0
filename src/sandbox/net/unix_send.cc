// Sending through unix sockets. What a message counts against the sender's buffer is what Linux
// would allocate for it, so that as much fits into a socket as programs are used to.
#include <linux/capability.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "sandbox/net/network.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHeader = 256;                   // a struct sk_buff
constexpr std::size_t kTrailer = 320;                  // a struct skb_shared_info
constexpr std::size_t kStreamHead = kPage - kTrailer;  // what a stream's piece has in its head
constexpr std::size_t kDatagramHead = 4 * kPage - kTrailer;  // SKB_MAX_ALLOC
constexpr std::size_t kStreamPiece = kStreamHead + 32768;

std::size_t charge_for(std::size_t size, std::size_t head_limit) {
  std::size_t pages = size > head_limit ? (size - head_limit + kPage - 1) / kPage * kPage : 0;
  pages = std::min(pages, size / kPage * kPage + (size % kPage != 0 ? kPage : 0));
  std::size_t head = size > pages ? size - pages : 0;
  std::size_t aligned = (head + 63) / 64 * 64;
  return kHeader + std::max<std::size_t>(512, std::bit_ceil(aligned + kTrailer)) + pages;
}

}  // namespace

ErrnoOr<std::size_t> UnixEndpoint::send(SendRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  return is_stream() ? send_stream(request) : send_datagram(request);
}

// One more message may always be begun while the buffer is not full.
ErrnoOr<> UnixEndpoint::reserve(std::size_t charge) {
  if (int error = take_error()) return std::unexpected(Errno{error});
  {
    Locked lock(mutex());
    if ((shutdown_ & kNoSend) != 0) return std::unexpected(Errno{EPIPE});
  }
  auto limit = static_cast<std::size_t>(options().send_buffer.load());
  std::size_t charged = charged_.load();
  do {
    if (charged >= limit) return std::unexpected(Errno{EAGAIN});
  } while (!charged_.compare_exchange_weak(charged, charged + charge));
  return {};
}

void UnixEndpoint::release(std::size_t charge) {
  std::size_t left = charged_.fetch_sub(charge) - charge;
  if (left * 4 <= static_cast<std::size_t>(options().send_buffer.load()))
    queue().notify(POLLOUT | POLLWRNORM | POLLWRBAND);
}

// Copies `size` bytes from the guest. What was reserved for them is given back when that fails.
ErrnoOr<UnixMessage> UnixEndpoint::make_message(UnixEndpoint& peer, SendRequest& request,
                                                std::size_t size, std::size_t charge) {
  UnixMessage message;
  message.bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  auto copied = request.data.get({message.bytes.get(), size});
  if (!copied || *copied != size) {
    release(charge);
    return std::unexpected(Errno{EFAULT});
  }
  message.size = size;
  message.charge = charge;
  message.sender = Ref<UnixEndpoint>::share(this);
  const vfs::Credentials& own = request.requester.credentials();
  if (request.ancillary.credentials)
    message.credentials = *request.ancillary.credentials;
  else if (options().flag(SO_PASSCRED) || peer.options().flag(SO_PASSCRED))
    message.credentials = {.process = request.requester.process(), .uid = own.uid, .gid = own.gid};
  if (!request.ancillary.rights.empty()) {
    bool unlimited = own.has(CAP_SYS_RESOURCE) || own.has(CAP_SYS_ADMIN);
    auto rights = network().sockets().rights().send(std::move(request.ancillary.rights), own.uid,
                                                    unlimited ? 0 : request.requester.file_limit());
    request.ancillary.rights.clear();
    if (!rights) {
      release(charge);
      return std::unexpected(rights.error());
    }
    message.rights = *std::move(rights);
  }
  return message;
}

ErrnoOr<std::size_t> UnixEndpoint::send_stream(SendRequest& request) {
  Ref<UnixEndpoint> peer;
  {
    Locked lock(mutex());
    bool connected = state_ == State::kConnected;
    if (request.to != nullptr) return std::unexpected(Errno{connected ? EISCONN : EOPNOTSUPP});
    if (!connected || !peer_) return std::unexpected(Errno{ENOTCONN});
    if ((shutdown_ & kNoSend) != 0) return std::unexpected(Errno{EPIPE});
    peer = peer_;
  }
  std::size_t total = 0;
  while (request.data.remaining() != 0) {
    auto sent = send_piece(*peer, request);
    if (!sent && total == 0) return sent;
    if (!sent) break;
    total += *sent;
  }
  return total;
}

ErrnoOr<std::size_t> UnixEndpoint::send_piece(UnixEndpoint& peer, SendRequest& request) {
  auto buffer = static_cast<std::size_t>(options().send_buffer.load());
  std::size_t size = std::min<std::size_t>(request.data.remaining(), (buffer >> 1) - 64);
  size = std::min(size, kStreamPiece);
  std::size_t charge = charge_for(size, kStreamHead);
  TRY(reserve(charge));
  UnixMessage message = TRY(make_message(peer, request, size, charge));
  {
    Locked lock(peer.mutex());
    if (!peer.closed_ && (peer.shutdown_ & kNoReceive) == 0) {
      peer.queued_bytes_ += size;
      peer.messages_.push_back(std::move(message));
    }
  }
  if (message.sender) {  // was not taken
    discharge(std::move(message));
    return std::unexpected(Errno{EPIPE});
  }
  peer.queue().notify(POLLIN | POLLRDNORM);
  return size;
}

// To whom a datagram goes.
ErrnoOr<Ref<UnixEndpoint>> UnixEndpoint::datagram_receiver(SendRequest& request) {
  if (request.to != nullptr && !connects()) return find(*request.to, request.requester);
  Locked lock(mutex());
  if (!peer_) return std::unexpected(Errno{ENOTCONN});
  return peer_;
}

ErrnoOr<std::size_t> UnixEndpoint::send_datagram(SendRequest& request) {
  {
    Locked lock(mutex());
    bool connected = connects() ? state_ == State::kConnected : static_cast<bool>(peer_);
    bool named = request.to != nullptr && !connects();
    if (!connected && !named) return std::unexpected(Errno{ENOTCONN});
  }
  if (options().flag(SO_PASSCRED)) TRY(autobind());
  std::size_t size = request.data.remaining();
  if (size > static_cast<std::size_t>(options().send_buffer.load()) - 32)
    return std::unexpected(Errno{EMSGSIZE});
  std::size_t charge = charge_for(size, kDatagramHead);
  TRY(reserve(charge));
  auto receiver = datagram_receiver(request);
  auto delivered = receiver ? (*receiver)->admit(*this) : std::unexpected(receiver.error());
  if (!delivered) {
    release(charge);
    if (delivered.error().value == ECONNREFUSED && request.to == nullptr) disconnect_datagram();
    return std::unexpected(delivered.error());
  }
  UnixMessage message = TRY(make_message(**receiver, request, size, charge));
  delivered = (*receiver)->take_datagram(*this, message);
  if (!delivered) {
    discharge(std::move(message));
    return std::unexpected(delivered.error());
  }
  (*receiver)->queue().notify(POLLIN | POLLRDNORM);
  return size;
}

// Whether a datagram of `sender` would be taken.
ErrnoOr<> UnixEndpoint::admit(UnixEndpoint& sender) {
  Locked lock(mutex());
  return admit_locked(sender);
}

ErrnoOr<> UnixEndpoint::admit_locked(UnixEndpoint& sender) {
  if (closed_) return std::unexpected(Errno{connects() ? EPIPE : ECONNREFUSED});
  if (!connects() && peer_ && peer_.get() != &sender) return std::unexpected(Errno{EPERM});
  if ((shutdown_ & kNoReceive) != 0) return std::unexpected(Errno{EPIPE});
  // Those who are connected to each other are bounded by the sender's buffer alone.
  if (&sender != this && peer_.get() != &sender && is_full()) {
    add_waiting(sender);
    return std::unexpected(Errno{EAGAIN});
  }
  return {};
}

ErrnoOr<> UnixEndpoint::take_datagram(UnixEndpoint& sender, UnixMessage& message) {
  Locked lock(mutex());
  TRY(admit_locked(sender));
  queued_bytes_ += message.size;
  messages_.push_back(std::move(message));
  return {};
}

}  // namespace caisson::sandbox::net
