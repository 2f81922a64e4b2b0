#include "sandbox/kernel/timers.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <limits>

#include "base/clock.h"
#include "base/result.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) {
  timespec until{};
  until.tv_sec = deadline / 1'000'000'000;
  until.tv_nsec = deadline % 1'000'000'000;
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                  deadline == kNever ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  word.fetch_add(1, std::memory_order_release);
  (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max());
}

}  // namespace

Timer::~Timer() { disarm(); }

void Timer::arm(std::int64_t deadline_ns) {
  bool first = false;
  {
    Locked locked(queue_.mutex_);
    if (armed_) queue_.timers_.erase(place_);
    place_ = queue_.timers_.emplace(deadline_ns < 0 ? 0 : deadline_ns, this);
    armed_ = true;
    first = place_ == queue_.timers_.begin();
  }
  if (first) queue_.wake();
}

void Timer::disarm() {
  for (;;) {
    std::uint32_t seen = queue_.served_.load(std::memory_order_acquire);
    {
      Locked locked(queue_.mutex_);
      if (armed_) queue_.timers_.erase(place_);
      armed_ = false;
      if (queue_.running_ != this || ::pthread_equal(::pthread_self(), queue_.thread_) != 0) return;
    }
    futex_wait(queue_.served_, seen, kNever);
  }
}

TimerQueue::TimerQueue() {
  // The signals that the process takes are for its other threads.
  sigset_t all, before;
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = ::pthread_create(&thread_, nullptr, &TimerQueue::thread_main, this);
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) detail::must_failed("start the timers' thread", __FILE__, __LINE__, error);
}

TimerQueue::~TimerQueue() {
  {
    Locked locked(mutex_);
    ending_ = true;
  }
  wake();
  (void)::pthread_join(thread_, nullptr);
}

void TimerQueue::hold() {
  {
    Locked locked(mutex_);
    ++holds_;
  }
  for (;;) {
    std::uint32_t seen = served_.load(std::memory_order_acquire);
    {
      Locked locked(mutex_);
      if (running_ == nullptr) return;
    }
    futex_wait(served_, seen, kNever);
  }
}

void TimerQueue::release() {
  {
    Locked locked(mutex_);
    if (holds_ > 0) --holds_;
  }
  wake();
}

void TimerQueue::wake() { futex_wake_all(epoch_); }

void* TimerQueue::thread_main(void* self) {
  static_cast<TimerQueue*>(self)->serve();
  return nullptr;
}

void TimerQueue::serve() {
  for (;;) {
    std::uint32_t seen = epoch_.load(std::memory_order_acquire);
    Timer* due = nullptr;
    std::int64_t next = kNever;
    {
      Locked locked(mutex_);
      if (ending_) return;
      if (!timers_.empty() && holds_ == 0) next = timers_.begin()->first;
      if (next <= monotonic_ns()) {
        due = timers_.begin()->second;
        timers_.erase(timers_.begin());
        due->armed_ = false;
        running_ = due;
      }
    }
    if (due == nullptr) {
      futex_wait(epoch_, seen, next);
      continue;
    }
    due->expired();
    {
      Locked locked(mutex_);
      running_ = nullptr;
    }
    futex_wake_all(served_);
  }
}

}  // namespace caisson::sandbox::kernel
