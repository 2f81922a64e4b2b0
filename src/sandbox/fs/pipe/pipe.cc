#include "sandbox/fs/pipe/pipe.h"

#include <limits.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kSparePages = 2;  // tmp_page[] of Linux
constexpr vfs::ReadyMask kReadable = POLLIN | POLLRDNORM;
constexpr vfs::ReadyMask kWritable = POLLOUT | POLLWRNORM;

}  // namespace

void Pipe::tell_readers() {
  reader_queue_.notify(kReadable);
  both_queue_.notify(kReadable);
}

void Pipe::tell_writers() {
  writer_queue_.notify(kWritable);
  both_queue_.notify(kWritable);
}

// wake_up() without a mask, as Linux does it for what concerns everybody.
void Pipe::tell_all() {
  for (vfs::WaitQueue* queue : {&reader_queue_, &writer_queue_, &both_queue_})
    queue->notify(~vfs::ReadyMask{0});
}

std::unique_ptr<Pipe::Page> Pipe::take_page() {
  // Not value-initialised: only what was written is ever read.
  if (spare_.empty()) return std::unique_ptr<Page>(new Page);
  std::unique_ptr<Page> page = std::move(spare_.back());
  spare_.pop_back();
  return page;
}

void Pipe::give_page(std::unique_ptr<Page> page) {
  if (spare_.size() < kSparePages) spare_.push_back(std::move(page));
}

void Pipe::drop_first() {
  give_page(std::move(segments_.front().page));
  segments_.pop_front();
}

ErrnoOr<std::size_t> Pipe::take(vfs::IoBuffer& to) {
  std::size_t total = 0;
  while (!segments_.empty() && to.remaining() > 0) {
    Segment& first = segments_.front();
    auto wanted = std::min<std::size_t>(first.length, to.remaining());
    auto copied = to.put(std::span(*first.page).subspan(first.offset, wanted));
    if (!copied && total == 0) return copied;
    if (!copied) break;
    total += *copied;
    first.offset += *copied;
    first.length -= *copied;
    bool packet = first.packet;
    if (first.length == 0 || (packet && *copied == wanted)) drop_first();
    if (*copied < wanted || packet) break;
  }
  return total;
}

ErrnoOr<std::size_t> Pipe::read(vfs::IoBuffer& to) {
  if (to.remaining() == 0) return 0;
  std::size_t total = 0;
  bool was_full = false;
  {
    Locked lock(mutex_);
    if (segments_.empty()) {
      if (ends_.writers == 0) return 0;
      return std::unexpected(Errno{EAGAIN});
    }
    was_full = full();
    total = TRY(take(to));
  }
  if (was_full) tell_writers();
  return total;
}

// What is left behind full pages goes behind the last bytes, if it fits there as a whole.
ErrnoOr<std::size_t> Pipe::merge(vfs::IoBuffer& from) {
  std::size_t tail = from.remaining() % kPage;
  if (tail == 0 || segments_.empty()) return 0;
  Segment& last = segments_.back();
  std::size_t end = last.offset + last.length;
  if (!last.mergeable || end + tail > kPage) return 0;
  std::size_t copied = TRY(from.get(std::span(*last.page).subspan(end, tail)));
  last.length += copied;
  return copied;
}

ErrnoOr<std::size_t> Pipe::append(vfs::IoBuffer& from, bool packets) {
  std::unique_ptr<Page> page = take_page();
  auto wanted = std::min<std::size_t>(from.remaining(), kPage);
  auto copied = from.get(std::span(*page).first(wanted));
  if (!copied) {
    give_page(std::move(page));
    return copied;
  }
  segments_.push_back({std::move(page), 0, *copied, packets, !packets});
  return copied;
}

ErrnoOr<std::size_t> Pipe::write(vfs::IoBuffer& from, bool packets) {
  if (from.remaining() == 0) return 0;
  std::size_t total = 0;
  {
    Locked lock(mutex_);
    if (ends_.readers == 0) return std::unexpected(Errno{EPIPE});
    total = TRY(merge(from));  // in packet mode as well: what was spliced in can be added to
    while (from.remaining() > 0 && !full()) {
      std::size_t wanted = std::min<std::size_t>(from.remaining(), kPage);
      auto copied = append(from, packets);
      if (!copied && total == 0) return copied;
      if (!copied) break;
      total += *copied;
      if (*copied < wanted) break;
    }
  }
  // Readers that are watched hear of every attempt: an edge for epoll, as in Linux.
  tell_readers();
  if (total == 0) return std::unexpected(Errno{EAGAIN});
  return total;
}

vfs::ReadyMask Pipe::ready(bool as_reader, bool as_writer, std::uint64_t seen_writers) {
  Locked lock(mutex_);
  vfs::ReadyMask mask = 0;
  if (as_reader) {
    if (!segments_.empty()) mask |= kReadable;
    if (ends_.writers == 0 && ends_.writers_ever != seen_writers) mask |= POLLHUP;
  }
  if (as_writer) {
    if (!full()) mask |= kWritable;
    if (ends_.readers == 0) mask |= POLLERR;
  }
  return mask;
}

std::size_t Pipe::available() const {
  Locked lock(mutex_);
  std::size_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.length;
  return bytes;
}

std::size_t Pipe::capacity() const {
  Locked lock(mutex_);
  return limit_ * kPage;
}

ErrnoOr<std::size_t> Pipe::set_capacity(std::uint64_t bytes, bool privileged) {
  if (bytes > (std::uint64_t{1} << 31)) return std::unexpected(Errno{EINVAL});
  auto pages =
      static_cast<std::size_t>(std::bit_ceil(std::max<std::uint64_t>(bytes, kPage)) / kPage);
  {
    Locked lock(mutex_);
    if (pages > limit_ && pages > kUnprivilegedPages && !privileged)
      return std::unexpected(Errno{EPERM});
    if (segments_.size() > pages) return std::unexpected(Errno{EBUSY});
    limit_ = pages;
  }
  for (vfs::WaitQueue* queue : {&writer_queue_, &both_queue_}) queue->notify(~vfs::ReadyMask{0});
  return pages * kPage;
}

Pipe::Owner Pipe::owner() const {
  Locked lock(mutex_);
  return owner_;
}

void Pipe::set_owner(const Owner& owner) {
  Locked lock(mutex_);
  owner_ = owner;
}

Pipe::Ends Pipe::ends() const {
  Locked lock(mutex_);
  return ends_;
}

Pipe::Ends Pipe::open_end(bool reader, bool writer) {
  Ends before;
  {
    Locked lock(mutex_);
    before = ends_;
    if (reader) ++ends_.readers, ++ends_.readers_ever;
    if (writer) ++ends_.writers, ++ends_.writers_ever;
  }
  tell_all();  // an open call that waits for its partner
  return before;
}

void Pipe::close_end(bool reader, bool writer) {
  std::deque<Segment> contents;  // freed without the lock
  bool hang_up = false;
  {
    Locked lock(mutex_);
    if (reader) --ends_.readers;
    if (writer) --ends_.writers;
    hang_up = ends_.readers == 0 || ends_.writers == 0;
    if (ends_.readers == 0 && ends_.writers == 0) {
      std::swap(contents, segments_);
      limit_ = kDefaultPages;
      spare_.clear();
    }
  }
  if (hang_up) tell_all();
}

}  // namespace caisson::sandbox::fs
