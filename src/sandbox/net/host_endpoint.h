// Sockets of the host, for networks that are the host's (--network host): each is one non-blocking
// socket of the kernel process. Only what is listed here is passed on: addresses, bytes, and a
// fixed set of options; never descriptors.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "sandbox/fs/host_file/poller.h"
#include "sandbox/net/endpoint.h"

namespace caisson::sandbox::net {

class HostEndpoint final : public Endpoint, private fs::HostWatch {
 public:
  static ErrnoOr<Ref<Endpoint>> create(Ref<Network> network, int domain, int type, int protocol);

  void close() override;
  ErrnoOr<> bind(const Address& address, Requester& requester) override;
  ErrnoOr<> listen(int backlog, Requester& requester) override;
  ErrnoOr<> connect(const Address& address, Requester& requester) override;
  ErrnoOr<> finish_connect() override;
  ErrnoOr<Ref<Endpoint>> accept(bool nonblocking) override;
  ErrnoOr<Address> local_address() override { return name(false); }
  ErrnoOr<Address> peer_address() override { return name(true); }
  ErrnoOr<std::size_t> send(SendRequest& request) override;
  ErrnoOr<Received> receive(ReceiveRequest& request) override;
  ErrnoOr<> shutdown(int how) override;
  vfs::ReadyMask ready() override;
  ErrnoOr<> set_protocol_option(int level, int name, std::span<const std::byte> value,
                                Requester& requester) override;
  ErrnoOr<std::string> protocol_option(int level, int name, std::uint32_t length,
                                       Requester& requester) override;
  std::vector<ControlMessage> control_messages(const Received& received) const override {
    return received.control;
  }
  ErrnoOr<std::size_t> readable_bytes() override;
  ErrnoOr<std::size_t> unsent_bytes() override;
  int take_error() override;

 protected:
  bool is_listening() const override { return listening_.load(); }
  void option_changed(int name) override;

 private:
  HostEndpoint(Ref<Network> network, int domain, int type, int protocol, Fd fd);
  ~HostEndpoint() override;
  static ErrnoOr<Ref<Endpoint>> adopt(Ref<Network> network, int domain, int type, int protocol,
                                      Fd fd);
  void host_ready(vfs::ReadyMask ready) override;
  // A report about any of these events, or those that were asked for before.
  void ask(vfs::ReadyMask events);
  // The result; when it is EAGAIN, a notification for `events` is asked for.
  template <typename T>
  ErrnoOr<T> or_ask(ErrnoOr<T> result, vfs::ReadyMask events);
  ErrnoOr<Address> name(bool of_peer);
  ErrnoOr<std::size_t> send_piece(SendRequest& request);
  void read_buffer_sizes();

  const Fd fd_;
  const Ref<fs::HostPoller> poller_;
  std::atomic<vfs::ReadyMask> asked_{0};
  std::atomic<bool> listening_{false};
  bool watched_ = false;
};

// Whether an option of IP, IPv6, TCP or UDP is a plain number that may be passed on.
bool is_number_option(int level, int name);

}  // namespace caisson::sandbox::net
