// LockWaits: who waits for a record lock of whom, over all files: two who wait for each other would
// wait for ever (fcntl(2), EDEADLK).
#pragma once

#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace caisson::sandbox::kernel {

class LockWaits {
 public:
  // One who waits, from its first set() on. Owners are those of vfs::RangeLock.
  class Wait {
   public:
    Wait(LockWaits& waits, const void* owner) : waits_(waits), owner_(owner) {}
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();
    // EDEADLK: `holder` waits for this one, be it through others.
    ErrnoOr<> set(const void* holder);

   private:
    friend class LockWaits;
    LockWaits& waits_;
    const void* const owner_;
    const void* holder_ = nullptr;
  };

 private:
  Mutex mutex_;
  std::vector<const Wait*> waiting_;
};

}  // namespace caisson::sandbox::kernel
