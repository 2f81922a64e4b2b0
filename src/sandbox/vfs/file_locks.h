// FileLocks: the advisory locks on one inode: of processes and of open files on ranges (fcntl(2)),
// and on the whole (flock(2)).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::vfs {

struct RangeLock {
  std::uint64_t begin = 0;
  std::uint64_t last = ~std::uint64_t{0};  // the last byte; ~0: to the end, wherever that is
  bool exclusive = false;
  const void* owner = nullptr;  // a table of descriptors, or an open file
  int process = 0;              // of the one who set it; -1: an open file's
};

class FileLocks {
 public:
  // The first lock of another owner that stands in the way of `wanted`.
  std::optional<RangeLock> conflict(const RangeLock& wanted) const;
  // Sets it, over what its owner had there. EAGAIN: there is a conflict.
  ErrnoOr<> lock(const RangeLock& wanted);
  void unlock(const void* owner, std::uint64_t begin, std::uint64_t last);
  // flock(2). EAGAIN. A change of kind gives the old lock up first, as Linux does.
  ErrnoOr<> lock_whole(const void* owner, bool exclusive);
  void unlock_whole(const void* owner);
  // All that an owner has.
  void release(const void* owner);
  // Notified (POLLOUT) when a lock goes.
  WaitQueue& queue() { return queue_; }
  // What an owner has, for checkpoints.
  struct Held {
    std::vector<RangeLock> ranges;
    std::optional<bool> whole_exclusive;
  };
  Held held_by(const void* owner) const;

 private:
  const RangeLock* find_conflict(const RangeLock& wanted) const;
  bool cut(const void* owner, std::uint64_t begin, std::uint64_t last);
  struct Whole {
    const void* owner;
    bool exclusive;
  };
  mutable Mutex mutex_;
  std::vector<RangeLock> ranges_;
  std::vector<Whole> wholes_;
  WaitQueue queue_;
};

}  // namespace caisson::sandbox::vfs
