#include "sandbox/fs/tmpfs/page_set.h"

#include <algorithm>

namespace caisson::sandbox::fs {

std::vector<PageSet::Run>::const_iterator PageSet::first_behind(std::uint64_t page) const {
  // Files are mostly one run.
  if (runs_.empty() || runs_.front().end > page) return runs_.begin();
  return std::upper_bound(runs_.begin(), runs_.end(), page,
                          [](std::uint64_t at, const Run& run) { return at < run.end; });
}

std::uint64_t PageSet::count(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t found = 0;
  for (auto run = first_behind(begin); run != runs_.end() && run->begin < end; ++run)
    found += std::min(run->end, end) - std::max(run->begin, begin);
  return found;
}

void PageSet::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  size_ += end - begin - count(begin, end);
  // Runs that overlap or touch become one.
  auto first = first_behind(begin == 0 ? 0 : begin - 1);
  auto last = first;
  Run merged{begin, end};
  for (; last != runs_.end() && last->begin <= end; ++last) {
    merged.begin = std::min(merged.begin, last->begin);
    merged.end = std::max(merged.end, last->end);
  }
  auto at = runs_.begin() + (first - runs_.cbegin());
  if (first == last) {
    runs_.insert(at, merged);
    return;
  }
  *at = merged;
  runs_.erase(at + 1, runs_.begin() + (last - runs_.cbegin()));
}

std::uint64_t PageSet::remove(std::uint64_t begin, std::uint64_t end) {
  std::uint64_t removed = begin < end ? count(begin, end) : 0;
  if (removed == 0) return 0;
  size_ -= removed;
  std::vector<Run> left;
  left.reserve(runs_.size() + 1);
  for (const Run& run : runs_) {
    if (run.end <= begin || run.begin >= end) {
      left.push_back(run);
      continue;
    }
    if (run.begin < begin) left.push_back({run.begin, begin});
    if (run.end > end) left.push_back({end, run.end});
  }
  runs_ = std::move(left);
  return removed;
}

bool PageSet::contains(std::uint64_t page) const {
  auto run = first_behind(page);
  return run != runs_.end() && run->begin <= page;
}

std::uint64_t PageSet::run_end(std::uint64_t page) const {
  auto run = first_behind(page);
  if (run == runs_.end()) return ~std::uint64_t{0};
  return run->begin <= page ? run->end : run->begin;
}

}  // namespace caisson::sandbox::fs
