#include "sandbox/fs/host_file/poller.h"

#include <limits.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>

#include "sys/event.h"
#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kStack = 64 * 1024;

ErrnoOr<> epoll_change(FdRef epoll, int operation, FdRef fd, std::uint32_t events,
                       std::uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  return sys::call_void(SYS_epoll_ctl, epoll.number(), operation, fd.number(), &event);
}

}  // namespace

ErrnoOr<Ref<HostPoller>> HostPoller::create() {
  Fd epoll = TRY(sys::epoll_create());
  Fd end = TRY(sys::eventfd());
  TRY(sys::epoll_add(epoll, end, EPOLLIN, 0));
  return Ref<HostPoller>::adopt(new HostPoller(std::move(epoll), std::move(end)));
}

HostPoller::~HostPoller() {
  if (!started_) return;
  std::uint64_t one = 1;
  (void)sys::write(end_, &one, sizeof one);  // a counter that was never written: cannot fail
  (void)pthread_join(thread_, nullptr);
}

ErrnoOr<> HostPoller::start_thread() {
  if (started_) return {};
  pthread_attr_t attributes;
  (void)pthread_attr_init(&attributes);
  (void)pthread_attr_setstacksize(&attributes,
                                  std::max(kStack, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
  // Signals are for the threads that the kernel chose for them.
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread_, &attributes, thread_main, this);
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  (void)pthread_attr_destroy(&attributes);
  if (error != 0) return std::unexpected(Errno{error});
  started_ = true;
  return {};
}

void* HostPoller::thread_main(void* self) {
  static_cast<HostPoller*>(self)->serve();
  return nullptr;
}

void HostPoller::serve() {
  std::array<epoll_event, 64> events;
  for (;;) {
    std::size_t count = MUST(sys::epoll_wait(epoll_, events, -1));
    for (const epoll_event& event : std::span(events).first(count)) {
      if (event.data.u64 == 0) return;
      Locked lock(mutex_);
      auto place = watches_.find(event.data.u64);
      if (place != watches_.end()) place->second->host_ready(event.events);
    }
  }
}

ErrnoOr<> HostPoller::add(HostWatch& watch, FdRef fd) {
  Locked lock(mutex_);
  TRY(start_thread());
  std::uint64_t id = last_id_ + 1;
  // Disarmed: even errors are not reported until someone asks.
  TRY(epoll_change(epoll_, EPOLL_CTL_ADD, fd, EPOLLONESHOT, id));
  last_id_ = id;
  watch.id_ = id;
  watches_[id] = &watch;
  return {};
}

void HostPoller::arm(HostWatch& watch, FdRef fd, vfs::ReadyMask events) {
  // It was added, so this can only fail for lack of kernel memory: the waiter sleeps on then.
  (void)epoll_change(epoll_, EPOLL_CTL_MOD, fd, events | EPOLLONESHOT, watch.id_);
}

void HostPoller::remove(HostWatch& watch, FdRef fd) {
  (void)sys::epoll_remove(epoll_, fd);
  Locked lock(mutex_);
  watches_.erase(watch.id_);
}

}  // namespace caisson::sandbox::fs
