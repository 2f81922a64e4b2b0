// SharedSlots: the memory through which the kernel process and all stubs talk: a command page and
// an area (layout.h) for each of many threads, in two memfds that are mapped here as a whole.
// Sparse: what no thread uses takes no memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "sandbox/platform/layout.h"

namespace caisson::sandbox::platform {

// A run of kChunk slots.
struct Chunk {
  std::uint32_t number = 0;
  std::uint64_t command_offset() const { return std::uint64_t{number} * kChunk * kCommandSize; }
  std::uint64_t area_offset() const { return std::uint64_t{number} * kChunk * kAreaSize; }
};

class SharedSlots {
 public:
  static constexpr std::uint32_t kMaxChunks = 1 << 16;

  SharedSlots() = default;
  SharedSlots(const SharedSlots&) = delete;
  SharedSlots& operator=(const SharedSlots&) = delete;
  ~SharedSlots();
  ErrnoOr<> open();

  FdRef command_file() const { return commands_; }
  FdRef area_file() const { return areas_; }

  // Zeroed slots. EAGAIN when there are none left.
  ErrnoOr<Chunk> take();
  // No process has the chunk mapped any more.
  void give_back(Chunk chunk);

  std::byte* command(Chunk chunk, std::uint32_t index) const {
    return command_base_ + chunk.command_offset() + std::uint64_t{index % kChunk} * kCommandSize;
  }
  std::byte* area(Chunk chunk, std::uint32_t index) const {
    return area_base_ + chunk.area_offset() + std::uint64_t{index % kChunk} * kAreaSize;
  }

 private:
  Fd commands_, areas_;
  std::byte* command_base_ = nullptr;
  std::byte* area_base_ = nullptr;
  Mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t unused_ = 0;  // chunks from here on were never taken
};

}  // namespace caisson::sandbox::platform
