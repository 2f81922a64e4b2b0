#include "sandbox/fs/eventfd/eventfd.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};  // never reached by write(2)

}  // namespace

EventFile::EventFile(std::uint64_t initial, bool semaphore, std::uint32_t flags)
    : AnonymousFile("[eventfd]", flags),
      count_(initial),
      semaphore_(semaphore),
      id_(next_anonymous_inode()) {}

ErrnoOr<std::size_t> EventFile::read(vfs::IoBuffer& to, vfs::Caller&) {
  std::uint64_t value = 0;
  if (to.remaining() < sizeof value) return std::unexpected(Errno{EINVAL});
  {
    Locked lock(mutex_);
    if (count_ == 0) return std::unexpected(Errno{EAGAIN});
    value = semaphore_ ? 1 : count_;
    count_ -= value;
  }
  queue_.notify(POLLOUT);
  // The value is gone even if it cannot be stored, as in Linux.
  if (TRY(to.put(std::as_bytes(std::span(&value, 1)))) != sizeof value)
    return std::unexpected(Errno{EFAULT});
  return sizeof value;
}

ErrnoOr<std::size_t> EventFile::write(vfs::IoBuffer& from, vfs::Caller&) {
  std::uint64_t value = 0;
  if (from.remaining() != sizeof value) return std::unexpected(Errno{EINVAL});
  if (TRY(from.peek(std::as_writable_bytes(std::span(&value, 1)))) != sizeof value)
    return std::unexpected(Errno{EFAULT});
  if (value == kMost) return std::unexpected(Errno{EINVAL});
  {
    Locked lock(mutex_);
    if (kMost - count_ <= value) return std::unexpected(Errno{EAGAIN});
    count_ += value;
  }
  from.skip(sizeof value);
  queue_.notify(POLLIN);  // for 0 as well: an edge for epoll, as in Linux
  return sizeof value;
}

void EventFile::signal(std::uint64_t amount) {
  {
    Locked lock(mutex_);
    count_ += std::min(amount, kMost - count_);
  }
  queue_.notify(POLLIN);
}

vfs::ReadyMask EventFile::ready() {
  Locked lock(mutex_);
  vfs::ReadyMask mask = 0;
  if (count_ > 0) mask |= POLLIN;
  if (count_ == kMost) mask |= POLLERR;
  if (count_ < kMost - 1) mask |= POLLOUT;
  return mask;
}

std::string EventFile::info_text() {
  Locked lock(mutex_);
  std::string count = hex(count_);
  return cat("eventfd-count: ", std::string(count.size() < 16 ? 16 - count.size() : 0, ' '), count,
             "\neventfd-id: ", id_, "\neventfd-semaphore: ", semaphore_ ? 1 : 0, "\n");
}

}  // namespace caisson::sandbox::fs
