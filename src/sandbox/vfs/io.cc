#include "sandbox/vfs/io.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace caisson::sandbox::vfs {
namespace {

std::uint64_t address_of(const std::byte* bytes) {
  return static_cast<std::uint64_t>(std::bit_cast<std::uintptr_t>(bytes));
}
std::byte* bytes_at(std::uint64_t address) {
  return std::bit_cast<std::byte*>(static_cast<std::uintptr_t>(address));
}

// Null: the kernel's own memory.
ErrnoOr<std::size_t> copy_in(Memory* memory, std::uint64_t address, std::span<std::byte> to) {
  if (memory != nullptr) return memory->read(address, to);
  std::memcpy(to.data(), bytes_at(address), to.size());
  return to.size();
}

ErrnoOr<std::size_t> copy_out(Memory* memory, std::uint64_t address,
                              std::span<const std::byte> from) {
  if (memory != nullptr) return memory->write(address, from);
  std::memcpy(bytes_at(address), from.data(), from.size());
  return from.size();
}

}  // namespace

IoBuffer::IoBuffer(Memory& memory, std::uint64_t address, std::uint64_t length)
    : memory_(&memory), single_{address, length}, remaining_(length) {}

IoBuffer::IoBuffer(Memory& memory, std::vector<IoSegment> segments)
    : memory_(&memory), segments_(std::move(segments)) {
  for (const IoSegment& segment : segments_) remaining_ += segment.length;
}

IoBuffer IoBuffer::of(std::span<std::byte> bytes) {
  IoBuffer buffer;
  buffer.single_ = {address_of(bytes.data()), bytes.size()};
  buffer.remaining_ = bytes.size();
  return buffer;
}

IoBuffer IoBuffer::of(std::span<const std::byte> bytes) {
  IoBuffer buffer;
  buffer.single_ = {address_of(bytes.data()), bytes.size()};
  buffer.remaining_ = bytes.size();
  buffer.writable_ = false;
  return buffer;
}

void IoBuffer::truncate(std::uint64_t length) { remaining_ = std::min(remaining_, length); }

const IoSegment& IoBuffer::segment(std::size_t index) const {
  return segments_.empty() ? single_ : segments_[index];
}

template <typename Copy>
ErrnoOr<std::size_t> IoBuffer::walk(std::uint64_t length, Cursor& cursor, Copy copy) const {
  length = std::min(length, remaining_);
  std::uint64_t done = 0;
  while (done < length) {
    const IoSegment& part = segment(cursor.index);
    std::uint64_t count = std::min(part.length - cursor.offset, length - done);
    if (count == 0) {
      cursor = {cursor.index + 1, 0};
      continue;
    }
    ErrnoOr<std::size_t> copied = copy(part.address + cursor.offset, done, count);
    if (!copied && done == 0) return copied;
    if (!copied) break;
    done += *copied;
    cursor.offset += *copied;
    if (*copied < count) break;
  }
  if (length != 0 && done == 0) return std::unexpected(Errno{EFAULT});
  return done;
}

ErrnoOr<std::size_t> IoBuffer::put(std::span<const std::byte> from) {
  if (!writable_) return std::unexpected(Errno{EFAULT});
  std::size_t done = TRY(
      walk(from.size(), cursor_, [&](std::uint64_t address, std::uint64_t at, std::uint64_t count) {
        return copy_out(memory_, address, from.subspan(at, count));
      }));
  remaining_ -= done;
  return done;
}

ErrnoOr<std::size_t> IoBuffer::put_zeroes(std::uint64_t length) {
  static constexpr std::array<std::byte, 16384> kZeroes{};
  std::size_t done = 0;
  length = std::min(length, remaining_);
  while (done < length) {
    std::size_t count = std::min<std::size_t>(length - done, kZeroes.size());
    ErrnoOr<std::size_t> put_now = put(std::span(kZeroes).first(count));
    if (!put_now && done == 0) return put_now;
    if (!put_now) break;
    done += *put_now;
    if (*put_now < count) break;
  }
  return done;
}

ErrnoOr<std::size_t> IoBuffer::get(std::span<std::byte> to) {
  std::size_t done = TRY(
      walk(to.size(), cursor_, [&](std::uint64_t address, std::uint64_t at, std::uint64_t count) {
        return copy_in(memory_, address, to.subspan(at, count));
      }));
  remaining_ -= done;
  return done;
}

ErrnoOr<std::size_t> IoBuffer::peek(std::span<std::byte> to) const {
  Cursor cursor = cursor_;
  return walk(to.size(), cursor, [&](std::uint64_t address, std::uint64_t at, std::uint64_t count) {
    return copy_in(memory_, address, to.subspan(at, count));
  });
}

void IoBuffer::skip(std::uint64_t length) {
  std::size_t moved =
      MUST(walk(length, cursor_, [](std::uint64_t, std::uint64_t, std::uint64_t count) {
        return ErrnoOr<std::size_t>(count);
      }));
  remaining_ -= moved;
}

std::vector<IoSegment> IoBuffer::segments() const {
  std::vector<IoSegment> left;
  Cursor cursor = cursor_;
  (void)walk(remaining_, cursor, [&](std::uint64_t address, std::uint64_t, std::uint64_t count) {
    left.push_back({address, count});
    return ErrnoOr<std::size_t>(count);
  });
  return left;
}

}  // namespace caisson::sandbox::vfs
