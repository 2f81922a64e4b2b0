#include "sandbox/kernel/lock_waits.h"

#include <algorithm>
#include <cerrno>

namespace caisson::sandbox::kernel {

LockWaits::Wait::~Wait() {
  if (holder_ == nullptr) return;
  Locked lock(waits_.mutex_);
  std::erase(waits_.waiting_, this);
}

ErrnoOr<> LockWaits::Wait::set(const void* holder) {
  Locked lock(waits_.mutex_);
  // Threads of one process may wait for several: all of them are followed, each once.
  std::vector<const void*> reached{holder};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (reached[i] == owner_) return std::unexpected(Errno{EDEADLK});
    for (const Wait* other : waits_.waiting_)
      if (other->owner_ == reached[i] &&
          std::ranges::find(reached, other->holder_) == reached.end())
        reached.push_back(other->holder_);
  }
  if (holder_ == nullptr) waits_.waiting_.push_back(this);
  holder_ = holder;
  return {};
}

}  // namespace caisson::sandbox::kernel
