// The bytes of TCP connections.
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/net/network.h"
#include "sandbox/net/tcp_endpoint.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::size_t kSmall = 1024;          // copied behind what is there
constexpr std::size_t kSmallChunk = 4096;     // what begins a chunk of small pieces
constexpr std::size_t kLargeChunk = 65536;    // one piece of a long send
constexpr std::size_t kTunedLimit = 1 << 20;  // as far as Linux lets buffers grow by themselves
constexpr int kMostLowWater = 16 << 20;       // half of net.ipv4.tcp_rmem's maximum

}  // namespace

// How much may wait to be read. A buffer whose size the guest fixed grows no more.
std::size_t TcpEndpoint::limit() const {
  if ((options().buffer_lock & 2) == 0) return kTunedLimit;
  return static_cast<std::size_t>(options().receive_buffer.load());
}

void TcpEndpoint::option_changed(int name) {
  if (name == SO_SNDBUF || name == SO_SNDBUFFORCE) options().buffer_lock |= 1;
  if (name == SO_RCVBUF || name == SO_RCVBUFFORCE) options().buffer_lock |= 2;
  if (name == SO_RCVLOWAT) {
    int most = (options().buffer_lock & 2) != 0 ? options().receive_buffer / 2 : kMostLowWater;
    options().receive_low_water = std::min(options().receive_low_water.load(), most);
  }
}

bool TcpEndpoint::has_much_room() const { return (queued_ + reserved_) * 3 <= limit() * 2; }

std::size_t TcpEndpoint::reserve_room(std::size_t wanted) {
  Locked lock(mutex());
  std::size_t used = queued_ + reserved_;
  std::size_t room = limit() > used ? limit() - used : 0;
  if (room == 0) sender_waits_ = true;
  std::size_t granted = std::min(wanted, room);
  reserved_ += granted;
  return granted;
}

void TcpEndpoint::append(Chunk chunk, std::size_t reserved) {
  Locked lock(mutex());
  reserved_ -= reserved;
  if (chunk.size == 0) return;
  queued_ += chunk.size;
  bytes_received_ += chunk.size;
  chunks_.push_back(std::move(chunk));
}

void TcpEndpoint::append_small(std::span<const std::byte> bytes, std::size_t reserved) {
  Locked lock(mutex());
  reserved_ -= reserved;
  if (bytes.empty()) return;
  if (chunks_.empty() || chunks_.back().capacity - chunks_.back().size < bytes.size()) {
    Chunk chunk;
    chunk.bytes = std::make_unique_for_overwrite<std::byte[]>(kSmallChunk);
    chunk.capacity = kSmallChunk;
    chunks_.push_back(std::move(chunk));
  }
  Chunk& last = chunks_.back();
  std::memcpy(last.bytes.get() + last.size, bytes.data(), bytes.size());
  last.size += bytes.size();
  queued_ += bytes.size();
  bytes_received_ += bytes.size();
}

// One piece of `data` into the queue of the peer. EAGAIN: it is full.
ErrnoOr<std::size_t> TcpEndpoint::put_bytes(TcpEndpoint& peer, vfs::IoBuffer& data) {
  std::size_t wanted = std::min<std::size_t>(data.remaining(), kLargeChunk);
  std::size_t granted = peer.reserve_room(wanted);
  if (granted == 0) return std::unexpected(Errno{EAGAIN});
  ErrnoOr<std::size_t> copied;
  if (granted <= kSmall) {
    std::array<std::byte, kSmall> bytes;
    copied = data.get({bytes.data(), granted});
    peer.append_small({bytes.data(), copied.value_or(0)}, granted);
  } else {
    Chunk chunk;
    chunk.bytes = std::make_unique_for_overwrite<std::byte[]>(granted);
    chunk.capacity = granted;
    copied = data.get({chunk.bytes.get(), granted});
    chunk.size = copied.value_or(0);
    peer.append(std::move(chunk), granted);
  }
  if (!copied) return copied;
  if (*copied < granted && *copied == 0) return std::unexpected(Errno{EFAULT});
  peer.queue().notify(POLLIN | POLLRDNORM);
  return copied;
}

ErrnoOr<Ref<TcpEndpoint>> TcpEndpoint::peer_to_send_to() {
  Locked lock(mutex());
  if (state_ == State::kConnecting) return std::unexpected(Errno{EAGAIN});
  if (state_ == State::kConnected && (shutdown_ & kNoSend) == 0 && pending_error() == 0) {
    // A peer that is gone without a reset shows only when something is sent to it.
    return peer_;
  }
  int error = take_error();
  return std::unexpected(Errno{error != 0 ? error : EPIPE});
}

ErrnoOr<std::size_t> TcpEndpoint::send(SendRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EOPNOTSUPP});
  auto peer = TRY(peer_to_send_to());
  std::size_t total = 0;
  while (request.data.remaining() != 0) {
    bool gone;
    {
      Locked lock(peer->mutex());
      gone = peer->closed_ || peer->state_ == State::kClosed;
    }
    if (gone) {  // taken by nobody: the answer is a reset
      total += request.data.remaining();
      request.data.skip(request.data.remaining());
      received_reset();
      break;
    }
    auto sent = put_bytes(*peer, request.data);
    if (!sent && total == 0) return sent;
    if (!sent) break;
    total += *sent;
  }
  Locked lock(mutex());
  bytes_sent_ += total;
  return total;
}

// The bytes of a chunk that are there now; more may follow behind them.
bool TcpEndpoint::chunk_at(std::size_t index, std::span<const std::byte>& bytes) {
  Locked lock(mutex());
  if (index >= chunks_.size()) return false;
  const Chunk& chunk = chunks_[index];
  bytes = {chunk.bytes.get() + chunk.read, chunk.size - chunk.read};
  return true;
}

void TcpEndpoint::consume(std::size_t bytes) {
  Chunk done;
  Locked lock(mutex());
  if (chunks_.empty()) return;  // reset or disconnected meanwhile
  Chunk& first = chunks_.front();
  first.read += bytes;
  queued_ -= bytes;
  if (first.read != first.size) return;
  done = std::move(first);
  chunks_.pop_front();
}

void TcpEndpoint::tell_room_is_back() {
  Ref<TcpEndpoint> peer;
  {
    Locked lock(mutex());
    if (!sender_waits_ || !has_much_room()) return;
    sender_waits_ = false;
    peer = peer_;
  }
  if (peer) peer->queue().notify(POLLOUT | POLLWRNORM);
}

ErrnoOr<Received> TcpEndpoint::nothing_to_receive() {
  Locked lock(mutex());
  if (end_received_) return Received{};
  if (state_ == State::kListening) return std::unexpected(Errno{ENOTCONN});
  if (int error = take_error()) return std::unexpected(Errno{error});
  if ((shutdown_ & kNoReceive) != 0) return Received{};
  if (state_ == State::kClosed) return std::unexpected(Errno{ENOTCONN});
  return std::unexpected(Errno{EAGAIN});
}

ErrnoOr<Received> TcpEndpoint::receive(ReceiveRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return std::unexpected(Errno{EINVAL});
  if ((request.flags & MSG_ERRQUEUE) != 0) return std::unexpected(Errno{EAGAIN});
  bool peek = (request.flags & MSG_PEEK) != 0;
  bool discard = (request.flags & MSG_TRUNC) != 0;
  std::size_t skip = peek ? static_cast<std::size_t>(std::max(options().peek_offset.load(), 0)) : 0;
  std::size_t step = peek ? 1 : 0;
  Received received;
  bool any = false;
  Locked reading(read_mutex_);
  std::span<const std::byte> bytes;
  for (std::size_t index = 0; chunk_at(index, bytes); index += step) {
    any = true;
    if (skip >= bytes.size() && peek) {
      skip -= bytes.size();
      continue;
    }
    bytes = bytes.subspan(skip);
    skip = 0;
    std::size_t wanted = std::min<std::size_t>(bytes.size(), request.data.remaining());
    if (wanted == 0) break;
    ErrnoOr<std::size_t> copied = wanted;
    if (discard)
      request.data.skip(wanted);
    else
      copied = request.data.put(bytes.first(wanted));
    if (!copied && received.bytes == 0) return std::unexpected(copied.error());
    if (!copied) break;
    received.bytes += *copied;
    if (!peek) consume(*copied);
    if (*copied < wanted) break;
  }
  reading.unlock();
  if (!any) return nothing_to_receive();
  if (peek && options().peek_offset >= 0) options().peek_offset += static_cast<int>(received.bytes);
  if (!peek) tell_room_is_back();
  return received;
}

vfs::ReadyMask TcpEndpoint::ready() {
  vfs::ReadyMask mask = pending_error() != 0 ? POLLERR : 0;
  Ref<TcpEndpoint> peer;
  {
    Locked lock(mutex());
    if (state_ == State::kListening) return pending_.empty() ? 0 : POLLIN | POLLRDNORM;
    if (shutdown_ == kBoth || state_ == State::kClosed) mask |= POLLHUP;
    if ((shutdown_ & kNoReceive) != 0) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (state_ == State::kConnecting) return mask;
    auto low_water = static_cast<std::size_t>(options().receive_low_water.load());
    if (queued_ != 0 && queued_ >= std::min(low_water, limit())) mask |= POLLIN | POLLRDNORM;
    if ((shutdown_ & kNoSend) != 0 || !peer_) return mask | POLLOUT | POLLWRNORM;
    peer = peer_;
  }
  Locked lock(peer->mutex());
  if (peer->has_much_room()) return mask | POLLOUT | POLLWRNORM;
  peer->sender_waits_ = true;
  return mask;
}

ErrnoOr<std::size_t> TcpEndpoint::readable_bytes() {
  Locked lock(mutex());
  if (state_ == State::kListening) return std::unexpected(Errno{EINVAL});
  return queued_;
}

// What was sent has arrived.
ErrnoOr<std::size_t> TcpEndpoint::unsent_bytes() {
  Locked lock(mutex());
  if (state_ == State::kListening) return std::unexpected(Errno{EINVAL});
  return 0;
}

}  // namespace caisson::sandbox::net
