// PageSet: which pages of a file have memory, as rising runs that do not touch.
#pragma once

#include <cstdint>
#include <vector>

namespace caisson::sandbox::fs {

inline constexpr std::uint64_t kPageSize = 4096;

constexpr std::uint64_t page_of(std::uint64_t offset) { return offset / kPageSize; }
// The first page behind `offset` bytes.
constexpr std::uint64_t pages_for(std::uint64_t bytes) {
  return bytes / kPageSize + (bytes % kPageSize != 0 ? 1 : 0);
}

class PageSet {
 public:
  struct Run {
    std::uint64_t begin = 0, end = 0;  // pages
  };
  // Pages in [begin, end) that are in the set.
  std::uint64_t count(std::uint64_t begin, std::uint64_t end) const;
  void add(std::uint64_t begin, std::uint64_t end);
  // How many were in it.
  std::uint64_t remove(std::uint64_t begin, std::uint64_t end);
  bool contains(std::uint64_t page) const;
  // Where the run of pages that are all in the set, or all not, ends: ~0 for no end.
  std::uint64_t run_end(std::uint64_t page) const;
  std::uint64_t size() const { return size_; }
  const std::vector<Run>& runs() const { return runs_; }

 private:
  // The first run that ends behind `page`.
  std::vector<Run>::const_iterator first_behind(std::uint64_t page) const;
  std::vector<Run> runs_;
  std::uint64_t size_ = 0;
};

}  // namespace caisson::sandbox::fs
