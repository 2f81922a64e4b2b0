// AddressSet: stretches of an address space, as rising ones that do not touch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace caisson::sandbox::mm {

class AddressSet {
 public:
  bool empty() const { return stretches_.empty(); }
  bool touches(std::uint64_t begin, std::uint64_t end) const {
    auto next = stretches_.lower_bound(end);
    return next != stretches_.begin() && std::prev(next)->second > begin;
  }
  // Calls use(begin, end) for what lies in [begin, end).
  template <typename Use>
  void for_each_in(std::uint64_t begin, std::uint64_t end, Use use) const {
    auto at = stretches_.upper_bound(begin);
    if (at != stretches_.begin() && std::prev(at)->second > begin) --at;
    for (; at != stretches_.end() && at->first < end; ++at)
      use(std::max(at->first, begin), std::min(at->second, end));
  }
  void add(std::uint64_t begin, std::uint64_t end) {
    auto at = stretches_.upper_bound(begin);
    if (at != stretches_.begin() && std::prev(at)->second >= begin) --at;
    while (at != stretches_.end() && at->first <= end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = stretches_.erase(at);
    }
    stretches_.emplace(begin, end);
  }
  void remove(std::uint64_t begin, std::uint64_t end) {
    auto at = stretches_.upper_bound(begin);
    if (at != stretches_.begin() && std::prev(at)->second > begin) --at;
    while (at != stretches_.end() && at->first < end) {
      auto [first, last] = *at;
      at = stretches_.erase(at);
      if (first < begin) stretches_.emplace(first, begin);
      if (last > end) stretches_.emplace(end, last);
    }
  }

 private:
  std::map<std::uint64_t, std::uint64_t> stretches_;  // end by begin
};

}  // namespace caisson::sandbox::mm
