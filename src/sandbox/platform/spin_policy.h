// SpinPolicy: whether the owner of a guest thread should look out for its next call on a processor
// of its own instead of giving way to it. That pays while calls follow each other quickly and a
// processor is free. Whether one is free shows by trying: a call that does not come in time costs
// one bounded look, and each failure doubles what must speak for the next try.
#pragma once

#include <atomic>
#include <cstdint>

namespace caisson::sandbox::platform {

// How many owners may look at the same time: half of the processors, none if there is but one.
class SpinBudget {
 public:
  explicit SpinBudget(int processors) : left_(processors / 2) {}
  bool take() {
    if (left_.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
    left_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  void give_back() { left_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<int> left_;
};

class SpinPolicy {
 public:
  static constexpr std::uint32_t kFirstTry = 32, kLastTry = 1 << 16, kProven = 1024;
  static constexpr int kMisses = 2;

  // A call came, without looking; `soon`: quickly enough that looking would have seen it.
  // True: look from now on.
  bool came(bool soon) {
    quick_calls_ = soon ? quick_calls_ + 1 : 0;
    if (quick_calls_ < needed_) return false;
    quick_calls_ = 0;
    misses_ = 0;
    seen_ = 0;
    return true;
  }
  // A call was seen by looking.
  void seen() {
    misses_ = 0;
    if (++seen_ >= kProven) needed_ = kFirstTry;
  }
  // None was. True: stop looking.
  bool missed() {
    if (++misses_ < kMisses) return false;
    needed_ = needed_ * 2 < kLastTry ? needed_ * 2 : kLastTry;
    return true;
  }

 private:
  std::uint32_t quick_calls_ = 0, needed_ = kFirstTry, seen_ = 0;
  int misses_ = 0;
};

}  // namespace caisson::sandbox::platform
