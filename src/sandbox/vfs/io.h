// IoBuffer: where a file's bytes go to or come from, be it guest memory or the kernel's own. Each
// byte is copied once; what was copied is what counts, whatever the guest does to its memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace caisson::sandbox::vfs {

// Memory that is reached by copies only: a guest's address space.
class Memory {
 public:
  virtual ~Memory() = default;
  // Copy until the first address that cannot be accessed; EFAULT when nothing could be.
  virtual ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) = 0;
  virtual ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) = 0;
};

struct IoSegment {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

// A list of segments, used up from its beginning. Reading files fills it (put), writing files
// drains it (get).
class IoBuffer {
 public:
  IoBuffer(Memory& memory, std::uint64_t address, std::uint64_t length);
  IoBuffer(Memory& memory, std::vector<IoSegment> segments);
  // The kernel's own memory.
  static IoBuffer of(std::span<std::byte> bytes);
  static IoBuffer of(std::span<const std::byte> bytes);  // to be drained only

  std::uint64_t remaining() const { return remaining_; }
  // Leaves only the first `length` bytes.
  void truncate(std::uint64_t length);

  // Copies into the buffer and moves on; fewer bytes than given when it is full or the rest cannot
  // be accessed. EFAULT: no byte could be copied though there was room.
  ErrnoOr<std::size_t> put(std::span<const std::byte> from);
  // The same with zeroes.
  ErrnoOr<std::size_t> put_zeroes(std::uint64_t length);
  // Copies out of the buffer and moves on.
  ErrnoOr<std::size_t> get(std::span<std::byte> to);
  // The same without moving on.
  ErrnoOr<std::size_t> peek(std::span<std::byte> to) const;
  void skip(std::uint64_t length);
  // Null for the kernel's memory.
  Memory* memory() const { return memory_; }
  // What is left, for those who hand it to the host in one call.
  std::vector<IoSegment> segments() const;

 private:
  struct Cursor {
    std::size_t index = 0;
    std::uint64_t offset = 0;  // in that segment
  };
  IoBuffer() = default;
  const IoSegment& segment(std::size_t index) const;
  // Calls copy(address, bytes done before, count) for the pieces of the next `length` bytes.
  template <typename Copy>
  ErrnoOr<std::size_t> walk(std::uint64_t length, Cursor& cursor, Copy copy) const;

  Memory* memory_ = nullptr;
  IoSegment single_;                 // what most buffers are
  std::vector<IoSegment> segments_;  // instead of it, when there are any
  Cursor cursor_;
  std::uint64_t remaining_ = 0;
  bool writable_ = true;
};

}  // namespace caisson::sandbox::vfs
