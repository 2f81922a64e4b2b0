// The file of a checkpoint that holds memory: pages, one run behind the other. Which run belongs
// where stands in the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::mm {

// Takes pages (a service of the state::Writer).
class PageWriter {
 public:
  // `proc`: the /proc in which the stubs are processes. Both stay open.
  PageWriter(FdRef file, FdRef proc) : file_(file), proc_(proc) {}
  FdRef proc() const { return proc_; }
  // Where the next ones will stand.
  std::uint64_t end() const { return end_; }
  // Whole pages.
  ErrnoOr<> append(std::span<const std::byte> pages);
  // What a file has between `from` and `to`, but for its holes: see save_file_data().
  ErrnoOr<> append_file(FdRef source, std::uint64_t from, std::uint64_t length);

 private:
  FdRef file_, proc_;
  std::uint64_t end_ = 0;
};

// Gives them (a service of the state::Reader).
class PageReader {
 public:
  PageReader(FdRef file, std::uint64_t size) : file_(file), size_(size) {}
  FdRef file() const { return file_; }
  bool holds(std::uint64_t offset, std::uint64_t length) const {
    return offset % 4096 == 0 && offset <= size_ && length <= size_ - offset;
  }
  // EIO: the file is shorter than it was.
  ErrnoOr<> read(std::uint64_t offset, std::span<std::byte> to) const;
  // Into a file of ours.
  ErrnoOr<> copy_to(FdRef target, std::uint64_t at, std::uint64_t offset,
                    std::uint64_t length) const;

 private:
  FdRef file_;
  std::uint64_t size_;
};

// A stretch of memory or of a file, and where its bytes stand in the image.
struct SavedRun {
  std::uint64_t begin = 0, length = 0, offset = 0;
};
template <typename Stream>
void describe(Stream& stream, SavedRun& run) {
  stream(run.begin, run.length, run.offset);
}

// Saves what `file` has in [begin, begin + length), but for its holes; SavedRun::begin counts from
// `begin`.
ErrnoOr<std::vector<SavedRun>> save_file_data(PageWriter& pages, FdRef file, std::uint64_t begin,
                                              std::uint64_t length);

}  // namespace caisson::sandbox::mm
