// HostPoller: one thread of the kernel process that tells when descriptors of the host become
// ready. It sleeps unless something that was asked for happens: each arming is for one report.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <map>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::fs {

// Who wants to know about one descriptor.
class HostWatch {
 public:
  virtual ~HostWatch() = default;
  // On the poller's thread, under its lock: must neither block nor call the poller.
  virtual void host_ready(vfs::ReadyMask ready) = 0;

 private:
  friend class HostPoller;
  std::uint64_t id_ = 0;
};

class HostPoller final : public RefCounted {
 public:
  static ErrnoOr<Ref<HostPoller>> create();

  // EPERM: a descriptor that is always ready (a regular file).
  ErrnoOr<> add(HostWatch& watch, FdRef fd);
  // One report of any of `events`, an error or a hang-up; at once if it is so already.
  void arm(HostWatch& watch, FdRef fd, vfs::ReadyMask events);
  // After this no report is being made or will come.
  void remove(HostWatch& watch, FdRef fd);

 private:
  HostPoller(Fd epoll, Fd end) : epoll_(std::move(epoll)), end_(std::move(end)) {}
  ~HostPoller() override;
  static void* thread_main(void* self);
  void serve();
  ErrnoOr<> start_thread();

  const Fd epoll_, end_;
  Mutex mutex_;
  std::map<std::uint64_t, HostWatch*> watches_;
  std::uint64_t last_id_ = 0;  // 0 is the descriptor that ends the thread
  bool started_ = false;
  pthread_t thread_{};
};

}  // namespace caisson::sandbox::fs
