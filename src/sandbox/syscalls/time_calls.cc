// Clocks and sleeps (time(7), clock_gettime(2)).
#include <linux/capability.h>
#include <sys/syscall.h>
#include <time.h>

#include <cstring>
#include <limits>
#include <optional>

#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/clocks.h"
#include "sandbox/syscalls/restart.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

// A clock of a process or thread that is named by its id (clock_getcpuclockid(3)).
// The last two bits say which of its times; 3 is none, or a clock behind a descriptor.
bool is_cpu_clock_by_id(int clock) { return clock < 0 && (clock & 3) != 3; }

ErrnoOr<std::int64_t> cpu_clock_by_id(Task& task, int clock) {
  constexpr int kVirtual = 1, kPerThread = 4;
  int id = ~(clock >> 3);
  Ref<Task> target;
  {
    Locked tree(task.kernel().task_lock());
    Task* found = id == 0 ? &task : task.kernel().find_task(*task.group().pid_namespace, id);
    bool per_thread = (clock & kPerThread) != 0;
    if (found == nullptr || (per_thread && &found->group() != &task.group())) return fail(EINVAL);
    if (!per_thread && id != 0 && found->group().leader != found) return fail(EINVAL);
    target = Ref<Task>::share(found);
  }
  if ((clock & kPerThread) != 0) return kernel::cpu_time_ns(*target);
  return kernel::cpu_time_ns(target->group(), (clock & 3) == kVirtual);
}

Value clock_gettime(Task& task, const Arguments& arguments) {
  std::int64_t now = TRY(clock_now(task, arguments.i32(0)));
  TRY(store(task, arguments.u64(1), to_timespec(now)));
  return 0;
}

Value clock_getres(Task& task, const Arguments& arguments) {
  int clock = arguments.i32(0);
  TRY(clock_now(task, clock));
  bool coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
  TRY(store_if(task, arguments.u64(1), to_timespec(coarse ? kNanosecond / 250 : 1)));
  return 0;
}

// The host's clocks are nobody's to set.
Value clock_settime(Task& task, const Arguments& arguments) {
  auto given = TRY(load<GuestTime>(task, arguments.u64(1)));
  TRY(to_nanoseconds(given, kNanosecond));
  return fail(arguments.i32(0) == CLOCK_REALTIME ? EPERM : EINVAL);
}

Value settimeofday(Task&, const Arguments&) { return fail(EPERM); }

Value gettimeofday(Task& task, const Arguments& arguments) {
  TRY(store_if(task, arguments.u64(0), to_timeval(task.kernel().realtime_ns())));
  TRY(store_if(task, arguments.u64(1), std::int64_t{0}));  // struct timezone: UTC
  return 0;
}

#if defined(__x86_64__)
Value time_of_day(Task& task, const Arguments& arguments) {
  std::int64_t seconds = task.kernel().realtime_ns() / kNanosecond;
  TRY(store_if(task, arguments.u64(0), seconds));
  return seconds;
}
#endif

// Asking how the clock is steered is free, steering it is not.
Value adjust(Task& task, std::uint64_t address) {
  constexpr std::size_t kSize = 208;  // struct timex
  constexpr int kError = 5;           // TIME_ERROR: not synchronized
  std::array<std::byte, kSize> bytes{};
  std::size_t read = TRY(task.memory().read(address, bytes));
  if (read != kSize) return fail(EFAULT);
  std::uint32_t modes = 0;
  std::memcpy(&modes, bytes.data(), sizeof(modes));
  if (modes != 0) return fail(EPERM);
  bytes.fill(std::byte{0});
  std::int64_t tick = 10'000;
  GuestTime now = to_timeval(task.kernel().realtime_ns());
  std::memcpy(bytes.data() + 72, &now, sizeof(now));
  std::memcpy(bytes.data() + 88, &tick, sizeof(tick));
  std::size_t written = TRY(task.memory().write(address, bytes));
  if (written != kSize) return fail(EFAULT);
  return kError;
}

Value adjtimex(Task& task, const Arguments& arguments) { return adjust(task, arguments.u64(0)); }
Value clock_adjtime(Task& task, const Arguments& arguments) {
  if (arguments.i32(0) != CLOCK_REALTIME) return fail(EOPNOTSUPP);
  return adjust(task, arguments.u64(1));
}

// --- sleeps

// Until a moment of CLOCK_MONOTONIC; true: it came.
bool sleep_until(Task& task, std::int64_t deadline) {
  for (;;) {
    kernel::WakeReason reason = kernel::sleep(task, deadline);
    if (reason != kernel::WakeReason::kNotified) return reason == kernel::WakeReason::kTimeout;
  }
}

// A sleep for a while goes on where it was interrupted, by restart_syscall(2).
Value sleep_for(Task& task, std::int64_t deadline, std::uint64_t remaining_address) {
  if (sleep_until(task, deadline)) return 0;
  std::int64_t left = deadline - task.kernel().monotonic_ns();
  if (left <= 0) return 0;
  TRY(store_if(task, remaining_address, to_timespec(left)));
  task.restart = {kernel::RestartKind::kSleep,
                  {static_cast<std::uint64_t>(deadline), remaining_address}};
  return std::unexpected(kernel::kRestartWithState);
}

Value nanosleep(Task& task, const Arguments& arguments) {
  auto given = TRY(load<GuestTime>(task, arguments.u64(0)));
  std::int64_t wait = TRY(to_nanoseconds(given, kNanosecond));
  return sleep_for(task, *deadline_in(task.kernel().monotonic_ns(), wait), arguments.u64(1));
}

// CPU time runs on only while others of the process run: it is looked at from time to time.
Value sleep_on_cpu_clock(Task& task, int clock, std::int64_t until) {
  constexpr std::int64_t kTick = 4'000'000;
  for (;;) {
    std::int64_t left = until - TRY(clock_now(task, clock));
    if (left <= 0) return 0;
    std::int64_t next = task.kernel().monotonic_ns() + std::max(left, kTick);
    if (!sleep_until(task, next)) return std::unexpected(kernel::kRestartIfNoHandler);
  }
}

Value clock_nanosleep(Task& task, const Arguments& arguments) {
  int clock = arguments.i32(0);
  std::int64_t now = TRY(clock_now(task, clock));
  if (clock == CLOCK_THREAD_CPUTIME_ID) return fail(EINVAL);
  if (clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
      clock == CLOCK_MONOTONIC_COARSE)
    return fail(EOPNOTSUPP);
  auto given = TRY(load<GuestTime>(task, arguments.u64(2)));
  std::int64_t time = TRY(to_nanoseconds(given, kNanosecond));
  bool absolute = (arguments.i32(1) & TIMER_ABSTIME) != 0;
  if (clock == CLOCK_PROCESS_CPUTIME_ID || is_cpu_clock_by_id(clock))
    return sleep_on_cpu_clock(task, clock, absolute ? time : now + time);
  if (!absolute)
    return sleep_for(task, *deadline_in(task.kernel().monotonic_ns(), time), arguments.u64(3));
  std::int64_t deadline = *deadline_in(task.kernel().monotonic_ns(), time - now);
  if (sleep_until(task, deadline)) return 0;
  return std::unexpected(kernel::kRestartIfNoHandler);
}

constexpr Entry kEntries[] = {
    {__NR_clock_gettime, "clock_gettime", clock_gettime},
    {__NR_clock_getres, "clock_getres", clock_getres},
    {__NR_clock_settime, "clock_settime", clock_settime, Level::kError, "EPERM"},
    {__NR_clock_nanosleep, "clock_nanosleep", clock_nanosleep},
    {__NR_nanosleep, "nanosleep", nanosleep},
    {__NR_gettimeofday, "gettimeofday", gettimeofday},
    {__NR_settimeofday, "settimeofday", settimeofday, Level::kError, "EPERM"},
    {__NR_adjtimex, "adjtimex", adjtimex, Level::kPartial, "reading only"},
    {__NR_clock_adjtime, "clock_adjtime", clock_adjtime, Level::kPartial, "reading only"},
#if defined(__x86_64__)
    {__NR_time, "time", time_of_day},
#endif
};

}  // namespace

Value go_on_sleeping(Task& task, const kernel::Restart& restart) {
  return sleep_for(task, static_cast<std::int64_t>(restart.values[0]), restart.values[1]);
}

ErrnoOr<std::int64_t> clock_now(Task& task, int clock) {
  switch (clock) {
    case CLOCK_PROCESS_CPUTIME_ID: return kernel::cpu_time_ns(task.group());
    case CLOCK_THREAD_CPUTIME_ID: return kernel::cpu_time_ns(task);
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
    case CLOCK_TAI: {
      timespec now{};
      if (::clock_gettime(clock, &now) != 0) return fail(EINVAL);
      return std::int64_t{now.tv_sec} * kNanosecond + now.tv_nsec;
    }
    default:
      if (is_cpu_clock_by_id(clock)) return cpu_clock_by_id(task, clock);
      return fail(EINVAL);
  }
}

kernel::Deadline deadline_in(std::int64_t now, std::int64_t wait) {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  if (wait <= 0) return now;
  return wait > kNever - now ? kNever : now + wait;
}

std::span<const Entry> time_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
