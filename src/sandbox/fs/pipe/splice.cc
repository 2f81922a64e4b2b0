#include <limits.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "sandbox/fs/pipe/pipe.h"

namespace caisson::sandbox::fs {
namespace {

// Two pipes are locked by rising address.
class BothLocked {
 public:
  BothLocked(Mutex& one, Mutex& other)
      : first_(&one < &other ? one : other), second_(&one < &other ? other : one) {}

 private:
  Locked first_, second_;
};

}  // namespace

// In the order of ipipe_prep() and opipe_prep() of Linux.
std::optional<ErrnoOr<std::size_t>> Pipe::obstacle(const Pipe& from, const Pipe& to) {
  bool nothing = from.segments_.empty();
  if (nothing && from.ends_.writers > 0) return std::unexpected(Errno{EAGAIN});
  if (to.ends_.readers == 0) return std::unexpected(Errno{EPIPE});
  if (to.full()) return std::unexpected(Errno{EAGAIN});
  if (nothing) return ErrnoOr<std::size_t>(0);
  return std::nullopt;
}

ErrnoOr<std::size_t> Pipe::move(Pipe& from, Pipe& to, std::size_t length) {
  if (length == 0) return 0;
  if (&from == &to) return std::unexpected(Errno{EINVAL});
  std::size_t total = 0;
  {
    BothLocked lock(from.mutex_, to.mutex_);
    if (auto found = obstacle(from, to)) return *found;
    while (total < length && !from.segments_.empty() && !to.full()) {
      Segment& first = from.segments_.front();
      std::size_t part = std::min(first.length, length - total);
      if (part == first.length) {
        to.segments_.push_back(std::move(first));
        from.segments_.pop_front();
      } else {
        std::unique_ptr<Page> page = to.take_page();
        std::memcpy(page->data(), first.page->data() + first.offset, part);
        to.segments_.push_back({std::move(page), 0, part, first.packet, false});
        first.offset += part;
        first.length -= part;
      }
      total += part;
    }
  }
  from.tell_writers();
  to.tell_readers();
  return total;
}

ErrnoOr<std::size_t> Pipe::duplicate(Pipe& from, Pipe& to, std::size_t length) {
  if (length == 0) return 0;
  if (&from == &to) return std::unexpected(Errno{EINVAL});
  std::size_t total = 0;
  {
    BothLocked lock(from.mutex_, to.mutex_);
    if (auto found = obstacle(from, to)) return *found;
    for (const Segment& segment : from.segments_) {
      if (total == length || to.full()) break;
      std::size_t part = std::min(segment.length, length - total);
      std::unique_ptr<Page> page = to.take_page();
      std::memcpy(page->data(), segment.page->data() + segment.offset, part);
      to.segments_.push_back({std::move(page), 0, part, segment.packet, false});
      total += part;
    }
  }
  to.tell_readers();
  return total;
}

// One page of the file, read in place. 0: the file's end.
ErrnoOr<std::size_t> Pipe::fill_page(vfs::File& file, std::optional<std::uint64_t> offset,
                                     std::size_t length, vfs::Caller& caller) {
  std::unique_ptr<Page> page = take_page();
  vfs::IoBuffer to = vfs::IoBuffer::of(std::span<std::byte>(*page).first(std::min(length, kPage)));
  auto got = offset ? file.read_at(to, *offset, caller) : file.read(to, caller);
  if (!got || *got == 0)
    give_page(std::move(page));
  else
    segments_.push_back({std::move(page), 0, *got, false, false});
  return got;
}

ErrnoOr<std::size_t> Pipe::fill_from(vfs::File& file, std::optional<std::uint64_t> offset,
                                     std::size_t length, vfs::Caller& caller) {
  std::size_t total = 0;
  {
    // Held over the file's read, so that what was read has a place; files never lock pipes.
    Locked lock(mutex_);
    if (ends_.readers == 0) return std::unexpected(Errno{EPIPE});
    if (full()) return std::unexpected(Errno{EAGAIN});
    while (total < length && !full()) {
      std::size_t wanted = std::min(length - total, kPage);
      auto got = fill_page(file, offset ? std::optional(*offset + total) : offset, wanted, caller);
      if (!got && total == 0) return got;
      if (!got || *got == 0) break;
      total += *got;
      if (*got < wanted) break;
    }
  }
  if (total > 0) tell_readers();
  return total;
}

ErrnoOr<std::size_t> Pipe::drain_to(vfs::File& file, std::optional<std::uint64_t> offset,
                                    std::size_t length, vfs::Caller& caller) {
  std::size_t total = 0;
  {
    Locked lock(mutex_);
    if (segments_.empty() && ends_.writers > 0) return std::unexpected(Errno{EAGAIN});
    while (total < length && !segments_.empty()) {
      Segment& first = segments_.front();
      std::size_t wanted = std::min(length - total, first.length);
      std::span<const std::byte> bytes = std::span(*first.page).subspan(first.offset, wanted);
      vfs::IoBuffer from = vfs::IoBuffer::of(bytes);
      auto put = offset ? file.write_at(from, *offset + total, caller) : file.write(from, caller);
      if (!put && total == 0) return put;
      if (!put) break;
      total += *put;
      first.offset += *put;
      first.length -= *put;
      if (first.length == 0) drop_first();
      if (*put < wanted) break;
    }
  }
  if (total > 0) tell_writers();
  return total;
}

}  // namespace caisson::sandbox::fs
