#include "sandbox/fs/tmpfs/file_bytes.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace caisson::sandbox::fs {
namespace {

// Below this, mapping a window costs more than copying twice.
constexpr std::uint64_t kWorthWindow = 32768;
constexpr std::size_t kBounce = 32768;

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

}  // namespace

std::uint64_t PageQuota::take(std::uint64_t pages) {
  std::uint64_t before = used_.load(std::memory_order_relaxed);
  for (;;) {
    std::uint64_t most = limit();
    std::uint64_t taken = std::min(pages, most > before ? most - before : 0);
    if (used_.compare_exchange_weak(before, before + taken, std::memory_order_relaxed))
      return taken;
  }
}

FileBytes::~FileBytes() {
  quota_.give(pages_.size());
  if (!range_) return;
  std::uint64_t end = pages_.runs().empty() ? 0 : pages_.runs().back().end * kPageSize;
  memory_.give_range(*range_, mapped_ ? FileMemory::kRange : std::max(end, written_end_));
}

std::uint64_t FileBytes::pages() {
  Locked lock(mutex_);
  if (shared_) learn_mapped_pages();
  return pages_.size();
}

void FileBytes::learn_mapped_pages() {
  std::uint64_t end = *range_ + pages_for(size()) * kPageSize;
  for (std::uint64_t at = *range_; at < end;) {
    FileMemory::Data data = memory_.next_data(at, end);
    std::uint64_t first = page_of(data.begin - *range_), last = pages_for(data.end - *range_);
    quota_.take_anyway(last - first - pages_.count(first, last));
    pages_.add(first, last);
    (void)reserved_.remove(first, last);
    at = data.end;
  }
}

// --- reading

ErrnoOr<std::size_t> FileBytes::read(vfs::IoBuffer& to, std::uint64_t offset) {
  std::size_t done = 0;
  while (to.remaining() != 0) {
    Piece piece;
    {
      Locked lock(mutex_);
      std::uint64_t end = size();
      if (offset >= end) break;
      std::uint64_t wanted = std::min(to.remaining(), end - offset);
      if (is_inline() && inline_ != nullptr) {
        std::size_t copied = TRY(to.put({inline_.get() + offset, wanted}));
        return done + copied;
      }
      std::uint64_t run = pages_.run_end(page_of(offset));
      std::uint64_t run_bytes = run > page_of(end) ? end - offset : run * kPageSize - offset;
      piece.length = std::min(wanted, run_bytes);
      piece.has_memory = pages_.contains(page_of(offset));
      piece.is_hole = !piece.has_memory && !shared_;
      piece.small = wanted < kWorthWindow;
    }
    ErrnoOr<std::size_t> copied = read_range(to, offset, piece);
    if (!copied && done == 0) return copied;
    if (!copied) break;
    done += *copied;
    offset += *copied;
    if (*copied < piece.length) break;
  }
  return done;
}

// Without the lock: at worst it shows bytes of before and after a write or truncation.
ErrnoOr<std::size_t> FileBytes::read_range(vfs::IoBuffer& to, std::uint64_t offset,
                                           const Piece& piece) {
  if (piece.is_hole) return to.put_zeroes(piece.length);
  [[gnu::uninitialized]] std::array<std::byte, kBounce> bounce;
  std::size_t done = 0;
  while (done < piece.length) {
    std::uint64_t at = *range_ + offset + done;
    std::uint64_t in_window = at % FileWindow::kLength;
    std::uint64_t count = std::min(piece.length - done, FileWindow::kLength - in_window);
    Ref<FileWindow> window;
    // A window would give memory to pages that have none.
    if (piece.has_memory) window = memory_.window(at, piece.small);
    ErrnoOr<std::size_t> copied;
    if (window) {
      copied = to.put(window->bytes().subspan(in_window, count));
    } else {
      count = std::min<std::uint64_t>(count, bounce.size());
      TRY(memory_.read(at, std::span(bounce).first(count)));
      copied = to.put(std::span(bounce).first(count));
    }
    if (!copied && done == 0) return copied;
    if (!copied) break;
    done += *copied;
    if (*copied < count) break;
  }
  return done;
}

// --- writing

// Gives memory to as many pages as the quota has; the bytes from `offset` on that have it then.
ErrnoOr<std::uint64_t> FileBytes::reserve(std::uint64_t offset, std::uint64_t length) {
  std::uint64_t begin = page_of(offset), end = pages_for(offset + length);
  std::uint64_t missing = end - begin - pages_.count(begin, end);
  std::uint64_t taken = missing == 0 ? 0 : quota_.take(missing);
  if (taken == missing) {
    pages_.add(begin, end);
    return length;
  }
  std::uint64_t page = begin;
  for (; page < end; ++page) {
    if (pages_.contains(page)) continue;
    if (taken == 0) break;
    --taken;
    pages_.add(page, page + 1);
  }
  if (page == begin) return failed(ENOSPC);
  return page * kPageSize - offset;
}

ErrnoOr<> FileBytes::spill() {
  if (range_) return {};
  std::uint64_t range = TRY(memory_.take_range());
  if (inline_ != nullptr) {
    auto written = memory_.write(range, {inline_.get(), std::min(size(), kInline)});
    if (!written) {
      memory_.give_range(range, kInline);
      return written;
    }
    written_end_ = kInline;
    inline_.reset();
  }
  range_ = range;
  return {};
}

ErrnoOr<> FileBytes::check_write(std::uint64_t offset, std::uint64_t length) const {
  if (sealed(F_SEAL_WRITE | 0x10 /* F_SEAL_FUTURE_WRITE */)) return failed(EPERM);
  if (sealed(F_SEAL_GROW) && offset + length > size()) return failed(EPERM);
  return {};
}

ErrnoOr<std::size_t> FileBytes::write(vfs::IoBuffer& from, std::optional<std::uint64_t> offset,
                                      std::uint64_t& at) {
  Locked lock(mutex_);
  at = offset.value_or(size());
  std::uint64_t length = from.remaining();
  if (length == 0) return 0;
  if (at >= kLargest) return failed(EFBIG);
  length = std::min(length, kLargest - at);
  TRY(check_write(at, length));
  if (is_inline() && at + length > kInline) TRY(spill());
  std::uint64_t pages_before = pages_.size();
  length = TRY(reserve(at, length));
  ErrnoOr<std::size_t> done =
      is_inline() ? write_inline(from, at, length) : write_range(from, at, length);
  if (done && *done != 0) (void)reserved_.remove(page_of(at), pages_for(at + *done));
  if (done && at + *done > size()) set_size(at + *done);
  // What nothing was written to has no memory; only what was added can be behind the end.
  if ((!done || *done < length) && pages_.size() != pages_before)
    quota_.give(
        pages_.remove(pages_for(std::max(size(), at + done.value_or(0))), pages_for(at + length)));
  return done;
}

ErrnoOr<std::size_t> FileBytes::write_inline(vfs::IoBuffer& from, std::uint64_t offset,
                                             std::uint64_t length) {
  if (inline_ == nullptr) inline_ = std::make_unique<std::byte[]>(kInline);
  return from.get({inline_.get() + offset, length});
}

ErrnoOr<std::size_t> FileBytes::write_range(vfs::IoBuffer& from, std::uint64_t offset,
                                            std::uint64_t length) {
  std::size_t done = 0;
  while (done < length) {
    // Memory that was written once is written again where it is mapped; the host gives pages their
    // memory faster by write(2) than by faults of ours.
    std::uint64_t at = offset + done;
    bool has_memory = at < written_end_;
    std::uint64_t count = length - done;
    if (has_memory) count = std::min(count, written_end_ - at);
    ErrnoOr<std::size_t> copied = write_piece(from, at, count, has_memory);
    if (!copied && done == 0) return copied;
    if (!copied) break;
    done += *copied;
    written_end_ = std::max(written_end_, pages_for(at + *copied) * kPageSize);
    if (*copied < count) break;
  }
  return done;
}

ErrnoOr<std::size_t> FileBytes::write_piece(vfs::IoBuffer& from, std::uint64_t offset,
                                            std::uint64_t length, bool has_memory) {
  [[gnu::uninitialized]] std::array<std::byte, kBounce> bounce;
  std::size_t done = 0;
  while (done < length) {
    std::uint64_t at = *range_ + offset + done;
    std::uint64_t in_window = at % FileWindow::kLength;
    std::uint64_t count = std::min(length - done, FileWindow::kLength - in_window);
    Ref<FileWindow> window;
    if (has_memory) window = memory_.window(at, length < kWorthWindow);
    ErrnoOr<std::size_t> copied;
    if (window) {
      copied = from.get(window->bytes().subspan(in_window, count));
    } else {
      count = std::min<std::uint64_t>(count, bounce.size());
      copied = from.get(std::span(bounce).first(count));
      if (copied) TRY(memory_.write(at, std::span(bounce).first(*copied)));
    }
    if (!copied && done == 0) return copied;
    if (!copied) break;
    done += *copied;
    if (*copied < count) break;
  }
  return done;
}

// --- size and memory

void FileBytes::zero(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  if (range_) {
    memory_.discard(*range_ + offset, length);
  } else if (inline_ != nullptr && offset < kInline) {
    std::memset(inline_.get() + offset, 0, std::min(length, kInline - offset));
  }
}

void FileBytes::free_pages(std::uint64_t begin, std::uint64_t end) {
  quota_.give(pages_.remove(begin, end));
  (void)reserved_.remove(begin, end);
  if (begin == 0 && !range_) inline_.reset();
}

void FileBytes::set_size(std::uint64_t size) {
  size_.store(size, std::memory_order_release);
  if (end_) end_->set(size);
}

ErrnoOr<> FileBytes::resize(std::uint64_t size) {
  Locked lock(mutex_);
  if (size > kLargest) return failed(EFBIG);
  std::uint64_t before = this->size();
  if (size < before && sealed(F_SEAL_SHRINK)) return failed(EPERM);
  if (size > before && sealed(F_SEAL_GROW)) return failed(EPERM);
  if (size > kInline && is_inline()) TRY(spill());
  // Who maps the file lets go of what is behind its end before that loses its memory.
  set_size(size);
  if (size >= before) return {};
  std::uint64_t first_free = pages_for(size);
  if (mapped_) {
    zero(size, FileMemory::kRange - size);
  } else if (pages_.count(page_of(size), ~std::uint64_t{0}) != 0) {
    // Allocated pages may be behind the end as well (FALLOC_FL_KEEP_SIZE).
    std::uint64_t end = std::max(pages_.runs().back().end * kPageSize, written_end_);
    zero(size, end - size);
  }
  free_pages(first_free, ~std::uint64_t{0});
  written_end_ = std::min(written_end_, first_free * kPageSize);
  return {};
}

ErrnoOr<> FileBytes::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  if ((mode & ~kKnown) != 0 || mode == FALLOC_FL_PUNCH_HOLE) return failed(EOPNOTSUPP);
  std::uint64_t end = offset + length;
  if (end > kLargest) return failed(EFBIG);
  Locked lock(mutex_);
  if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
    if (sealed(F_SEAL_WRITE | 0x10 /* F_SEAL_FUTURE_WRITE */)) return failed(EPERM);
    zero(offset, length);
    // Whole pages only; a page's part is zeroes now.
    std::uint64_t first = pages_for(offset), last = page_of(end);
    if (first < last) free_pages(first, last);
    return {};
  }
  if (sealed(F_SEAL_GROW) && end > size()) return failed(EPERM);
  if (is_inline() && end > kInline) TRY(spill());
  std::uint64_t first = page_of(offset), last = pages_for(end);
  std::uint64_t missing = last - first - pages_.count(first, last);
  std::uint64_t taken = quota_.take(missing);
  if (taken < missing) {
    quota_.give(taken);
    return failed(ENOSPC);
  }
  for (std::uint64_t page = first; page < last && missing != 0;) {
    std::uint64_t end_of_run = std::min(pages_.run_end(page), last);
    if (!pages_.contains(page)) reserved_.add(page, end_of_run);
    page = end_of_run;
  }
  pages_.add(first, last);
  if (is_inline() && inline_ == nullptr) inline_ = std::make_unique<std::byte[]>(kInline);
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && end > size()) set_size(end);
  return {};
}

ErrnoOr<std::uint64_t> FileBytes::seek(std::uint64_t offset, int whence) {
  Locked lock(mutex_);
  if (offset >= size()) return failed(ENXIO);
  if (shared_) learn_mapped_pages();
  bool data = is_data(page_of(offset));
  if (data == (whence == SEEK_DATA)) return offset;
  std::uint64_t last = pages_for(size()), end = page_of(offset);
  while (end < last && is_data(end) == data)
    end = std::min(pages_.run_end(end), reserved_.run_end(end));
  if (end < last) return end * kPageSize;
  if (whence == SEEK_DATA) return failed(ENXIO);
  return size();
}

ErrnoOr<vfs::MapSource> FileBytes::map_source(std::uint64_t offset, int protection, bool shared) {
  Locked lock(mutex_);
  bool writes = shared && (protection & PROT_WRITE) != 0;
  if (writes && sealed(F_SEAL_WRITE | 0x10 /* F_SEAL_FUTURE_WRITE */)) return failed(EPERM);
  TRY(spill());
  mapped_ = true;
  shared_ = shared_ || shared;
  vfs::MapSource source;
  source.fd = memory_.file().number();
  source.offset = *range_ + offset;
  if (!end_) end_ = make_ref<vfs::FileEnd>(size());
  source.end = end_;
  return source;
}

std::uint32_t FileBytes::seals() {
  Locked lock(mutex_);
  return seals_;
}

void FileBytes::set_seals(std::uint32_t seals) {
  Locked lock(mutex_);
  seals_ = seals;
}

ErrnoOr<> FileBytes::add_seals(std::uint32_t seals) {
  Locked lock(mutex_);
  if (sealed(F_SEAL_SEAL)) return failed(EPERM);
  bool is_written = writable_mappings_.load(std::memory_order_relaxed) != 0;
  if ((seals & F_SEAL_WRITE) != 0 && !sealed(F_SEAL_WRITE) && is_written) return failed(EBUSY);
  seals_ |= seals;
  return {};
}

}  // namespace caisson::sandbox::fs
