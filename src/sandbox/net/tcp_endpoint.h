// TCP sockets within one network namespace: a pair of byte queues with TCP's rules about states,
// ends and resets (tcp(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "sandbox/net/inet_endpoint.h"

namespace caisson::sandbox::net {

class TcpEndpoint final : public InetEndpoint {
 public:
  TcpEndpoint(Ref<Network> network, int domain);

  void close() override;
  ErrnoOr<> listen(int backlog, Requester& requester) override;
  ErrnoOr<> connect(const Address& address, Requester& requester) override;
  ErrnoOr<> finish_connect() override;
  ErrnoOr<Ref<Endpoint>> accept(bool nonblocking) override;
  ErrnoOr<Address> peer_address() override;
  ErrnoOr<std::size_t> send(SendRequest& request) override;
  ErrnoOr<Received> receive(ReceiveRequest& request) override;
  ErrnoOr<> shutdown(int how) override;
  vfs::ReadyMask ready() override;
  ErrnoOr<std::size_t> readable_bytes() override;
  ErrnoOr<std::size_t> unsent_bytes() override;
  Facts facts() override;

 protected:
  bool is_listening() const override;
  bool may_bind_now() const override { return state_ == State::kClosed; }
  std::string tcp_info() override;
  void option_changed(int name) override;

 private:
  // What becomes of a connection after its end is kClosed again, with shutdown_ == kBoth.
  enum class State : std::uint8_t { kClosed, kListening, kConnecting, kConnected };
  // What the socket knows of its connection; it may learn of its success or failure later.
  enum class Progress : std::uint8_t { kNone, kStarted, kKnown };
  enum Shutdown : std::uint8_t { kNoReceive = 1, kNoSend = 2, kBoth = 3 };

  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t capacity = 0, size = 0, read = 0;
  };

  ~TcpEndpoint() override = default;

  // tcp_connect.cc
  ErrnoOr<> disconnect();
  ErrnoOr<> start(const InetAddress& to);
  ErrnoOr<> outcome_of_connecting();
  bool join(TcpEndpoint& listener);
  void let_in_waiting();
  void refuse();
  void received_end();
  void received_reset();
  void stop_listening();
  void finish(bool with_reset);

  // tcp_stream.cc
  ErrnoOr<Ref<TcpEndpoint>> peer_to_send_to();
  ErrnoOr<std::size_t> put_bytes(TcpEndpoint& peer, vfs::IoBuffer& data);
  std::size_t reserve_room(std::size_t wanted);
  void append(Chunk chunk, std::size_t reserved);
  void append_small(std::span<const std::byte> bytes, std::size_t reserved);
  ErrnoOr<Received> nothing_to_receive();
  bool chunk_at(std::size_t index, std::span<const std::byte>& bytes);
  void consume(std::size_t bytes);
  std::size_t limit() const;   // mutex() held
  bool has_much_room() const;  // mutex() held
  void tell_room_is_back();

  Mutex read_mutex_;  // readers one after another; before mutex()

  // Under mutex():
  State state_ = State::kClosed;
  Progress progress_ = Progress::kNone;
  std::uint8_t shutdown_ = 0;
  bool end_received_ = false;  // the peer sends no more
  bool closed_ = false;        // no file refers to it
  bool sender_waits_ = false;  // found no room in chunks_
  InetAddress remote_;
  Ref<TcpEndpoint> peer_;
  std::deque<Chunk> chunks_;  // received, not yet read
  std::size_t queued_ = 0, reserved_ = 0;
  int backlog_ = 0;
  std::deque<Ref<TcpEndpoint>> pending_;   // to be accepted
  std::vector<Ref<TcpEndpoint>> waiting_;  // whose connection has to wait for the backlog
  std::uint64_t bytes_received_ = 0, bytes_sent_ = 0;
};

}  // namespace caisson::sandbox::net
