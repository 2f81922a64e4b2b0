#include "sandbox/vfs/wait_queue.h"

#include <poll.h>

#include <cstdlib>

namespace caisson::sandbox::vfs {

WaitEntry::~WaitEntry() {
  if (queue_ != nullptr) std::abort();
}

void WaitEntry::leave() {
  if (queue_ != nullptr) queue_->remove(*this);
}

WaitQueue::~WaitQueue() {
  Locked lock(mutex_);
  while (first_ != nullptr) {
    WaitEntry* entry = first_;
    first_ = entry->next_;
    entry->queue_ = nullptr;
    entry->next_ = entry->previous_ = nullptr;
  }
}

void WaitQueue::add(WaitEntry& entry, bool exclusive) {
  Locked lock(mutex_);
  entry.queue_ = this;
  entry.exclusive_ = exclusive;
  entry.previous_ = exclusive ? last_ : nullptr;
  entry.next_ = exclusive ? nullptr : first_;
  (entry.previous_ != nullptr ? entry.previous_->next_ : first_) = &entry;
  (entry.next_ != nullptr ? entry.next_->previous_ : last_) = &entry;
}

void WaitQueue::remove(WaitEntry& entry) {
  Locked lock(mutex_);
  if (entry.queue_ != this) return;
  (entry.previous_ != nullptr ? entry.previous_->next_ : first_) = entry.next_;
  (entry.next_ != nullptr ? entry.next_->previous_ : last_) = entry.previous_;
  entry.queue_ = nullptr;
  entry.next_ = entry.previous_ = nullptr;
}

void WaitQueue::notify(ReadyMask ready) {
  Locked lock(mutex_);
  for (WaitEntry* entry = first_; entry != nullptr; entry = entry->next_) {
    if (((entry->mask_ | POLLERR | POLLHUP) & ready) == 0) continue;
    entry->notified(ready);
    if (entry->exclusive_ && entry->was_heard()) return;
  }
}

bool WaitQueue::empty() const {
  Locked lock(mutex_);
  return first_ == nullptr;
}

}  // namespace caisson::sandbox::vfs
