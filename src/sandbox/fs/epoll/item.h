// One registration of a file with an epoll instance. Only for the files of this folder.
#pragma once

#include <atomic>
#include <cstdint>

#include "sandbox/fs/epoll/epoll.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::fs {

constexpr std::uint32_t kAlways = EPOLLERR | EPOLLHUP;
// Flags of a registration, no events.
constexpr std::uint32_t kPrivate = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

class EpollItem final : public vfs::WaitEntry, public vfs::FileWatcher {
 public:
  EpollItem(Ref<EpollState> its_state, vfs::File& its_file, int its_fd, EpollEvent event)
      : WaitEntry((event.events & EPOLLEXCLUSIVE) != 0 ? event.events | kAlways
                                                       : ~vfs::ReadyMask{0}),
        state(std::move(its_state)),
        file(its_file),
        fd(its_fd),
        events(event.events | kAlways),
        data(event.data) {}
  ~EpollItem() override { leave(); }

  void notified(vfs::ReadyMask ready) override {
    heard_ = !state->queue.empty();
    state->notified(*this, ready);
  }
  bool was_heard() const override { return heard_; }
  void file_ended() override {
    Ref<EpollState> kept = state;  // this item is gone afterwards
    kept->file_ended(*this);
  }
  // What a look at the file finds of the events that are wanted.
  std::uint32_t find(vfs::Caller* caller) {
    std::uint32_t wanted = events.load(std::memory_order_relaxed) & ~kPrivate;
    if (wanted == 0) return 0;
    return (caller != nullptr ? file.ready_for(*caller) : file.ready()) & wanted;
  }

  const Ref<EpollState> state;
  vfs::File& file;  // whole as long as the item is in its state's table
  const int fd;
  std::atomic<std::uint32_t> events;  // changed under the state's mutex_, read by notified()
  std::uint64_t data;                 // under mutex_
  vfs::WaitQueue* queue = nullptr;
  Ref<EpollState> inner;  // of a file that is an epoll instance itself

  // Under ready_mutex_:
  bool listed = false;
  EpollItem* next_ready = nullptr;
  EpollItem* previous_ready = nullptr;

 private:
  bool heard_ = false;  // under the lock of the file's queue
};

}  // namespace caisson::sandbox::fs
