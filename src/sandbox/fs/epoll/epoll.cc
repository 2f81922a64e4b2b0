#include "sandbox/fs/epoll/epoll.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

#include "sandbox/fs/epoll/item.h"

namespace caisson::sandbox::fs {
namespace {

constexpr int kMostLevels = 4;  // EP_MAX_NESTS of Linux
constexpr std::uint32_t kExclusiveMay =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

Mutex& nesting_lock() {
  static Mutex mutex;
  return mutex;
}

}  // namespace

EpollFile::EpollFile(std::uint32_t flags)
    : AnonymousFile("[eventpoll]", O_RDWR | flags), state_(make_ref<EpollState>()) {}

EpollFile::~EpollFile() { state_->close(); }

ErrnoOr<> EpollFile::add(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller) {
  if (&file == this) return std::unexpected(Errno{EINVAL});
  if (file.wait_queue() == nullptr) return std::unexpected(Errno{EPERM});
  event.events &= ~std::uint32_t{EPOLLWAKEUP};  // nothing here goes to sleep
  auto* inner = vfs::file_as<EpollFile>(file);
  if ((event.events & EPOLLEXCLUSIVE) != 0)
    if (inner != nullptr || (event.events & ~kExclusiveMay) != 0)
      return std::unexpected(Errno{EINVAL});
  if (inner != nullptr) return add_nested(*inner, fd, event, caller);
  return state_->add(file, fd, event, &caller, {});
}

ErrnoOr<> EpollFile::add_nested(EpollFile& inner, int fd, EpollEvent event, vfs::Caller& caller) {
  Locked lock(nesting_lock());
  if (inner.state_->leads_to(*state_, kMostLevels)) return std::unexpected(Errno{ELOOP});
  int levels = inner.state_->depth_below(kMostLevels) + 1 + state_->depth_above(kMostLevels);
  if (levels > kMostLevels) return std::unexpected(Errno{ELOOP});
  return state_->add(inner, fd, event, &caller, inner.state_);
}

ErrnoOr<> EpollFile::modify(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller) {
  if (&file == this) return std::unexpected(Errno{EINVAL});
  if (file.wait_queue() == nullptr) return std::unexpected(Errno{EPERM});
  if ((event.events & EPOLLEXCLUSIVE) != 0) return std::unexpected(Errno{EINVAL});
  event.events &= ~std::uint32_t{EPOLLWAKEUP};
  return state_->modify(file, fd, event, caller);
}

ErrnoOr<> EpollFile::remove(vfs::File& file, int fd) {
  if (&file == this) return std::unexpected(Errno{EINVAL});
  if (file.wait_queue() == nullptr) return std::unexpected(Errno{EPERM});
  return state_->remove(file, fd);
}

std::vector<EpollEvent> EpollFile::collect(std::size_t most, vfs::Caller& caller) {
  return state_->collect(most, caller);
}

void EpollFile::pass_on() {
  if (has_candidates()) state_->queue.notify(POLLIN | POLLRDNORM);
}

vfs::ReadyMask EpollFile::ready() { return state_->ready(nullptr) ? POLLIN | POLLRDNORM : 0; }

vfs::ReadyMask EpollFile::ready_for(vfs::Caller& caller) {
  return state_->ready(&caller) ? POLLIN | POLLRDNORM : 0;
}

}  // namespace caisson::sandbox::fs
