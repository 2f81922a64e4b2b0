#include "sandbox/platform/islands.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "sandbox/platform/call_site.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::sandbox::platform {

constexpr std::uint64_t kFileSize = std::uint64_t{IslandFile::kPages} * kPageOfIsland;

Island::Island(Ref<IslandFile> file, std::uint32_t page) : file_(std::move(file)), page_(page) {}
Island::~Island() { file_->give_back(page_); }

std::optional<std::uint32_t> Island::place_for(std::uint64_t behind, std::uint32_t number) {
  Locked lock(mutex_);
  for (std::uint32_t i = 0; i < calls_.size(); ++i)
    if (calls_[i] == IslandCall{behind, number}) return i + 1;
  auto place = static_cast<std::uint32_t>(calls_.size()) + 1;
  if (place == kTrampolines) return std::nullopt;
  Trampoline made = make_trampoline(place, behind, number);
  std::memcpy(file_->page(page_) + std::size_t{place} * kTrampolineSize, &made, sizeof made);
  calls_.push_back({behind, number});
  return place;
}

std::vector<IslandCall> Island::calls() {
  Locked lock(mutex_);
  return calls_;
}

std::optional<IslandCall> Island::call_at(std::uint64_t offset) {
  Locked lock(mutex_);
  std::uint64_t place = offset / kTrampolineSize;
  if (place == 0 || place > calls_.size()) return std::nullopt;
  return calls_[place - 1];
}

ErrnoOr<Ref<IslandFile>> IslandFile::create(std::uint64_t entry) {
  auto made = Ref<IslandFile>::adopt(new IslandFile);
  made->entry_ = entry;
  auto file = sys::memfd_create("islands", MFD_ALLOW_SEALING | 0x10U /* MFD_EXEC */);
  if (!file) file = sys::memfd_create("islands", MFD_ALLOW_SEALING);
  made->file_ = TRY(std::move(file));
  TRY(sys::ftruncate(made->file_, static_cast<std::int64_t>(kFileSize)));
  made->base_ = reinterpret_cast<std::byte*>(
      TRY(sys::call(SYS_mmap, 0, kFileSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                    made->file_.number(), 0)));
  // Whoever maps it from here on cannot write it.
  TRY(sys::call_void(SYS_fcntl, made->file_.number(), F_ADD_SEALS,
                     F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
  return made;
}

IslandFile::~IslandFile() {
  if (base_ != nullptr) (void)::munmap(base_, kFileSize);
}

std::byte* IslandFile::page(std::uint32_t number) const {
  return base_ + std::uint64_t{number} * kPageOfIsland;
}

ErrnoOr<Ref<Island>> IslandFile::take() {
  std::uint32_t number = 0;
  {
    Locked lock(mutex_);
    if (free_.empty() && unused_ == kPages) return std::unexpected(Errno{EAGAIN});
    if (free_.empty()) {
      number = unused_++;
    } else {
      number = free_.back();
      free_.pop_back();
    }
  }
  // What is not yet a trampoline is a trap.
  std::memset(page(number), 0xcc, kPageOfIsland);
  std::memcpy(page(number), &entry_, sizeof entry_);
  return make_ref<Island>(Ref<IslandFile>::share(this), number);
}

// An address space that ends may have it mapped for a moment still, and runs nothing any more.
void IslandFile::give_back(std::uint32_t number) {
  Locked lock(mutex_);
  free_.push_back(number);
}

}  // namespace caisson::sandbox::platform
