// Event sources: epoll, signalfd, timerfd, eventfd, inotify.
#pragma once

#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <cstdint>
#include <initializer_list>
#include <span>

#include "sys/call.h"

namespace caisson::sys {

inline ErrnoOr<Fd> epoll_create() { return call_fd(SYS_epoll_create1, EPOLL_CLOEXEC); }
inline ErrnoOr<> epoll_add(FdRef epoll, FdRef fd, std::uint32_t events, std::uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  return call_void(SYS_epoll_ctl, epoll.number(), EPOLL_CTL_ADD, fd.number(), &event);
}
inline ErrnoOr<> epoll_remove(FdRef epoll, FdRef fd) {
  epoll_event event{};
  return call_void(SYS_epoll_ctl, epoll.number(), EPOLL_CTL_DEL, fd.number(), &event);
}
// EINTR is retried. Returns how many of `events` were filled.
inline ErrnoOr<std::size_t> epoll_wait(FdRef epoll, std::span<epoll_event> events, int timeout_ms) {
  return static_cast<std::size_t>(TRY(call_retry(SYS_epoll_pwait, epoll.number(), events.data(),
                                                 events.size(), timeout_ms, nullptr, 8)));
}

// The kernel's signal set: bit n-1 is signal n.
class SignalSet {
 public:
  SignalSet() = default;
  SignalSet(std::initializer_list<int> signals) {
    for (int signal : signals) add(signal);
  }
  static SignalSet all() {
    SignalSet set;
    set.bits_ = ~std::uint64_t{0};
    return set;
  }
  void add(int signal) { bits_ |= std::uint64_t{1} << (signal - 1); }
  void remove(int signal) { bits_ &= ~(std::uint64_t{1} << (signal - 1)); }
  const std::uint64_t* data() const { return &bits_; }
  std::uint64_t* data() { return &bits_; }

 private:
  std::uint64_t bits_ = 0;
};

// rt_sigprocmask(2): SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK. Returns the old set.
inline ErrnoOr<SignalSet> signal_mask(int how, const SignalSet& set) {
  SignalSet old;
  TRY(call_void(SYS_rt_sigprocmask, how, set.data(), old.data(), 8));
  return old;
}
inline ErrnoOr<Fd> signalfd(const SignalSet& set) {
  return call_fd(SYS_signalfd4, -1, set.data(), 8, SFD_CLOEXEC | SFD_NONBLOCK);
}
inline ErrnoOr<Fd> timerfd() {
  return call_fd(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}
inline ErrnoOr<Fd> eventfd(unsigned initial = 0) {
  return call_fd(SYS_eventfd2, initial, 02000000 /* EFD_CLOEXEC */);
}
inline ErrnoOr<Fd> inotify() { return call_fd(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK); }
inline ErrnoOr<int> inotify_add(FdRef inotify, const char* path, std::uint32_t mask) {
  return static_cast<int>(TRY(call(SYS_inotify_add_watch, inotify.number(), path, mask)));
}

}  // namespace caisson::sys
