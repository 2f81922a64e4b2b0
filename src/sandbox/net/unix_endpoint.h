// Unix sockets (unix(7)): streams, datagrams and sequenced packets between processes of the
// sandbox, with names in the file system and abstract ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ref.h"
#include "sandbox/net/endpoint.h"
#include "sandbox/net/rights.h"

namespace caisson::sandbox::net {

// A name that a socket is bound to; sockets accepted from it share it.
struct UnixName final : RefCounted {
  Address address;
  vfs::Path path;  // keeps the inode of a name in the file system
  bool abstract = false;
};

// Bytes as they were sent by one call, or a part of them in streams.
struct UnixMessage {
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0, read = 0;  // of streams: bytes before `read` are gone
  std::size_t charge = 0;          // what it counts against the sender's buffer
  Ref<class UnixEndpoint> sender;
  ProcessCredentials credentials;
  Rights rights;
  std::span<const std::byte> rest() const { return {bytes.get() + read, size - read}; }
};

class UnixEndpoint final : public Endpoint {
 public:
  UnixEndpoint(Ref<Network> network, int type);

  void close() override;
  ErrnoOr<> bind(const Address& address, Requester& requester) override;
  ErrnoOr<> listen(int backlog, Requester& requester) override;
  ErrnoOr<> connect(const Address& address, Requester& requester) override;
  ErrnoOr<Ref<Endpoint>> accept(bool nonblocking) override;
  ErrnoOr<> pair(Endpoint& other, Requester& requester) override;
  ErrnoOr<Address> local_address() override;
  ErrnoOr<Address> peer_address() override;
  ErrnoOr<std::size_t> send(SendRequest& request) override;
  ErrnoOr<Received> receive(ReceiveRequest& request) override;
  ErrnoOr<> shutdown(int how) override;
  vfs::ReadyMask ready() override;
  ErrnoOr<std::size_t> readable_bytes() override;
  ErrnoOr<std::size_t> unsent_bytes() override { return charged_.load(); }

  // The permission bits of the inode, which a name in the file system takes over.
  void set_inode_mode(std::uint32_t mode) { inode_mode_ = mode & 07777; }

  // --- for RightsTable: sockets that wait in the queues of this one and of those that it has not
  // accepted yet; and their messages with rights, taken out.
  std::vector<UnixEndpoint*> sockets_in_queue();
  void take_rights(std::vector<Rights>& into);

  // --- for /proc/net/unix
  struct Facts {
    std::uint32_t references = 0, flags = 0, state = 0;
    std::string name;  // with '@' for the null byte of abstract ones
  };
  Facts facts();

 protected:
  bool is_listening() const override;
  ErrnoOr<std::string> peer_option(int name, Requester& requester) override;

 private:
  enum class State : std::uint8_t { kUnconnected, kListening, kConnected };
  enum Shutdown : std::uint8_t { kNoReceive = 1, kNoSend = 2, kBoth = 3 };
  struct Credentials {  // SO_PEERCRED, SO_PEERGROUPS
    ProcessCredentials process;
    std::vector<vfs::Gid> groups;
  };

  ~UnixEndpoint() override;
  bool connects() const { return type() != SOCK_DGRAM; }
  // With mutex() held: whether one more has to wait; who will be told when none has to.
  bool is_full() const;
  void add_waiting(UnixEndpoint& endpoint);

  // unix_bind.cc
  ErrnoOr<> bind_path(const Address& address, Requester& requester);
  ErrnoOr<> bind_abstract(const Address& address);
  ErrnoOr<> autobind();
  ErrnoOr<> set_name(Ref<UnixName> name);
  ErrnoOr<Ref<UnixEndpoint>> find(const Address& address, Requester& requester);
  ErrnoOr<Ref<UnixEndpoint>> find_path(std::string_view path, Requester& requester);

  // unix_connect.cc
  ErrnoOr<> connect_stream(const Address& address, Requester& requester);
  ErrnoOr<> connect_datagram(const Address& address, Requester& requester);
  void disconnect_datagram();
  ErrnoOr<> join(UnixEndpoint& listener, const Ref<UnixEndpoint>& embryo);
  void hang_up(bool lost_data);
  static Credentials credentials_of(Requester& requester);

  // unix_send.cc
  ErrnoOr<std::size_t> send_stream(SendRequest& request);
  ErrnoOr<std::size_t> send_datagram(SendRequest& request);
  ErrnoOr<std::size_t> send_piece(UnixEndpoint& peer, SendRequest& request);
  ErrnoOr<Ref<UnixEndpoint>> datagram_receiver(SendRequest& request);
  ErrnoOr<UnixMessage> make_message(UnixEndpoint& peer, SendRequest& request, std::size_t size,
                                    std::size_t charge);
  ErrnoOr<> reserve(std::size_t charge);
  void release(std::size_t charge);
  ErrnoOr<> admit(UnixEndpoint& sender);
  ErrnoOr<> admit_locked(UnixEndpoint& sender);
  ErrnoOr<> take_datagram(UnixEndpoint& sender, UnixMessage& message);

  // unix_receive.cc
  ErrnoOr<Received> receive_stream(ReceiveRequest& request);
  ErrnoOr<Received> receive_datagram(ReceiveRequest& request);
  ErrnoOr<Received> nothing_to_receive(const ReceiveRequest& request);
  UnixMessage* message_at(std::size_t index);
  void finish_stream_bytes(UnixMessage& message, std::size_t bytes);
  UnixMessage pop_message();
  void describe(UnixMessage& message, bool peek, Received& received);
  void discharge(UnixMessage message);
  void wake_senders();

  // Readers one after another: held while bytes are copied to the guest, before mutex().
  Mutex read_mutex_;
  std::atomic<std::size_t> charged_{0};  // of ours, not yet read by the others
  std::atomic<std::uint32_t> inode_mode_{0777};

  // Under mutex():
  State state_ = State::kUnconnected;
  std::uint8_t shutdown_ = 0;
  bool closed_ = false;
  bool embryo_ = false;  // not accepted yet
  Ref<UnixEndpoint> peer_;
  Ref<UnixName> name_;
  bool owns_name_ = false;
  std::deque<UnixMessage> messages_;
  std::size_t queued_bytes_ = 0;
  std::deque<Ref<UnixEndpoint>> pending_;  // of a listener: to be accepted
  int backlog_;                            // of connections, or of datagrams
  // Who found a queue of ours full: senders, and those who connect.
  std::vector<Ref<UnixEndpoint>> waiting_;
  std::optional<Credentials> own_credentials_;  // at listen()
  std::optional<Credentials> peer_credentials_;
};

}  // namespace caisson::sandbox::net
