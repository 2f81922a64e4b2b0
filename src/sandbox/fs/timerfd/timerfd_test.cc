#include "sandbox/fs/timerfd/timerfd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include <chrono>
#include <cstring>
#include <semaphore>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/fs/kernel_fixture_test.h"
#include "sandbox/fs/test_caller.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kHour = std::int64_t{3600} * 1'000'000'000;

// Waits for a notification, with a bound that a loaded machine does not reach.
class Bell final : public vfs::WaitEntry {
 public:
  ~Bell() override { leave(); }
  void notified(vfs::ReadyMask) override { rung_.release(); }
  bool wait() { return rung_.try_acquire_for(std::chrono::seconds(20)); }

 private:
  std::counting_semaphore<> rung_{0};
};

class Timerfd : public KernelFixture {
 protected:
  Ref<TimerFile> make(int clock = CLOCK_MONOTONIC) {
    auto file = make_ref<TimerFile>(*kernel_, clock, std::uint32_t{O_RDWR});
    file->wait_queue()->add(bell_);
    return file;
  }
  std::uint64_t ticks(TimerFile& file) {
    std::string text = caller_.read(file, 8);
    std::uint64_t value = 0;
    if (text.size() == sizeof value) std::memcpy(&value, text.data(), sizeof value);
    return value;
  }
  Bell bell_;
  FakeCaller caller_;
};

TEST_F(Timerfd, IsNotReadableBeforeItsTime) {
  auto file = make();
  EXPECT_EQ(file->ready(), 0U);
  file->set({kHour, 0}, 0);
  EXPECT_EQ(file->ready(), 0U);
  EXPECT_EQ(caller_.read(*file, 8), "E11");
  EXPECT_EQ(caller_.read(*file, 7), "E22");
}

TEST_F(Timerfd, ExpiresOnce) {
  auto file = make();
  file->set({1, 0}, 0);
  ASSERT_TRUE(bell_.wait());
  EXPECT_EQ(file->ready(), static_cast<vfs::ReadyMask>(POLLIN));
  EXPECT_EQ(file->setting().value, 0);
  EXPECT_EQ(ticks(*file), 1U);
  EXPECT_EQ(file->ready(), 0U);
}

TEST_F(Timerfd, CountsThePeriodsThatPassed) {
  auto file = make();
  file->set({1, kMillisecond}, 0);
  ASSERT_TRUE(bell_.wait());
  std::int64_t began = kernel_->monotonic_ns();
  while (kernel_->monotonic_ns() - began < 5 * kMillisecond) continue;
  EXPECT_GE(ticks(*file), 5U);
  ASSERT_TRUE(bell_.wait());  // it runs again
  EXPECT_GE(ticks(*file), 1U);
}

TEST_F(Timerfd, TellsWhatIsLeft) {
  auto file = make();
  EXPECT_EQ(file->set({kHour, 7}, 0).value, 0);
  auto left = file->setting();
  EXPECT_LE(left.value, kHour);
  EXPECT_GT(left.value, kHour / 2);
  EXPECT_EQ(left.interval, 7);
  auto before = file->set({0, 0}, 0);
  EXPECT_GT(before.value, kHour / 2);
  EXPECT_EQ(file->setting().value, 0);
}

TEST_F(Timerfd, TakesMomentsOfItsClock) {
  for (int clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
    auto file = make(clock);
    file->set({1, 0}, TFD_TIMER_ABSTIME);  // long ago
    ASSERT_TRUE(bell_.wait());
    EXPECT_EQ(ticks(*file), 1U);
    file->wait_queue()->remove(bell_);
  }
  auto file = make(CLOCK_REALTIME);
  file->set({kernel_->realtime_ns() + kHour, 0}, TFD_TIMER_ABSTIME);
  EXPECT_GT(file->setting().value, kHour / 2);
  EXPECT_EQ(file->ready(), 0U);
}

TEST_F(Timerfd, SettingDropsWhatHadExpired) {
  auto file = make();
  file->set({1, 0}, 0);
  ASSERT_TRUE(bell_.wait());
  file->set({kHour, 0}, 0);
  EXPECT_EQ(file->ready(), 0U);
}

TEST_F(Timerfd, ShowsItselfInFdinfo) {
  auto file = make();
  EXPECT_EQ(file->info_text(),
            "clockid: 1\nticks: 0\nsettime flags: 00\nit_value: (0, 0)\nit_interval: (0, 0)\n");
  EXPECT_EQ(file->link_text({}), "anon_inode:[timerfd]");
}

TEST_F(Timerfd, KnowsItsClocks) {
  EXPECT_TRUE(TimerFile::is_timer_clock(CLOCK_BOOTTIME_ALARM));
  EXPECT_FALSE(TimerFile::is_timer_clock(CLOCK_PROCESS_CPUTIME_ID));
}

}  // namespace
}  // namespace caisson::sandbox::fs
