// Endpoint: one end of a communication (what Linux calls a struct sock). It outlives its file while
// the other end refers to it. Families derive from it. No operation blocks: EAGAIN, and queue()
// tells when to try again.
//
// Locks: mutex() of an endpoint; of two endpoints in the order of their addresses. The locks of
// tables (names, ports, rights in flight) come before them. queue() is notified without any.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/net/address.h"
#include "sandbox/net/message.h"
#include "sandbox/net/requester.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::net {

class Network;

// What SOL_SOCKET sets and any thread reads (socket(7)).
class SocketOptions {
 public:
  // Those that are on or off, by their number: SO_REUSEADDR, SO_PASSCRED ...
  bool flag(int name) const {
    return (flags_[name >> 6].load(std::memory_order_relaxed) >> (name & 63) & 1) != 0;
  }
  void set_flag(int name, bool on) {
    std::uint64_t bit = std::uint64_t{1} << (name & 63);
    if (on)
      flags_[name >> 6].fetch_or(bit, std::memory_order_relaxed);
    else
      flags_[name >> 6].fetch_and(~bit, std::memory_order_relaxed);
  }

  std::atomic<int> send_buffer{212992}, receive_buffer{212992};
  std::atomic<int> receive_low_water{1};
  std::atomic<std::int64_t> receive_timeout_ns{-1}, send_timeout_ns{-1};  // -1: none
  std::atomic<int> linger_s{0};                                           // if SO_LINGER is on
  std::atomic<int> priority{0}, mark{0}, peek_offset{-1}, incoming_cpu{-1}, busy_poll{0};
  std::atomic<int> busy_poll_budget{0}, buffer_lock{0}, interface{0};
  std::atomic<std::uint64_t> pacing_rate{~std::uint64_t{0}};
  void inherit(const SocketOptions& from);  // accept(2)

 private:
  std::atomic<std::uint64_t> flags_[2]{};
};

class Endpoint : public RefCounted {
 public:
  Endpoint(Ref<Network> network, int domain, int type, int protocol);

  Network& network() const { return *network_; }
  int domain() const { return domain_; }
  int type() const { return type_; }
  int protocol() const { return protocol_; }
  vfs::WaitQueue& queue() { return queue_; }
  SocketOptions& options() { return options_; }
  const SocketOptions& options() const { return options_; }
  Mutex& mutex() const { return mutex_; }
  // The inode number of its file (/proc/net, "socket:[5]"); 0: none yet.
  std::uint64_t inode_number() const { return inode_number_.load(std::memory_order_relaxed); }
  void set_inode_number(std::uint64_t number) { inode_number_ = number; }

  // The last file that refers to it is gone.
  virtual void close() = 0;

  virtual ErrnoOr<> bind(const Address& address, Requester& requester) = 0;
  virtual ErrnoOr<> listen(int backlog, Requester& requester);
  // EAGAIN: try again when queue() tells POLLOUT. EINPROGRESS, EALREADY: it goes on by itself until
  // finish_connect() has an answer.
  virtual ErrnoOr<> connect(const Address& address, Requester& requester) = 0;
  virtual ErrnoOr<> finish_connect() { return {}; }
  // A listener that was shut down tells only those who would wait.
  virtual ErrnoOr<Ref<Endpoint>> accept(bool nonblocking);
  virtual ErrnoOr<> pair(Endpoint& other, Requester& requester);
  virtual ErrnoOr<Address> local_address() = 0;
  virtual ErrnoOr<Address> peer_address() = 0;
  virtual ErrnoOr<std::size_t> send(SendRequest& request) = 0;
  virtual ErrnoOr<Received> receive(ReceiveRequest& request) = 0;
  virtual ErrnoOr<> shutdown(int how) = 0;  // SHUT_*, checked
  virtual vfs::ReadyMask ready() = 0;

  // Whether a blocking send goes on until all bytes are taken.
  bool is_stream() const { return type_ == SOCK_STREAM; }

  // Options of other levels than SOL_SOCKET: ENOPROTOOPT, EOPNOTSUPP.
  virtual ErrnoOr<> set_protocol_option(int level, int name, std::span<const std::byte> value,
                                        Requester& requester);
  virtual ErrnoOr<std::string> protocol_option(int level, int name, std::uint32_t length,
                                               Requester& requester);
  // SOL_SOCKET. The value comes back whole, whatever room there is.
  ErrnoOr<> set_socket_option(int name, std::span<const std::byte> value, Requester& requester);
  ErrnoOr<std::string> socket_option(int name, std::uint32_t length, Requester& requester);

  // What a receiver asked to be told with each message, beyond `received.ancillary`.
  virtual std::vector<ControlMessage> control_messages(const Received& /*received*/) const {
    return {};
  }

  // FIONREAD and SIOCOUTQ; EINVAL for listening sockets.
  virtual ErrnoOr<std::size_t> readable_bytes() = 0;
  virtual ErrnoOr<std::size_t> unsent_bytes() = 0;

  // SO_ERROR: the error that waits to be told, once. 0: none.
  virtual int take_error() { return error_.exchange(0, std::memory_order_acq_rel); }
  void set_error(int error) { error_.store(error, std::memory_order_release); }
  int pending_error() const { return error_.load(std::memory_order_acquire); }

 protected:
  ~Endpoint() override;
  // SOL_SOCKET options that a family has more to say about.
  virtual bool is_listening() const { return false; }
  virtual ErrnoOr<std::string> peer_option(int name, Requester& requester);
  virtual void option_changed(int /*name*/) {}

 private:
  ErrnoOr<> set_number_option(int name, int value, Requester& requester);
  ErrnoOr<> set_long_option(int name, std::span<const std::byte> value);
  ErrnoOr<> may_set(int name, int value, Requester& requester) const;
  bool has_option(int name) const;
  std::optional<int> number_option(int name);

  Ref<Network> network_;
  const int domain_, type_, protocol_;
  mutable Mutex mutex_;
  vfs::WaitQueue queue_;
  SocketOptions options_;
  std::atomic<int> error_{0};
  std::atomic<std::uint64_t> inode_number_{0};
};

// The value of an option as getsockopt(2) gives it.
template <typename T>
std::string option_bytes(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace caisson::sandbox::net
