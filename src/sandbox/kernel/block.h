// Sleeping: the one way in which a guest task waits inside the kernel. Signals, exits, stops and
// snapshots end every sleep.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

class Task;

// What a call that was interrupted asks for (include/linux/errno.h of Linux): the task's loop turns
// them into EINTR or a restart when it delivers the signal; the guest never sees them.
constexpr Errno kRestart{512};  // ERESTARTSYS: again if the handler has SA_RESTART, else EINTR
constexpr Errno kRestartAlways{513};       // ERESTARTNOINTR
constexpr Errno kRestartIfNoHandler{514};  // ERESTARTNOHAND: EINTR when a handler runs
constexpr Errno kRestartWithState{516};    // ERESTART_RESTARTBLOCK: by restart_syscall(2)

// How a call that keeps state goes on (restart_syscall(2)): which of those that do (syscalls/
// restart.h), and what it needs for it.
enum class RestartKind : std::uint8_t { kNone, kSleep, kPoll, kFutexWait };
struct Restart {
  RestartKind kind = RestartKind::kNone;
  std::array<std::uint64_t, 6> values{};
};

// A moment of CLOCK_MONOTONIC in nanoseconds; none: for ever.
using Deadline = std::optional<std::int64_t>;

enum class WakeReason : std::uint8_t { kNotified, kTimeout, kInterrupted };

// Wakes its task. Many may be registered by one task at a time.
class TaskWaiter final : public vfs::WaitEntry {
 public:
  explicit TaskWaiter(Task& task, vfs::ReadyMask mask = ~vfs::ReadyMask{0})
      : WaitEntry(mask), task_(task) {}
  ~TaskWaiter() override { leave(); }
  void notified(vfs::ReadyMask ready) override;

 private:
  Task& task_;
};

// Sleeps until one of the task's waiters is notified, the deadline passes, or the task is
// interrupted. A notification since the last sleep ends it at once. Called by the task's own
// thread.
WakeReason sleep(Task& task, Deadline deadline);
// The same, but only the task's end interrupts it (vfork(2), an init that waits for its namespace).
WakeReason sleep_killable(Task& task, Deadline deadline);

// Calls `attempt` until it gives something else than EAGAIN, sleeping on `queue` between. At the
// deadline: EAGAIN; interrupted: kRestart.
template <typename Attempt>
auto wait_until_done(Task& task, vfs::WaitQueue& queue, vfs::ReadyMask mask, Deadline deadline,
                     Attempt attempt) -> decltype(attempt()) {
  auto result = attempt();
  if (result || result.error().value != 11 /* EAGAIN */) return result;
  TaskWaiter waiter(task, mask);
  queue.add(waiter);
  for (;;) {
    result = attempt();
    if (result || result.error().value != 11 /* EAGAIN */) break;
    WakeReason reason = sleep(task, deadline);
    if (reason == WakeReason::kNotified) continue;
    if (reason == WakeReason::kInterrupted) result = std::unexpected(kRestart);
    break;
  }
  queue.remove(waiter);
  return result;
}

// The same without any interruption, for an end that must come to its end.
void sleep_uninterruptible(Task& task);

}  // namespace caisson::sandbox::kernel
