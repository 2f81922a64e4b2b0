#include "sandbox/fs/tmpfs/file_memory.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

// The size of the memory file: all that a file can have (MAX_LFS_FILESIZE), in whole ranges.
constexpr std::uint64_t kEnd = (std::uint64_t{1} << 63) - FileMemory::kRange;

}  // namespace

FileWindow::~FileWindow() { (void)sys::call_void(SYS_munmap, memory_, kLength); }

ErrnoOr<Ref<FileMemory>> FileMemory::create() {
  Fd file = TRY(sys::memfd_create("caisson-files"));
  TRY(sys::ftruncate(file, static_cast<std::int64_t>(kEnd)));
  return Ref<FileMemory>::adopt(new FileMemory(std::move(file)));
}

ErrnoOr<std::uint64_t> FileMemory::take_range() {
  Locked lock(mutex_);
  if (!free_ranges_.empty()) {
    std::uint64_t range = free_ranges_.back();
    free_ranges_.pop_back();
    return range;
  }
  if (next_range_ == kEnd) return std::unexpected(Errno{ENOSPC});
  return std::exchange(next_range_, next_range_ + kRange);
}

void FileMemory::give_range(std::uint64_t begin, std::uint64_t end) {
  if (end != 0) discard(begin, end);
  Locked lock(mutex_);
  free_ranges_.push_back(begin);
}

ErrnoOr<> FileMemory::read(std::uint64_t at, std::span<std::byte> to) const {
  while (!to.empty()) {
    long done = TRY(sys::call_retry(SYS_pread64, file_.number(), to.data(), to.size(), at));
    if (done == 0) return std::unexpected(Errno{EIO});
    to = to.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return {};
}

ErrnoOr<> FileMemory::write(std::uint64_t at, std::span<const std::byte> from) {
  while (!from.empty()) {
    long done = TRY(sys::call_retry(SYS_pwrite64, file_.number(), from.data(), from.size(), at));
    from = from.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return {};
}

void FileMemory::discard(std::uint64_t at, std::uint64_t length) {
  if (length == 0) return;
  // Cannot fail for a memory file; where it did, the bytes would be seen again by nobody but the
  // next file of this range, so this must not go unnoticed.
  MUST(sys::call_retry(SYS_fallocate, file_.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       at, length));
}

FileMemory::Data FileMemory::next_data(std::uint64_t at, std::uint64_t end) const {
  auto begin = sys::call(SYS_lseek, file_.number(), at, SEEK_DATA);
  if (!begin || static_cast<std::uint64_t>(*begin) >= end) return {end, end};
  auto hole = sys::call(SYS_lseek, file_.number(), *begin, SEEK_HOLE);
  std::uint64_t behind = hole ? static_cast<std::uint64_t>(*hole) : end;
  return {static_cast<std::uint64_t>(*begin), std::min(behind, end)};
}

Ref<FileWindow> FileMemory::window(std::uint64_t at, bool only_known) {
  std::uint64_t key = at / FileWindow::kLength;
  Ref<FileWindow> evicted;
  Locked lock(mutex_);
  auto known = windows_.find(key);
  if (known != windows_.end()) {
    order_.splice(order_.begin(), order_, known->second.order);
    return known->second.window;
  }
  if (only_known) return nullptr;
  auto mapped = sys::call(SYS_mmap, nullptr, FileWindow::kLength, PROT_READ | PROT_WRITE,
                          MAP_SHARED, file_.number(), key * FileWindow::kLength);
  if (!mapped) return nullptr;
  if (windows_.size() == kMostWindows) {
    auto oldest = windows_.find(order_.back());
    evicted = std::move(oldest->second.window);
    windows_.erase(oldest);
    order_.pop_back();
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what mmap(2) returns
  auto made = make_ref<FileWindow>(reinterpret_cast<std::byte*>(*mapped));
  order_.push_front(key);
  windows_.emplace(key, Known{made, order_.begin()});
  return made;
}

}  // namespace caisson::sandbox::fs
