// The states of TCP connections: how they begin and end.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox/net/network.h"
#include "sandbox/net/tcp_endpoint.h"

namespace caisson::sandbox::net {

namespace {
constexpr vfs::ReadyMask kStateChanged = POLLIN | POLLOUT | POLLRDHUP | POLLHUP;
// States as /proc/net/tcp and TCP_INFO number them (include/net/tcp_states.h of Linux).
enum TcpState : std::uint8_t {
  kTcpEstablished = 1,
  kTcpSynSent = 2,
  kTcpFinWait2 = 5,
  kTcpClose = 7,
  kTcpCloseWait = 8,
  kTcpListen = 10,
};
constexpr int kDefaultSend = 16384, kDefaultReceive = 131072;  // net.ipv4.tcp_{w,r}mem
}  // namespace

TcpEndpoint::TcpEndpoint(Ref<Network> network, int domain)
    : InetEndpoint(std::move(network), domain, SOCK_STREAM, IPPROTO_TCP) {
  options().send_buffer = kDefaultSend;
  options().receive_buffer = kDefaultReceive;
}

bool TcpEndpoint::is_listening() const {
  Locked lock(mutex());
  return state_ == State::kListening;
}

ErrnoOr<> TcpEndpoint::listen(int backlog, Requester& requester) {
  {
    Locked lock(mutex());
    bool fresh = state_ == State::kClosed && progress_ == Progress::kNone;
    if (!fresh && state_ != State::kListening) return std::unexpected(Errno{EINVAL});
  }
  TRY(autobind(requester));
  TRY(ports().set_listening(*this, true));
  {
    Locked lock(mutex());
    state_ = State::kListening;
    shutdown_ = 0;
    backlog_ = static_cast<int>(
        std::min(static_cast<unsigned>(backlog), static_cast<unsigned>(network().max_backlog())));
  }
  let_in_waiting();
  return {};
}

ErrnoOr<> TcpEndpoint::connect(const Address& address, Requester& requester) {
  if (address.length() < sizeof(sa_family_t)) return std::unexpected(Errno{EINVAL});
  if (address.family() == AF_UNSPEC) return disconnect();
  {
    Locked lock(mutex());
    if (progress_ == Progress::kKnown) return std::unexpected(Errno{EISCONN});
    if (progress_ == Progress::kNone && state_ != State::kClosed)
      return std::unexpected(Errno{EISCONN});
    if (state_ == State::kConnecting) return std::unexpected(Errno{EALREADY});
    if (progress_ == Progress::kStarted) {
      lock.unlock();
      return outcome_of_connecting();
    }
  }
  InetAddress to = TRY(destination(address));
  auto bound = autobind(requester);
  if (!bound) return std::unexpected(Errno{EADDRNOTAVAIL});
  return start(to);
}

// Whether it worked is told later, as it is when packets are on their way.
ErrnoOr<> TcpEndpoint::start(const InetAddress& to) {
  IpAddress source = source_for(to.ip);
  InetAddress local;
  {
    Locked lock(mutex());
    if (progress_ != Progress::kNone || state_ != State::kClosed)
      return std::unexpected(Errno{EALREADY});
    progress_ = Progress::kStarted;
    state_ = State::kConnecting;
    shutdown_ = 0;
    end_received_ = false;
    (void)take_error();  // of what was before
    local_.ip = source;
    local = local_;
    remote_ = to;
  }
  ports().set_remote(*this, local, to);
  auto found = ports().find(to, local);
  if (!found || !join(static_cast<TcpEndpoint&>(*found))) refuse();
  return std::unexpected(Errno{EINPROGRESS});
}

// Connects to a listener, or waits for its backlog. False: it is none any more.
bool TcpEndpoint::join(TcpEndpoint& listener) {
  InetAddress here, there;
  {
    Locked lock(mutex());
    here = local_;
    there = remote_;
  }
  auto accepted = make_ref<TcpEndpoint>(Ref<Network>::share(&network()), listener.domain());
  accepted->state_ = State::kConnected;
  accepted->progress_ = Progress::kKnown;
  accepted->local_ = there;
  accepted->remote_ = here;
  accepted->options().inherit(listener.options());
  accepted->inherit_values(listener);
  accepted->peer_ = Ref<TcpEndpoint>::share(this);
  {
    // This end first: whoever accepts the other one finds a connection.
    Locked lock(listener.mutex());
    bool listens = listener.state_ == State::kListening && !listener.closed_;
    bool full = listener.pending_.size() > static_cast<std::size_t>(listener.backlog_);
    if (listens && full) listener.waiting_.push_back(Ref<TcpEndpoint>::share(this));
    if (!listens || full) {
      accepted->peer_ = nullptr;
      return listens;
    }
    accepted->uid_ = listener.uid_;
    listener.pending_.push_back(accepted);
  }
  bool gave_up = false;
  {
    Locked lock(mutex());
    gave_up = closed_ || state_ != State::kConnecting;
    if (!gave_up) state_ = State::kConnected;
    if (!gave_up) peer_ = accepted;
  }
  ports().add({.endpoint = accepted.get(),
               .local = there,
               .remote = here,
               .v6_only = false,
               .listening = false,
               .uid = accepted->uid_});
  if (gave_up) accepted->received_reset();
  queue().notify(POLLOUT | POLLWRNORM);
  listener.queue().notify(POLLIN | POLLRDNORM);
  return true;
}

void TcpEndpoint::refuse() {
  {
    Locked lock(mutex());
    if (state_ != State::kConnecting) return;
    state_ = State::kClosed;
    shutdown_ = kBoth;
    set_error(ECONNREFUSED);
  }
  queue().notify(kStateChanged | POLLERR);
}

ErrnoOr<> TcpEndpoint::finish_connect() {
  {
    Locked lock(mutex());
    if (state_ == State::kConnecting) return std::unexpected(Errno{EAGAIN});
  }
  return outcome_of_connecting();
}

ErrnoOr<> TcpEndpoint::outcome_of_connecting() {
  {
    Locked lock(mutex());
    if (state_ == State::kConnected || end_received_) {
      progress_ = Progress::kKnown;
      return {};
    }
    progress_ = Progress::kNone;
    shutdown_ = 0;
  }
  int error = take_error();
  unbind();
  return std::unexpected(Errno{error != 0 ? error : ECONNABORTED});
}

ErrnoOr<Ref<Endpoint>> TcpEndpoint::accept(bool) {
  Ref<TcpEndpoint> accepted;
  {
    Locked lock(mutex());
    if (state_ != State::kListening) return std::unexpected(Errno{EINVAL});
    if (pending_.empty()) return std::unexpected(Errno{EAGAIN});
    accepted = std::move(pending_.front());
    pending_.pop_front();
  }
  let_in_waiting();
  return Ref<Endpoint>(std::move(accepted));
}

// Those whose connection waited for room in the backlog, as long as there is some.
void TcpEndpoint::let_in_waiting() {
  for (;;) {
    Ref<TcpEndpoint> next;
    {
      Locked lock(mutex());
      bool full = pending_.size() > static_cast<std::size_t>(backlog_);
      if (waiting_.empty() || full) return;
      next = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
    }
    if (!next->join(*this)) next->refuse();
  }
}

void TcpEndpoint::stop_listening() {
  std::deque<Ref<TcpEndpoint>> pending;
  std::vector<Ref<TcpEndpoint>> waiting;
  {
    Locked lock(mutex());
    if (state_ != State::kListening) return;
    state_ = State::kClosed;
    pending.swap(pending_);
    waiting.swap(waiting_);
  }
  (void)ports().set_listening(*this, false);  // fails only when it begins
  for (auto& endpoint : pending) {
    endpoint->finish(true);
    endpoint->unbind();
  }
  for (auto& endpoint : waiting) endpoint->refuse();
}

// AF_UNSPEC: the connection is reset, the socket may be used again.
ErrnoOr<> TcpEndpoint::disconnect() {
  stop_listening();
  bool keep_port;
  bool aborted;
  {
    Locked lock(mutex());
    aborted = state_ == State::kConnected || state_ == State::kConnecting;
  }
  finish(true);
  {
    Locked lock(mutex());
    keep_port = address_chosen_;
    progress_ = Progress::kNone;
    shutdown_ = 0;
    end_received_ = false;
    remote_ = {};
  }
  set_error(aborted ? ECONNRESET : 0);
  if (!keep_port) unbind();
  queue().notify(kStateChanged);
  return {};
}

// Our side of the connection ends, in order or with a reset.
void TcpEndpoint::finish(bool with_reset) {
  Ref<TcpEndpoint> peer;
  std::deque<Chunk> chunks;
  {
    Locked lock(mutex());
    if (state_ == State::kConnecting) state_ = State::kClosed;
    if (state_ == State::kConnected) state_ = State::kClosed;
    shutdown_ = kBoth;
    peer = std::move(peer_);
    chunks.swap(chunks_);
    queued_ = 0;
  }
  if (!peer) return;
  if (with_reset)
    peer->received_reset();
  else
    peer->received_end();
}

void TcpEndpoint::close() {
  bool reset;
  {
    Locked lock(mutex());
    closed_ = true;
    bool dropped = options().flag(SO_LINGER) && options().linger_s == 0;
    reset = queued_ != 0 || dropped;
  }
  stop_listening();
  finish(reset);
  unbind();
}

void TcpEndpoint::received_end() {
  {
    Locked lock(mutex());
    if (state_ != State::kConnected || end_received_) return;
    end_received_ = true;
    shutdown_ |= kNoReceive;
    if ((shutdown_ & kNoSend) != 0) state_ = State::kClosed;
  }
  queue().notify(kStateChanged);
}

void TcpEndpoint::received_reset() {
  {
    Locked lock(mutex());
    if (state_ != State::kConnected) return;
    set_error(end_received_ ? EPIPE : ECONNRESET);
    state_ = State::kClosed;
    shutdown_ = kBoth;
    peer_ = nullptr;
  }
  queue().notify(kStateChanged | POLLERR);
}

ErrnoOr<> TcpEndpoint::shutdown(int how) {
  auto ours = static_cast<std::uint8_t>(how + 1);
  bool listening;
  Ref<TcpEndpoint> peer;
  {
    Locked lock(mutex());
    if (state_ == State::kClosed) return std::unexpected(Errno{ENOTCONN});
    listening = state_ == State::kListening;
    if (state_ == State::kConnecting) {
      state_ = State::kClosed;
      progress_ = Progress::kNone;
    }
    if (state_ == State::kConnected) progress_ = Progress::kKnown;
    bool first = (shutdown_ & kNoSend) == 0;
    shutdown_ |= ours;
    if (state_ == State::kConnected && first && (ours & kNoSend) != 0) peer = peer_;
    if (peer && end_received_) {
      state_ = State::kClosed;
      shutdown_ = kBoth;
    }
  }
  if (listening && (ours & kNoReceive) != 0) {
    stop_listening();
    Locked lock(mutex());
    shutdown_ = 0;  // it may be used for something else
  }
  if (peer) peer->received_end();
  queue().notify(kStateChanged);
  return {};
}

ErrnoOr<Address> TcpEndpoint::peer_address() {
  Locked lock(mutex());
  if (state_ != State::kConnected) return std::unexpected(Errno{ENOTCONN});
  return remote_.to_socket_address(domain());
}

InetEndpoint::Facts TcpEndpoint::facts() {
  Locked lock(mutex());
  Facts facts{.local = local_, .remote = remote_, .receive_queue = queued_, .uid = uid_};
  switch (state_) {
    case State::kListening:
      facts.state = kTcpListen;
      facts.receive_queue = pending_.size();
      break;
    case State::kConnecting: facts.state = kTcpSynSent; break;
    case State::kClosed: facts.state = kTcpClose; break;
    case State::kConnected:
      facts.state = kTcpEstablished;
      if (end_received_) facts.state = kTcpCloseWait;
      if ((shutdown_ & kNoSend) != 0) facts.state = kTcpFinWait2;
      break;
  }
  return facts;
}

// What is known without packets: the state and the bytes.
std::string TcpEndpoint::tcp_info() {
  int state = facts().state;
  struct tcp_info info{};
  info.tcpi_state = static_cast<std::uint8_t>(state);
  info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = 65483;
  info.tcpi_pmtu = 65535;
  info.tcpi_snd_cwnd = 10;
  info.tcpi_rto = 201000;
  info.tcpi_rtt = 25;
  info.tcpi_rttvar = 12;
  Locked lock(mutex());
  info.tcpi_bytes_received = bytes_received_;
  info.tcpi_bytes_acked = info.tcpi_bytes_sent = bytes_sent_;
  return option_bytes(info);
}

}  // namespace caisson::sandbox::net
