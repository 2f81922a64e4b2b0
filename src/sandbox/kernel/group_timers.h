// The timers that belong to a process: itimers (getitimer(2)), POSIX timers (timer_create(2)) and
// the watch over RLIMIT_CPU.
#pragma once

#include <sys/time.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/tag.h"

namespace caisson::sandbox::kernel {

class Task;
class ThreadGroup;

// Nanoseconds: when it is due next (from now, or 0 for disarmed) and how often then.
struct TimerSetting {
  std::int64_t value = 0, interval = 0;
};

struct TimerEvent {  // struct sigevent, as far as the kernel knows it
  int notify = 0;    // SIGEV_SIGNAL SIGEV_NONE SIGEV_THREAD_ID
  int signal = 0;
  std::uint64_t value = 0;
  bool has_value = false;  // else the timer's own id
  int thread = 0;          // for SIGEV_THREAD_ID
};

class GroupTimers {
 public:
  explicit GroupTimers(ThreadGroup& group);
  GroupTimers(const GroupTimers&) = delete;
  GroupTimers& operator=(const GroupTimers&) = delete;
  ~GroupTimers();

  // ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. EINVAL.
  ErrnoOr<TimerSetting> itimer(int which);
  ErrnoOr<TimerSetting> set_itimer(int which, const TimerSetting& setting);

  // POSIX timers. EINVAL: no such timer, clock or event; EAGAIN: too many.
  ErrnoOr<int> create(Task& caller, int clock, const TimerEvent& event);
  ErrnoOr<TimerSetting> get(int id);
  ErrnoOr<TimerSetting> set(int id, const TimerSetting& setting, bool absolute);
  ErrnoOr<int> overrun(int id);
  ErrnoOr<> remove(int id);
  // A timer's signal was taken out of its queue: its overruns count from now on. Returns how many
  // there were meanwhile. Under no lock.
  int delivered(int id);

  // After a change of RLIMIT_CPU.
  void limit_changed();
  // POSIX timers end with execve(2), itimers go on; at the process's end all go.
  void after_execute();
  void remove_all();

  // For checkpoints; restoring arms them.
  Result<> save(state::Writer& to);
  Result<> restore(state::Reader& from);

 private:
  class CpuTimer;
  class PosixTimer;
  class RealTimer;
  struct Parts;
  ThreadGroup& group_;
  Mutex mutex_;                   // no other lock of the kernel is held when it is taken
  std::unique_ptr<Parts> parts_;  // made when first needed: most processes have no timers
  Parts& parts();
  PosixTimer* find(int id);
};

// Nanoseconds of a CPU clock: of the group, or of one task of it.
std::int64_t cpu_time_ns(const ThreadGroup& group, bool user_only = false);
std::int64_t cpu_time_ns(const Task& task);

}  // namespace caisson::sandbox::kernel
