// FileBytes: the bytes of one file in memory. Few of them are kept here; more of them in the range
// of the memory file (file_memory.h) that the file then has.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/fs/tmpfs/file_memory.h"
#include "sandbox/fs/tmpfs/page_set.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/io.h"

namespace caisson::sandbox::fs {

// How many pages the files of a file system may have.
class PageQuota {
 public:
  explicit PageQuota(std::uint64_t limit = ~std::uint64_t{0}) : limit_(limit) {}
  // As many of `pages` as are left.
  std::uint64_t take(std::uint64_t pages);
  void give(std::uint64_t pages) { used_.fetch_sub(pages, std::memory_order_relaxed); }
  // What guests took through their mappings, where nobody can be told.
  void take_anyway(std::uint64_t pages) { used_.fetch_add(pages, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  bool is_limited() const { return limit() != ~std::uint64_t{0}; }
  void set_limit(std::uint64_t limit) { limit_.store(limit, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> limit_;
};

class FileBytes {
 public:
  static constexpr std::uint64_t kLargest = FileMemory::kRange;

  // Both outlive it.
  FileBytes(FileMemory& memory, PageQuota& quota) : memory_(memory), quota_(quota) {}
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();

  std::uint64_t size() const { return size_.load(std::memory_order_acquire); }
  std::uint64_t pages();  // that have memory

  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, std::uint64_t offset);
  // Empty offset: at the end. Where it began, in `at`. EFBIG, ENOSPC, EPERM (seals).
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, std::optional<std::uint64_t> offset,
                             std::uint64_t& at);
  ErrnoOr<> resize(std::uint64_t size);
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length);
  // SEEK_DATA, SEEK_HOLE. ENXIO.
  ErrnoOr<std::uint64_t> seek(std::uint64_t offset, int whence);
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, int protection, bool shared);
  // Shared mappings that may be written, which F_SEAL_WRITE waits for (EBUSY).
  void add_writable_mapping() { writable_mappings_.fetch_add(1, std::memory_order_relaxed); }
  void drop_writable_mapping() { writable_mappings_.fetch_sub(1, std::memory_order_relaxed); }

  // memfd_create(2): F_SEAL_*. EPERM once sealed against seals.
  std::uint32_t seals();
  ErrnoOr<> add_seals(std::uint32_t seals);
  void set_seals(std::uint32_t seals);

  Result<> save(state::Writer& to);
  Result<> restore(state::Reader& from);

 private:
  Result<> restore_runs(state::Reader& from);
  static constexpr std::uint64_t kInline = kPageSize;
  bool is_inline() const { return !range_; }
  bool sealed(std::uint32_t seals) const { return (seals_ & seals) != 0; }
  // All of these under mutex_.
  ErrnoOr<> spill();
  void set_size(std::uint64_t size);
  ErrnoOr<std::uint64_t> reserve(std::uint64_t offset, std::uint64_t length);
  ErrnoOr<std::size_t> write_inline(vfs::IoBuffer& from, std::uint64_t offset,
                                    std::uint64_t length);
  ErrnoOr<std::size_t> write_range(vfs::IoBuffer& from, std::uint64_t offset, std::uint64_t length);
  ErrnoOr<std::size_t> write_piece(vfs::IoBuffer& from, std::uint64_t offset, std::uint64_t length,
                                   bool has_memory);
  ErrnoOr<> check_write(std::uint64_t offset, std::uint64_t length) const;
  void free_pages(std::uint64_t begin, std::uint64_t end);
  void zero(std::uint64_t offset, std::uint64_t length);
  void learn_mapped_pages();
  bool is_data(std::uint64_t page) const {
    return pages_.contains(page) && !reserved_.contains(page);
  }

  struct Piece {  // of a read
    std::uint64_t length = 0;
    bool has_memory = false;
    bool is_hole = false;  // certainly: all zeroes
    bool small = false;    // not worth a window
  };
  ErrnoOr<std::size_t> read_range(vfs::IoBuffer& to, std::uint64_t offset, const Piece& piece);

  FileMemory& memory_;
  PageQuota& quota_;
  Mutex mutex_;
  std::atomic<std::uint64_t> size_{0};
  PageSet pages_;     // that have memory
  PageSet reserved_;  // of these, that were allocated and never written: still a hole
  std::unique_ptr<std::byte[]> inline_;  // kInline bytes, zeroes behind the size
  std::optional<std::uint64_t> range_;
  std::uint64_t written_end_ = 0;  // no memory of the range is behind it, but for mappings
  Ref<vfs::FileEnd> end_;          // once it was mapped
  bool mapped_ = false;            // a guest may give pages memory by touching them
  bool shared_ = false;            // and bytes
  std::uint32_t seals_ = 0;
  std::atomic<std::uint32_t> writable_mappings_{0};
};

}  // namespace caisson::sandbox::fs
