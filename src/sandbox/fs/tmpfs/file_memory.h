// FileMemory: the one memory file of the host that holds the bytes of all files kept in memory, so
// that the kernel process needs one descriptor for them and guests can map them. Each file has a
// range of its own, far larger than what is in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"

namespace caisson::sandbox::fs {

// A part of the memory file as we have it mapped. What is mapped where never changes: it stays
// valid as long as it is held.
class FileWindow final : public RefCounted {
 public:
  static constexpr std::uint64_t kLength = std::uint64_t{4} << 20;
  explicit FileWindow(std::byte* memory) : memory_(memory) {}
  std::span<std::byte> bytes() const { return {memory_, kLength}; }

 private:
  ~FileWindow() override;
  std::byte* memory_;
};

class FileMemory final : public RefCounted {
 public:
  static constexpr std::uint64_t kRange = std::uint64_t{1} << 40;
  static constexpr std::size_t kMostWindows = 512;

  static ErrnoOr<Ref<FileMemory>> create();

  FdRef file() const { return file_; }
  // The begin of a range that is all holes; ENOSPC.
  ErrnoOr<std::uint64_t> take_range();
  // Takes a range back whose bytes end before `end` bytes.
  void give_range(std::uint64_t begin, std::uint64_t end);

  ErrnoOr<> read(std::uint64_t at, std::span<std::byte> to) const;
  ErrnoOr<> write(std::uint64_t at, std::span<const std::byte> from);
  // Makes holes: zeroes without memory.
  void discard(std::uint64_t at, std::uint64_t length);
  // The next byte of data from `at` on and the hole behind it, below `end`; {end, end}: none.
  struct Data {
    std::uint64_t begin, end;
  };
  Data next_data(std::uint64_t at, std::uint64_t end) const;
  // The window that `at` lies in, mapped if need be; null when it cannot be. `only_known`: null
  // also if it would have to be mapped.
  Ref<FileWindow> window(std::uint64_t at, bool only_known);

 private:
  explicit FileMemory(Fd file) : file_(std::move(file)) {}
  ~FileMemory() override = default;
  struct Known {
    Ref<FileWindow> window;
    std::list<std::uint64_t>::iterator order;
  };

  Fd file_;
  Mutex mutex_;
  std::uint64_t next_range_ = 0;
  std::vector<std::uint64_t> free_ranges_;
  std::unordered_map<std::uint64_t, Known> windows_;
  std::list<std::uint64_t> order_;  // the latest used first
};

}  // namespace caisson::sandbox::fs
