#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/fs/host_file/host_file.h"
#include "sys/file.h"
#include "sys/tty.h"

namespace caisson::sandbox::fs {
namespace {

// A pipe that is ready to be written takes this much at once; a terminal may take less, and then
// holds the writer up until its other end reads.
constexpr std::size_t kSurePipeWrite = 4096;
constexpr std::size_t kLikelyTerminalWrite = 256;

ErrnoOr<> check_regular(const struct stat& facts) {
  if (S_ISDIR(facts.st_mode)) return std::unexpected(Errno{EISDIR});
  return {};
}

}  // namespace

ErrnoOr<Ref<HostDescriptor>> HostDescriptor::create(Fd fd, bool own, Ref<HostPoller> poller) {
  struct stat facts = TRY(sys::fstat(fd));
  TRY(check_regular(facts));
  auto flags = static_cast<std::uint32_t>(TRY(sys::call(SYS_fcntl, fd.number(), F_GETFL)));
  bool nonblocking = (flags & O_NONBLOCK) != 0;
  if (own && !nonblocking) {
    TRY(sys::set_nonblocking(fd, true));
    nonblocking = true;
  }
  auto host = Ref<HostDescriptor>::adopt(
      new HostDescriptor(std::move(fd), facts, flags & O_ACCMODE, std::move(poller)));
  host->terminal_ = S_ISCHR(facts.st_mode) && sys::is_terminal(host->fd_);
  host->nonblocking_ = nonblocking;
  auto added = host->poller_->add(*host, host->fd_);
  if (!added && added.error().value != EPERM) return std::unexpected(added.error());
  host->pollable_ = added.has_value();
  return host;
}

HostDescriptor::~HostDescriptor() {
  if (pollable_) poller_->remove(*this, fd_);
}

vfs::ReadyMask HostDescriptor::poll_now() const {
  pollfd entry{fd_.number(), POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0};
  struct timespec zero{};
  auto count = sys::call_retry(SYS_ppoll, &entry, 1, &zero, nullptr, 0);
  return count ? static_cast<std::uint16_t>(entry.revents) : POLLERR;
}

void HostDescriptor::ask(vfs::ReadyMask events) { poller_->arm(*this, fd_, events); }

vfs::ReadyMask HostDescriptor::ready() {
  if (!pollable_) return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  vfs::ReadyMask now = poll_now();
  vfs::ReadyMask wanted = 0;
  if (access_ != O_WRONLY) wanted |= POLLIN | POLLPRI | POLLRDHUP;
  if (access_ != O_RDONLY) wanted |= POLLOUT;
  if ((now & (POLLHUP | POLLERR)) == 0) ask(wanted & ~now);
  if ((now & POLLIN) != 0) now |= POLLRDNORM;
  if ((now & POLLOUT) != 0) now |= POLLWRNORM;
  return now;
}

ErrnoOr<std::size_t> HostDescriptor::read(std::span<std::byte> to) {
  // Where the description may block: it does not while there is something to be read, unless others
  // read as well; RWF_NOWAIT holds even then, where the kind of file knows it.
  iovec vector{to.data(), to.size()};
  auto got = nonblocking_ || !pollable_
                 ? sys::call_retry(SYS_read, fd_.number(), to.data(), to.size())
                 : sys::call_retry(SYS_preadv2, fd_.number(), &vector, 1, -1L, -1L, RWF_NOWAIT);
  if (!got && got.error().value == EOPNOTSUPP) {
    if ((poll_now() & (POLLIN | POLLHUP | POLLERR)) == 0)
      got = std::unexpected(Errno{EAGAIN});
    else
      got = sys::call_retry(SYS_read, fd_.number(), to.data(), to.size());
  }
  bool again = !got && got.error().value == EAGAIN;
  // What is left is an event to edge-triggered watchers once more, as new bytes are.
  if (pollable_ && (again || !queue.empty())) ask(POLLIN);
  if (!got) return std::unexpected(got.error());
  return static_cast<std::size_t>(*got);
}

ErrnoOr<std::size_t> HostDescriptor::write(std::span<const std::byte> from) {
  iovec vector{const_cast<std::byte*>(from.data()), from.size()};
  auto put = nonblocking_ || !pollable_
                 ? sys::call_retry(SYS_write, fd_.number(), from.data(), from.size())
                 : sys::call_retry(SYS_pwritev2, fd_.number(), &vector, 1, -1L, -1L, RWF_NOWAIT);
  if (!put && put.error().value == EOPNOTSUPP) {
    std::size_t sure = terminal_ ? kLikelyTerminalWrite : kSurePipeWrite;
    if ((poll_now() & (POLLOUT | POLLHUP | POLLERR)) == 0)
      put = std::unexpected(Errno{EAGAIN});
    else
      put = sys::call_retry(SYS_write, fd_.number(), from.data(), std::min(from.size(), sure));
  }
  if (!put && put.error().value == EAGAIN && pollable_) ask(POLLOUT);
  if (!put) return std::unexpected(put.error());
  return static_cast<std::size_t>(*put);
}

}  // namespace caisson::sandbox::fs
