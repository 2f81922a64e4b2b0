#include "sandbox/kernel/block.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/stop_gate.h"

namespace caisson::sandbox::kernel {
namespace {

// Task::wake_word_: three flags, and above them how often it was interrupted, so that a sleeper
// that looked at why before it slept does not sleep on.
constexpr std::uint32_t kNotified = 1, kInterrupted = 2, kSleeping = 4, kGeneration = 8;

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline) {
  timespec until{};
  if (deadline) {
    until.tv_sec = *deadline / 1'000'000'000;
    until.tv_nsec = *deadline % 1'000'000'000;
  }
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                  deadline ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void futex_wake(std::atomic<std::uint32_t>& word) {
  (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace

class Sleeper {
 public:
  enum class Until { kInterrupted, kDying, kNotifiedOnly };

  static WakeReason sleep(Task& task, Deadline deadline, Until until) {
    if (deadline && *deadline < 0) deadline = 0;
    std::atomic<std::uint32_t>& word = task.wake_word_;
    bool slept = false;
    WakeReason reason = WakeReason::kTimeout;
    for (;;) {
      std::uint32_t seen = word.load(std::memory_order_seq_cst);
      if ((seen & kNotified) != 0) {
        word.fetch_and(~kNotified, std::memory_order_seq_cst);
        reason = WakeReason::kNotified;
        break;
      }
      if (ends(task, until)) {
        reason = WakeReason::kInterrupted;
        break;
      }
      if (deadline && monotonic_ns() >= *deadline) break;
      if (!word.compare_exchange_strong(seen, seen | kSleeping)) continue;
      if (!slept) begin(task, until);
      slept = true;
      futex_wait(word, seen | kSleeping, deadline);
    }
    word.fetch_and(~kSleeping, std::memory_order_seq_cst);
    if (slept) end(task, until);
    return reason;
  }

  static void wake(Task& task) {
    std::uint32_t before = task.wake_word_.fetch_or(kNotified, std::memory_order_seq_cst);
    if ((before & kSleeping) != 0) futex_wake(task.wake_word_);
  }

  static void interrupt(Task& task) {
    std::uint32_t before = task.wake_word_.load();
    while (!task.wake_word_.compare_exchange_weak(before, (before | kInterrupted) + kGeneration)) {
    }
    if ((before & kSleeping) != 0) futex_wake(task.wake_word_);
  }

 private:
  static bool ends(const Task& task, Until until) {
    if (until == Until::kInterrupted) return task.interrupted();
    return until == Until::kDying && task.dying();
  }

  static void begin(Task& task, Until until) {
    RunState running = RunState::kRunning;  // a stopped task stays so
    (void)task.state.compare_exchange_strong(running, RunState::kSleeping);
    std::int64_t now = monotonic_ns();
    task.add_system_time(now);
    if (until != Until::kInterrupted) task.kernel().gate().leave();
  }

  static void end(Task& task, Until until) {
    if (until != Until::kInterrupted) task.kernel().gate().enter();
    task.restart_system_time(monotonic_ns());
    RunState sleeping = RunState::kSleeping;
    (void)task.state.compare_exchange_strong(sleeping, RunState::kRunning);
  }
};

void TaskWaiter::notified(vfs::ReadyMask) { task_.wake(); }

void Task::wake() { Sleeper::wake(*this); }

void Task::interrupt() {
  interrupted_.store(true, std::memory_order_seq_cst);
  Sleeper::interrupt(*this);
  if (!in_guest_.load(std::memory_order_seq_cst)) return;
  Locked locked(mutex_);
  if (thread_) thread_->interrupt();
}

WakeReason sleep(Task& task, Deadline deadline) {
  return Sleeper::sleep(task, deadline, Sleeper::Until::kInterrupted);
}
WakeReason sleep_killable(Task& task, Deadline deadline) {
  return Sleeper::sleep(task, deadline, Sleeper::Until::kDying);
}
void sleep_uninterruptible(Task& task) {
  (void)Sleeper::sleep(task, std::nullopt, Sleeper::Until::kNotifiedOnly);
}

}  // namespace caisson::sandbox::kernel
