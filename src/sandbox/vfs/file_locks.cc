#include "sandbox/vfs/file_locks.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace caisson::sandbox::vfs {
namespace {

constexpr std::uint64_t kEnd = ~std::uint64_t{0};

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

bool touches(const RangeLock& a, const RangeLock& b) {
  bool a_reaches = a.last == kEnd || b.begin <= a.last + 1;
  bool b_reaches = b.last == kEnd || a.begin <= b.last + 1;
  return a_reaches && b_reaches;
}

}  // namespace

const RangeLock* FileLocks::find_conflict(const RangeLock& wanted) const {
  for (const RangeLock& held : ranges_)
    if (held.owner != wanted.owner && (held.exclusive || wanted.exclusive) &&
        held.begin <= wanted.last && wanted.begin <= held.last)
      return &held;
  return nullptr;
}

std::optional<RangeLock> FileLocks::conflict(const RangeLock& wanted) const {
  Locked lock(mutex_);
  const RangeLock* held = find_conflict(wanted);
  if (held == nullptr) return std::nullopt;
  return *held;
}

// Takes [begin, last] out of what an owner has; whether there was something.
bool FileLocks::cut(const void* owner, std::uint64_t begin, std::uint64_t last) {
  bool found = false;
  std::vector<RangeLock> left;
  for (const RangeLock& held : ranges_) {
    if (held.owner != owner || held.last < begin || held.begin > last) {
      left.push_back(held);
      continue;
    }
    found = true;
    RangeLock part = held;
    if (held.begin < begin) {
      part.last = begin - 1;
      left.push_back(part);
    }
    if (held.last > last) {
      part = held;
      part.begin = last + 1;
      left.push_back(part);
    }
  }
  if (found) ranges_ = std::move(left);
  return found;
}

ErrnoOr<> FileLocks::lock(const RangeLock& wanted) {
  Locked lock(mutex_);
  if (find_conflict(wanted) != nullptr) return failed(EAGAIN);
  bool gave_up = cut(wanted.owner, wanted.begin, wanted.last);
  RangeLock made = wanted;
  // Neighbours of the same kind become one.
  std::erase_if(ranges_, [&](const RangeLock& held) {
    if (held.owner != made.owner || held.exclusive != made.exclusive || !touches(held, made))
      return false;
    made.begin = std::min(made.begin, held.begin);
    made.last = std::max(made.last, held.last);
    return true;
  });
  auto at = std::find_if(ranges_.begin(), ranges_.end(),
                         [&](const RangeLock& held) { return held.begin > made.begin; });
  ranges_.insert(at, made);
  lock.unlock();
  if (gave_up) queue_.notify(POLLOUT);  // an exclusive lock may have become a shared one
  return {};
}

void FileLocks::unlock(const void* owner, std::uint64_t begin, std::uint64_t last) {
  {
    Locked lock(mutex_);
    if (!cut(owner, begin, last)) return;
  }
  queue_.notify(POLLOUT);
}

ErrnoOr<> FileLocks::lock_whole(const void* owner, bool exclusive) {
  Locked lock(mutex_);
  auto own = std::find_if(wholes_.begin(), wholes_.end(),
                          [owner](const Whole& held) { return held.owner == owner; });
  bool had = own != wholes_.end();
  if (had && own->exclusive == exclusive) return {};
  if (had) wholes_.erase(own);
  bool conflict = std::any_of(wholes_.begin(), wholes_.end(),
                              [&](const Whole& held) { return held.exclusive || exclusive; });
  if (!conflict) wholes_.push_back({owner, exclusive});
  lock.unlock();
  if (had) queue_.notify(POLLOUT);
  if (conflict) return failed(EAGAIN);
  return {};
}

void FileLocks::unlock_whole(const void* owner) {
  {
    Locked lock(mutex_);
    if (std::erase_if(wholes_, [owner](const Whole& held) { return held.owner == owner; }) == 0)
      return;
  }
  queue_.notify(POLLOUT);
}

void FileLocks::release(const void* owner) {
  unlock_whole(owner);
  unlock(owner, 0, kEnd);
}

FileLocks::Held FileLocks::held_by(const void* owner) const {
  Held held;
  Locked lock(mutex_);
  for (const RangeLock& range : ranges_)
    if (range.owner == owner) held.ranges.push_back(range);
  for (const Whole& whole : wholes_)
    if (whole.owner == owner) held.whole_exclusive = whole.exclusive;
  return held;
}

}  // namespace caisson::sandbox::vfs
