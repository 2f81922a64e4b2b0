#include "sandbox/net/port_table.h"

#include <cerrno>

#include "sandbox/net/inet_endpoint.h"

namespace caisson::sandbox::net {

namespace {

constexpr std::uint32_t kFirstEphemeral = 32768, kLastEphemeral = 60999;
constexpr std::uint32_t kEphemeral = kLastEphemeral - kFirstEphemeral + 1;
constexpr std::uint32_t kStep = 7919;  // prime to the number of ports: all are reached

// Whether packets to `address` may reach what is bound to `bound`.
bool covers(const PortTable::Entry& bound, const IpAddress& address) {
  if (bound.local.ip.is_any_v6()) return !bound.v6_only || !address.is_v4();
  if (bound.local.ip == IpAddress::any_v4()) return address.is_v4();
  return bound.local.ip == address;
}

}  // namespace

// SO_REUSEADDR and SO_REUSEPORT as in socket(7) and ip(7).
bool PortTable::conflicts(const Entry& wanted, const Entry& other) const {
  if (!covers(wanted, other.local.ip) && !covers(other, wanted.local.ip)) return false;
  const SocketOptions& a = wanted.endpoint->options();
  const SocketOptions& b = other.endpoint->options();
  bool reuse_port = a.flag(SO_REUSEPORT) && b.flag(SO_REUSEPORT) && wanted.uid == other.uid;
  bool reuse = a.flag(SO_REUSEADDR) && b.flag(SO_REUSEADDR);
  if (is_stream_) reuse = reuse && !other.listening;
  return !reuse && !reuse_port;
}

bool PortTable::is_free(const Entry& wanted) const {
  auto [first, last] = entries_.equal_range(wanted.local.port);
  for (auto other = first; other != last; ++other)
    if (other->second.endpoint != wanted.endpoint && conflicts(wanted, other->second)) return false;
  return true;
}

ErrnoOr<std::uint16_t> PortTable::bind(const Entry& wanted) {
  Locked lock(mutex_);
  Entry entry = wanted;
  if (entry.local.port == 0) {
    // One that nobody uses at all, so that connections from it are apart from all others.
    for (std::uint32_t tried = 0; tried < kEphemeral && entry.local.port == 0; ++tried) {
      next_ = (next_ + kStep) % kEphemeral;
      auto port = static_cast<std::uint16_t>(kFirstEphemeral + next_);
      if (!entries_.contains(port)) entry.local.port = port;
    }
  }
  if (entry.local.port == 0 || !is_free(entry)) return std::unexpected(Errno{EADDRINUSE});
  entries_.emplace(entry.local.port, entry);
  return entry.local.port;
}

void PortTable::add(const Entry& entry) {
  Locked lock(mutex_);
  entries_.emplace(entry.local.port, entry);
}

void PortTable::remove(InetEndpoint& endpoint) {
  Locked lock(mutex_);
  std::erase_if(entries_, [&](const auto& item) { return item.second.endpoint == &endpoint; });
}

ErrnoOr<> PortTable::set_listening(InetEndpoint& endpoint, bool listening) {
  Locked lock(mutex_);
  for (auto& [port, entry] : entries_) {
    if (entry.endpoint != &endpoint) continue;
    if (listening && !entry.listening && !is_free(entry)) return std::unexpected(Errno{EADDRINUSE});
    entry.listening = listening;
  }
  return {};
}

void PortTable::set_remote(InetEndpoint& endpoint, const InetAddress& local,
                           std::optional<InetAddress> remote) {
  Locked lock(mutex_);
  for (auto& [port, entry] : entries_) {
    if (entry.endpoint != &endpoint) continue;
    entry.local = local;
    entry.remote = remote;
  }
}

// The most particular one; of equal ones the last.
Ref<InetEndpoint> PortTable::find(const InetAddress& destination, const InetAddress& source) const {
  Locked lock(mutex_);
  const Entry* best = nullptr;
  int best_score = -1;
  auto [first, last] = entries_.equal_range(destination.port);
  for (auto item = first; item != last; ++item) {
    const Entry& entry = item->second;
    if (is_stream_ && !entry.listening) continue;
    if (!covers(entry, destination.ip)) continue;
    if (entry.remote && *entry.remote != source) continue;
    int score = (entry.remote ? 4 : 0) + (entry.local.ip.is_any() ? 0 : 2) +
                (entry.local.ip.is_any_v6() ? 0 : 1);
    if (score < best_score) continue;
    best = &entry;
    best_score = score;
  }
  if (best == nullptr || !best->endpoint->try_add_ref()) return nullptr;
  return Ref<InetEndpoint>::adopt(best->endpoint);
}

std::vector<Ref<InetEndpoint>> PortTable::all() const {
  Locked lock(mutex_);
  std::vector<Ref<InetEndpoint>> endpoints;
  for (const auto& [port, entry] : entries_)
    if (entry.endpoint->try_add_ref())
      endpoints.push_back(Ref<InetEndpoint>::adopt(entry.endpoint));
  return endpoints;
}

}  // namespace caisson::sandbox::net
