#include "sandbox/kernel/timers.h"

#include <time.h>

#include <atomic>

#include <gtest/gtest.h>

#include "base/clock.h"

namespace caisson::sandbox::kernel {
namespace {

class Counter final : public Timer {
 public:
  explicit Counter(TimerQueue& queue, int again = 0) : Timer(queue), again_(again) {}
  ~Counter() override { disarm(); }
  std::atomic<int> count{0};
  std::atomic<std::int64_t> at{0};

 private:
  void expired() override {
    at = monotonic_ns();
    ++count;
    if (again_-- > 0) arm(monotonic_ns() + 100'000);
  }
  int again_;
};

void wait_for(const std::atomic<int>& count, int least) {
  for (std::int64_t end = monotonic_ns() + 10'000'000'000; count < least && monotonic_ns() < end;) {
    timespec pause{0, 100'000};
    (void)::nanosleep(&pause, nullptr);
  }
  EXPECT_GE(count.load(), least);
}

TEST(TimerQueue, ExpiresNotBeforeItsTime) {
  TimerQueue queue;
  Counter timer(queue);
  std::int64_t due = monotonic_ns() + 3'000'000;
  timer.arm(due);
  wait_for(timer.count, 1);
  EXPECT_GE(timer.at.load(), due);
}

TEST(TimerQueue, HeldOnesExpireWhenTheyAreReleased) {
  TimerQueue queue;
  Counter timer(queue);
  queue.hold();
  timer.arm(-5);
  timespec pause{0, 20'000'000};
  (void)::nanosleep(&pause, nullptr);
  EXPECT_EQ(timer.count, 0);
  queue.release();
  wait_for(timer.count, 1);
}

TEST(TimerQueue, PastIsAtOnce) {
  TimerQueue queue;
  Counter timer(queue);
  timer.arm(-5);
  wait_for(timer.count, 1);
}

TEST(TimerQueue, EarlierOneComesFirst) {
  TimerQueue queue;
  Counter late(queue), early(queue);
  late.arm(monotonic_ns() + 20'000'000'000);
  early.arm(monotonic_ns() + 1'000'000);
  wait_for(early.count, 1);
  EXPECT_EQ(late.count, 0);
}

TEST(TimerQueue, MayArmItselfAgain) {
  TimerQueue queue;
  Counter timer(queue, 4);
  timer.arm(0);
  wait_for(timer.count, 5);
}

TEST(TimerQueue, DisarmedOneStaysAway) {
  TimerQueue queue;
  Counter timer(queue), other(queue);
  timer.arm(monotonic_ns() + 2'000'000);
  timer.disarm();
  other.arm(monotonic_ns() + 4'000'000);
  wait_for(other.count, 1);
  EXPECT_EQ(timer.count, 0);
}

TEST(TimerQueue, RearmingMovesIt) {
  TimerQueue queue;
  Counter timer(queue), other(queue);
  timer.arm(monotonic_ns() + 1'000'000);
  timer.arm(monotonic_ns() + 20'000'000'000);
  other.arm(monotonic_ns() + 3'000'000);
  wait_for(other.count, 1);
  EXPECT_EQ(timer.count, 0);
}

TEST(TimerQueue, EndWaitsForWhatIsRunning) {
  TimerQueue queue;
  for (int i = 0; i < 200; ++i) {
    Counter timer(queue, 1000);
    timer.arm(0);
  }
}

}  // namespace
}  // namespace caisson::sandbox::kernel
