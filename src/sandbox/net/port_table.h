// Ports of one protocol in one network namespace: who is bound to what. Its lock comes before those
// of endpoints, none of which is taken under it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/net/inet_address.h"

namespace caisson::sandbox::net {

class InetEndpoint;

class PortTable {
 public:
  explicit PortTable(bool is_stream) : is_stream_(is_stream) {}

  struct Entry {
    InetEndpoint* endpoint = nullptr;
    InetAddress local;
    std::optional<InetAddress> remote;  // a connected one takes from there only
    bool v6_only = false;
    bool listening = false;
    std::uint32_t uid = 0;
  };

  // Port 0: a free one is found. EADDRINUSE; the port that it is.
  ErrnoOr<std::uint16_t> bind(const Entry& wanted);
  // A socket that was accepted: it has its listener's port.
  void add(const Entry& entry);
  void remove(InetEndpoint& endpoint);
  // EADDRINUSE: another listens there, though both may be bound.
  ErrnoOr<> set_listening(InetEndpoint& endpoint, bool listening);
  // UDP: connected, or (none) no more; with the address that it has then.
  void set_remote(InetEndpoint& endpoint, const InetAddress& local,
                  std::optional<InetAddress> remote);
  // Who gets what comes from `source` to `destination`; null: nobody.
  Ref<InetEndpoint> find(const InetAddress& destination, const InetAddress& source) const;
  std::vector<Ref<InetEndpoint>> all() const;

 private:
  bool conflicts(const Entry& wanted, const Entry& other) const;
  bool is_free(const Entry& wanted) const;

  const bool is_stream_;
  mutable Mutex mutex_;
  std::multimap<std::uint16_t, Entry> entries_;
  std::uint32_t next_ = 0;
};

}  // namespace caisson::sandbox::net
