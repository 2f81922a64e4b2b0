#include "sandbox/fs/timerfd/timerfd.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

bool is_realtime(int clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM; }

std::string pair_text(std::int64_t ns) { return cat("(", ns / kSecond, ", ", ns % kSecond, ")"); }

}  // namespace

TimerFile::TimerFile(kernel::Kernel& kernel, int clock, std::uint32_t flags)
    : AnonymousFile("[timerfd]", flags), Timer(kernel.timers()), kernel_(kernel), clock_(clock) {}

TimerFile::~TimerFile() { disarm(); }

bool TimerFile::is_timer_clock(int clock) {
  return clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM ||
         is_realtime(clock);
}

std::int64_t TimerFile::now() const {
  if (is_realtime(clock_)) return kernel_.realtime_ns();
  return clock_ == CLOCK_MONOTONIC ? kernel_.monotonic_ns() : kernel_.boottime_ns();
}

// When a moment of its clock comes, as CLOCK_MONOTONIC has it.
std::int64_t TimerFile::deadline_of(std::int64_t moment) const {
  std::int64_t wait = std::max<std::int64_t>(0, moment - now());
  std::int64_t monotonic = kernel_.monotonic_ns();
  return std::max<std::int64_t>(1, wait > kNever - monotonic ? kNever : monotonic + wait);
}

void TimerFile::expired() {
  {
    Locked lock(mutex_);
    if (next_ == 0 || resting_ || kernel_.monotonic_ns() < next_) return;  // set anew meanwhile
    ++ticks_;
    resting_ = true;
  }
  queue_.notify(POLLIN);
}

// Counts the periods that passed while it rested, and lets it run again. Under mutex_.
void TimerFile::catch_up() {
  if (!resting_ || interval_ == 0) return;
  std::int64_t passed = (kernel_.monotonic_ns() - next_) / interval_;
  ticks_ += static_cast<std::uint64_t>(passed);
  next_ += (passed + 1) * interval_;
  resting_ = false;
  arm(next_);
}

TimerFile::Setting TimerFile::left() const {
  if (next_ == 0) return {0, interval_};
  std::int64_t left = next_ - kernel_.monotonic_ns();
  // One that is armed never says 0; one that ran out does.
  return {resting_ ? 0 : std::max<std::int64_t>(1, left), interval_};
}

TimerFile::Setting TimerFile::setting() {
  Locked lock(mutex_);
  catch_up();
  return left();
}

TimerFile::Setting TimerFile::set(const Setting& setting, int flags) {
  disarm();  // without the lock, which expired() takes
  Locked lock(mutex_);
  catch_up();
  Setting before = left();
  bool absolute = (flags & TFD_TIMER_ABSTIME) != 0;
  interval_ = setting.interval;
  ticks_ = 0;
  resting_ = false;
  set_flags_ = flags;
  next_ = 0;
  if (setting.value != 0)
    next_ = absolute ? deadline_of(setting.value)
                     : deadline_of(now() + std::min(setting.value, kNever - now()));
  if (next_ != 0)
    arm(next_);
  else
    arm(kNever);  // in place of what catch_up() may have armed
  return before;
}

ErrnoOr<std::size_t> TimerFile::read(vfs::IoBuffer& to, vfs::Caller&) {
  std::uint64_t ticks = 0;
  if (to.remaining() < sizeof ticks) return std::unexpected(Errno{EINVAL});
  {
    Locked lock(mutex_);
    catch_up();
    if (ticks_ == 0) return std::unexpected(Errno{EAGAIN});
    ticks = std::exchange(ticks_, 0);
  }
  if (TRY(to.put(std::as_bytes(std::span(&ticks, 1)))) != sizeof ticks)
    return std::unexpected(Errno{EFAULT});
  return sizeof ticks;
}

vfs::ReadyMask TimerFile::ready() {
  Locked lock(mutex_);
  return ticks_ > 0 ? POLLIN : 0;
}

std::string TimerFile::info_text() {
  Locked lock(mutex_);
  Setting now = left();
  return cat("clockid: ", clock_, "\nticks: ", ticks_, "\nsettime flags: 0",
             octal(static_cast<std::uint64_t>(set_flags_)), "\nit_value: ", pair_text(now.value),
             "\nit_interval: ", pair_text(now.interval), "\n");
}

}  // namespace caisson::sandbox::fs
