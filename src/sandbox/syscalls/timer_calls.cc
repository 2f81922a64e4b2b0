// Timers of a process: itimers and POSIX timers.
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/clocks.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::TimerSetting;

struct GuestSetting {  // struct itimerval, itimerspec
  GuestTime interval, value;
};

ErrnoOr<TimerSetting> to_setting(const GuestSetting& given, std::int64_t fractions) {
  TimerSetting setting;
  setting.interval = TRY(to_nanoseconds(given.interval, fractions));
  setting.value = TRY(to_nanoseconds(given.value, fractions));
  return setting;
}

GuestSetting in_microseconds(const TimerSetting& setting) {
  return {to_timeval(setting.interval), to_timeval(setting.value)};
}
GuestSetting in_nanoseconds(const TimerSetting& setting) {
  return {to_timespec(setting.interval), to_timespec(setting.value)};
}

Value getitimer(Task& task, const Arguments& arguments) {
  TimerSetting now = TRY(task.group().timers().itimer(arguments.i32(0)));
  TRY(store(task, arguments.u64(1), in_microseconds(now)));
  return 0;
}

Value setitimer(Task& task, const Arguments& arguments) {
  TimerSetting next;
  if (arguments.u64(1) != 0)
    next = TRY(to_setting(TRY(load<GuestSetting>(task, arguments.u64(1))), kMicrosecond));
  TimerSetting before = TRY(task.group().timers().set_itimer(arguments.i32(0), next));
  TRY(store_if(task, arguments.u64(2), in_microseconds(before)));
  return 0;
}

#if defined(__x86_64__)
Value alarm(Task& task, const Arguments& arguments) {
  TimerSetting next;
  next.value = std::int64_t{arguments.u32(0)} * kNanosecond;
  TimerSetting before = TRY(task.group().timers().set_itimer(ITIMER_REAL, next));
  // Rounded, but never to none.
  std::int64_t seconds = (before.value + kNanosecond / 2) / kNanosecond;
  return before.value != 0 && seconds == 0 ? 1 : seconds;
}
#endif

struct GuestEvent {  // struct sigevent
  std::uint64_t value = 0;
  std::int32_t signal = 0, notify = 0, thread = 0;
  std::array<std::int32_t, 11> rest{};
};
static_assert(sizeof(GuestEvent) == 64);

ErrnoOr<kernel::TimerEvent> timer_event(Task& task, std::uint64_t address) {
  kernel::TimerEvent event;
  event.notify = SIGEV_SIGNAL;
  event.signal = SIGALRM;
  if (address == 0) return event;
  auto given = TRY(load<GuestEvent>(task, address));
  event.notify = given.notify;
  event.signal = given.signal;
  event.value = given.value;
  event.has_value = true;
  if (given.notify != SIGEV_NONE && given.notify != SIGEV_SIGNAL && given.notify != SIGEV_THREAD_ID)
    return fail(EINVAL);
  if (given.notify != SIGEV_NONE && !kernel::is_valid_signal(given.signal)) return fail(EINVAL);
  if (given.notify == SIGEV_THREAD_ID) {
    Locked tree(task.kernel().task_lock());
    Task* target = task.kernel().find_task(*task.group().pid_namespace, given.thread);
    if (target == nullptr || &target->group() != &task.group()) return fail(EINVAL);
    event.thread = given.thread;
  }
  return event;
}

// The C library names the caller's own CPU clocks by ids as well: of process or thread 0.
int own_cpu_clock(const Task& task, int clock) {
  constexpr int kPerThread = 4;
  if (clock >= 0 || (clock & 3) == 3) return clock;
  int id = ~(clock >> 3);
  if ((clock & kPerThread) != 0)
    return id == 0 || id == task.id() ? CLOCK_THREAD_CPUTIME_ID : clock;
  return id == 0 || id == task.group().id() ? CLOCK_PROCESS_CPUTIME_ID : clock;
}

Value timer_create(Task& task, const Arguments& arguments) {
  int clock = own_cpu_clock(task, arguments.i32(0));
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID: break;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE: return fail(EOPNOTSUPP);
    default: return fail(EINVAL);
  }
  kernel::TimerEvent event = TRY(timer_event(task, arguments.u64(1)));
  kernel::GroupTimers& timers = task.group().timers();
  int id = TRY(timers.create(task, clock, event));
  auto stored = store(task, arguments.u64(2), id);
  if (!stored) {
    (void)timers.remove(id);  // it was just made
    return std::unexpected(stored.error());
  }
  return 0;
}

Value timer_settime(Task& task, const Arguments& arguments) {
  if (arguments.u64(2) == 0) return fail(EINVAL);
  auto given = TRY(load<GuestSetting>(task, arguments.u64(2)));
  TimerSetting next = TRY(to_setting(given, kNanosecond));
  bool absolute = (arguments.i32(1) & TIMER_ABSTIME) != 0;
  TimerSetting before = TRY(task.group().timers().set(arguments.i32(0), next, absolute));
  TRY(store_if(task, arguments.u64(3), in_nanoseconds(before)));
  return 0;
}

Value timer_gettime(Task& task, const Arguments& arguments) {
  TimerSetting now = TRY(task.group().timers().get(arguments.i32(0)));
  TRY(store(task, arguments.u64(1), in_nanoseconds(now)));
  return 0;
}

Value timer_getoverrun(Task& task, const Arguments& arguments) {
  return TRY(task.group().timers().overrun(arguments.i32(0)));
}

Value timer_delete(Task& task, const Arguments& arguments) {
  TRY(task.group().timers().remove(arguments.i32(0)));
  return 0;
}

constexpr Entry kEntries[] = {
    {__NR_getitimer, "getitimer", getitimer},
    {__NR_setitimer, "setitimer", setitimer},
#if defined(__x86_64__)
    {__NR_alarm, "alarm", alarm},
#endif
    {__NR_timer_create, "timer_create", timer_create, Level::kPartial,
     "no clocks of other processes"},
    {__NR_timer_settime, "timer_settime", timer_settime},
    {__NR_timer_gettime, "timer_gettime", timer_gettime},
    {__NR_timer_getoverrun, "timer_getoverrun", timer_getoverrun},
    {__NR_timer_delete, "timer_delete", timer_delete},
};

}  // namespace

std::span<const Entry> timer_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
