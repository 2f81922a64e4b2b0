// Wait queues: whoever wants to know that something became ready. File operations never block; they
// answer EAGAIN, and the system call layer waits on the file's queue (kernel/block.h). That keeps
// every sleep of the sandbox in one place, where signals, exits and snapshots can end it.
#pragma once

#include <cstdint>

#include "base/mutex.h"

namespace caisson::sandbox::vfs {

// POLLIN, POLLOUT, POLLHUP ... (<poll.h>; EPOLL* have the same values).
using ReadyMask = std::uint32_t;

class WaitQueue;

// One who waits. Lives as long as it is in a queue; in one queue at a time. Each class that can be
// made calls leave() in its destructor: while that of WaitEntry runs, there is no notified() any
// more that a notification could reach.
class WaitEntry {
 public:
  explicit WaitEntry(ReadyMask mask = ~ReadyMask{0}) : mask_(mask) {}
  WaitEntry(const WaitEntry&) = delete;
  WaitEntry& operator=(const WaitEntry&) = delete;
  virtual ~WaitEntry();

  // Called under the queue's lock, from any thread: must not block, nor touch this queue.
  virtual void notified(ReadyMask ready) = 0;

  // For an exclusive entry that was notified: whether anybody hears it. If not, the next exclusive
  // entry is told as well.
  virtual bool was_heard() const { return true; }

  ReadyMask mask() const { return mask_; }
  void set_mask(ReadyMask mask) { mask_ = mask; }

 protected:
  // As WaitQueue::remove(), of the queue in which it is, if it is in one.
  void leave();

 private:
  friend class WaitQueue;
  WaitQueue* queue_ = nullptr;
  WaitEntry* next_ = nullptr;
  WaitEntry* previous_ = nullptr;
  ReadyMask mask_;
  bool exclusive_ = false;
};

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  ~WaitQueue();  // entries that are left are taken out

  // Exclusive entries stand at the end; one notification reaches at most one of them.
  void add(WaitEntry& entry, bool exclusive = false);
  // After this no notification of the entry is running or will come.
  void remove(WaitEntry& entry);
  // Tells all whose mask meets `ready` (POLLERR and POLLHUP meet every mask).
  void notify(ReadyMask ready);
  bool empty() const;

 private:
  mutable Mutex mutex_;
  WaitEntry* first_ = nullptr;
  WaitEntry* last_ = nullptr;
};

}  // namespace caisson::sandbox::vfs
