#include "sandbox/platform/shared_slots.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include <cerrno>

#include "sys/file.h"

namespace caisson::sandbox::platform {
namespace {

constexpr std::uint64_t kCommandBytes =
    std::uint64_t{SharedSlots::kMaxChunks} * kChunk * kCommandSize;
constexpr std::uint64_t kAreaBytes = std::uint64_t{SharedSlots::kMaxChunks} * kChunk * kAreaSize;

ErrnoOr<Fd> make_file(const char* name, std::uint64_t size) {
  Fd file = TRY(sys::memfd_create(name, MFD_ALLOW_SEALING));
  TRY(sys::ftruncate(file, static_cast<std::int64_t>(size)));
  return file;
}

ErrnoOr<std::byte*> map_whole(FdRef file, std::uint64_t size) {
  long address = TRY(sys::call(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_NORESERVE, file.number(), 0));
  return reinterpret_cast<std::byte*>(address);
}

void punch(FdRef file, std::uint64_t offset, std::uint64_t size) {
  // What stays behind on failure is memory, which the next taker zeroes by the same call.
  (void)sys::call_void(SYS_fallocate, file.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       offset, size);
}

}  // namespace

ErrnoOr<> SharedSlots::open() {
  commands_ = TRY(make_file("commands", kCommandBytes));
  areas_ = TRY(make_file("areas", kAreaBytes));
  command_base_ = TRY(map_whole(commands_, kCommandBytes));
  area_base_ = TRY(map_whole(areas_, kAreaBytes));
  // From here on not even a stub that were ordered to could map the commands writable.
  TRY(sys::call_void(SYS_fcntl, commands_.number(), F_ADD_SEALS,
                     F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
  TRY(sys::call_void(SYS_fcntl, areas_.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  return {};
}

SharedSlots::~SharedSlots() {
  if (command_base_ != nullptr) (void)::munmap(command_base_, kCommandBytes);
  if (area_base_ != nullptr) (void)::munmap(area_base_, kAreaBytes);
}

ErrnoOr<Chunk> SharedSlots::take() {
  Locked lock(mutex_);
  if (!free_.empty()) {
    Chunk chunk{free_.back()};
    free_.pop_back();
    return chunk;
  }
  if (unused_ == kMaxChunks) return std::unexpected(Errno{EAGAIN});
  return Chunk{unused_++};
}

void SharedSlots::give_back(Chunk chunk) {
  // What one guest left there is not for the next. The commands are sealed against holes.
  punch(areas_, chunk.area_offset(), std::uint64_t{kChunk} * kAreaSize);
  __builtin_memset(command(chunk, 0), 0, std::size_t{kChunk} * kCommandSize);
  Locked lock(mutex_);
  free_.push_back(chunk.number);
}

}  // namespace caisson::sandbox::platform
