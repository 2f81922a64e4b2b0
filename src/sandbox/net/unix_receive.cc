// Receiving from unix sockets.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/net/network.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

ErrnoOr<Received> UnixEndpoint::receive(ReceiveRequest& request) {
  if ((request.flags & MSG_OOB) != 0)
    return std::unexpected(Errno{is_stream() ? EINVAL : EOPNOTSUPP});
  return is_stream() ? receive_stream(request) : receive_datagram(request);
}

// The queue is empty: an error that waits, the end, or later.
ErrnoOr<Received> UnixEndpoint::nothing_to_receive(const ReceiveRequest& request) {
  if (int error = take_error()) return std::unexpected(Errno{error});
  Locked lock(mutex());
  // A blocking read of a datagram socket ends here too, others do not learn of it.
  if ((shutdown_ & kNoReceive) != 0 && (connects() || !request.nonblocking)) return Received{};
  return std::unexpected(Errno{EAGAIN});
}

// Messages stay where they are as long as read_mutex_ is held: others add only behind them.
UnixMessage* UnixEndpoint::message_at(std::size_t index) {
  Locked lock(mutex());
  return index < messages_.size() ? &messages_[index] : nullptr;
}

UnixMessage UnixEndpoint::pop_message() {
  Locked lock(mutex());
  UnixMessage message = std::move(messages_.front());
  messages_.pop_front();
  queued_bytes_ -= message.size - message.read;
  return message;
}

void UnixEndpoint::discharge(UnixMessage message) {
  if (message.sender) message.sender->release(message.charge);
}

void UnixEndpoint::describe(UnixMessage& message, bool peek, Received& received) {
  {
    Locked lock(message.sender->mutex());
    if (message.sender->name_ && !received.from) received.from = message.sender->name_->address;
  }
  if (options().flag(SO_PASSCRED)) received.ancillary.credentials = message.credentials;
  if (message.rights.empty()) return;
  received.ancillary.rights = peek ? message.rights.files() : message.rights.take();
}

ErrnoOr<Received> UnixEndpoint::receive_datagram(ReceiveRequest& request) {
  if (connects()) {
    Locked lock(mutex());
    if (state_ != State::kConnected) return std::unexpected(Errno{ENOTCONN});
  }
  if (int error = take_error()) return std::unexpected(Errno{error});
  bool peek = (request.flags & MSG_PEEK) != 0;
  Received received;
  Locked reading(read_mutex_);
  UnixMessage* first = message_at(0);
  if (first == nullptr) return nothing_to_receive(request);
  UnixMessage taken;
  if (!peek) {
    taken = pop_message();
    first = &taken;
    wake_senders();
  }
  describe(*first, peek, received);
  std::span<const std::byte> bytes{first->bytes.get(), first->size};
  if (peek && options().peek_offset > 0)
    bytes = bytes.subspan(
        std::min(bytes.size(), static_cast<std::size_t>(options().peek_offset.load())));
  std::size_t room = request.data.remaining();
  std::size_t wanted = std::min<std::size_t>(bytes.size(), room);
  auto copied = wanted == 0 ? ErrnoOr<std::size_t>(0) : request.data.put(bytes.first(wanted));
  bool failed = !copied || *copied != wanted;
  received.bytes = (request.flags & MSG_TRUNC) != 0 ? bytes.size() : wanted;
  if (bytes.size() > room) received.flags |= MSG_TRUNC;
  reading.unlock();
  discharge(std::move(taken));
  if (failed) return std::unexpected(Errno{EFAULT});  // a datagram is gone then
  return received;
}

// Bytes of the first message were delivered.
void UnixEndpoint::finish_stream_bytes(UnixMessage& message, std::size_t bytes) {
  UnixMessage done;
  {
    Locked lock(mutex());
    message.read += bytes;
    queued_bytes_ -= bytes;
    if (message.read != message.size) return;
    done = std::move(messages_.front());
    messages_.pop_front();
  }
  discharge(std::move(done));
}

ErrnoOr<Received> UnixEndpoint::receive_stream(ReceiveRequest& request) {
  {
    Locked lock(mutex());
    if (state_ != State::kConnected) return std::unexpected(Errno{EINVAL});
  }
  bool peek = (request.flags & MSG_PEEK) != 0;
  auto skip = static_cast<std::size_t>(peek ? std::max(options().peek_offset.load(), 0) : 0);
  Received received;
  bool any = false;
  Locked reading(read_mutex_);
  std::size_t step = peek ? 1 : 0;  // what is read leaves the queue
  for (std::size_t index = 0; !received.ends_wait_all; index += step) {
    UnixMessage* message = message_at(index);
    if (message == nullptr || (any && request.data.remaining() == 0)) break;
    std::span<const std::byte> bytes = message->rest();
    if (peek && skip >= bytes.size()) {
      skip -= bytes.size();
      continue;
    }
    bytes = bytes.subspan(skip);
    skip = 0;
    // Bytes of different senders are not mixed for one who asked who they are.
    if (any && received.ancillary.credentials &&
        *received.ancillary.credentials != message->credentials) {
      received.ends_wait_all = true;
      break;
    }
    std::size_t wanted = std::min<std::size_t>(bytes.size(), request.data.remaining());
    auto copied = wanted == 0 ? ErrnoOr<std::size_t>(0) : request.data.put(bytes.first(wanted));
    if (!copied && !any) return std::unexpected(copied.error());
    if (!copied) break;
    bool with_rights = !message->rights.empty();
    describe(*message, peek, received);
    any = true;
    received.bytes += *copied;
    if (!peek) finish_stream_bytes(*message, *copied);
    if (*copied < wanted) break;
    received.ends_wait_all = with_rights;
  }
  if (!any) return nothing_to_receive(request);
  if (peek) {
    received.ends_wait_all = true;
    if (options().peek_offset >= 0) options().peek_offset += static_cast<int>(received.bytes);
  } else if (options().peek_offset > 0) {
    options().peek_offset = std::max(0, options().peek_offset - static_cast<int>(received.bytes));
  }
  return received;
}

}  // namespace caisson::sandbox::net
