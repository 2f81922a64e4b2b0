#include "sandbox/kernel/group_timers.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "sandbox/kernel/described.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/timers.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// How finely CPU time is watched: a tick of Linux at 250 Hz.
constexpr std::int64_t kTick = kSecond / 250;

// How many whole intervals lie between the moment it was due and now.
std::int64_t missed(std::int64_t due, std::int64_t now, std::int64_t interval) {
  return interval == 0 || now <= due ? 0 : (now - due) / interval;
}

int clamp_overrun(std::int64_t count) {
  return static_cast<int>(std::min<std::int64_t>(count, std::numeric_limits<int>::max()));
}

}  // namespace

std::int64_t cpu_time_ns(const ThreadGroup& group, bool user_only) {
  Locked locked(group.signal_mutex);
  ResourceUsage usage = group.total_usage();
  return usage.user_ns + (user_only ? 0 : usage.system_ns);
}

std::int64_t cpu_time_ns(const Task& task) {
  ResourceUsage usage = task.usage();
  return usage.user_ns + usage.system_ns;
}

// ITIMER_REAL: SIGALRM.
class GroupTimers::RealTimer final : public Timer {
 public:
  explicit RealTimer(ThreadGroup& group) : Timer(group.kernel.timers()), group_(group) {}
  ~RealTimer() override { disarm(); }

  TimerSetting get() {
    Locked locked(mutex_);
    return current();
  }
  TimerSetting set(const TimerSetting& setting) {
    Locked locked(mutex_);
    TimerSetting before = current();
    interval_ = setting.interval;
    due_ = setting.value == 0 ? 0 : monotonic_ns() + setting.value;
    if (due_ != 0) arm(due_);
    return before;
  }

  struct Saved {
    std::int64_t due = 0, interval = 0;
    template <typename Stream>
    friend void describe(Stream& stream, Saved& saved) {
      stream(saved.due, saved.interval);
    }
  };
  Saved saved() {
    Locked locked(mutex_);
    return {due_, interval_};
  }
  void restore(const Saved& saved) {
    Locked locked(mutex_);
    due_ = saved.due;
    interval_ = saved.interval;
    if (due_ != 0) arm(due_);
  }

 private:
  TimerSetting current() const {
    if (due_ == 0) return {};  // as Linux: the interval of a timer that ran out is told as well
    return {std::max<std::int64_t>(due_ - monotonic_ns(), 1000), interval_};
  }
  void expired() override {
    {
      Locked locked(mutex_);
      std::int64_t now = monotonic_ns();
      if (due_ == 0) return;
      if (now < due_) {
        arm(due_);
        return;
      }
      due_ = interval_ == 0 ? 0 : due_ + (missed(due_, now, interval_) + 1) * interval_;
      if (due_ != 0) arm(due_);
    }
    (void)group_.kernel.signal_group(group_,
                                     SignalInfo::kernel(SIGALRM));  // SIGALRM does not queue
  }

  ThreadGroup& group_;
  Mutex mutex_;
  std::int64_t due_ = 0, interval_ = 0;
};

// ITIMER_VIRTUAL, ITIMER_PROF and RLIMIT_CPU: CPU time is looked at when it could have run up, at
// the earliest.
class GroupTimers::CpuTimer final : public Timer {
 public:
  explicit CpuTimer(ThreadGroup& group) : Timer(group.kernel.timers()), group_(group) {}
  ~CpuTimer() override { disarm(); }

  TimerSetting get(int which) {
    Locked locked(mutex_);
    return current(of(which), which);
  }
  TimerSetting set(int which, const TimerSetting& setting) {
    TimerSetting before;
    {
      Locked locked(mutex_);
      One& one = of(which);
      before = current(one, which);
      one.interval = setting.interval;
      one.due = setting.value == 0 ? 0 : used(which) + setting.value;
    }
    look();
    return before;
  }
  // What is due is signalled; arms itself for what is next.
  void look() {
    std::vector<int> signals;
    std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
    {
      Locked locked(mutex_);
      check(ITIMER_VIRTUAL, SIGVTALRM, signals, nearest);
      check(ITIMER_PROF, SIGPROF, signals, nearest);
    }
    check_limit(signals, nearest);
    for (int signal : signals)
      (void)group_.kernel.signal_group(group_, SignalInfo::kernel(signal));  // they do not queue
    if (nearest != std::numeric_limits<std::int64_t>::max())
      arm(monotonic_ns() + std::max(nearest, kTick));
  }

 private:
  struct One {
    std::int64_t due = 0, interval = 0;  // CPU time
  };

 public:
  struct Saved {
    One virtual_timer, profile;
    std::int64_t warned = 0;
    template <typename Stream>
    friend void describe(Stream& stream, Saved& saved) {
      stream(saved.virtual_timer.due, saved.virtual_timer.interval, saved.profile.due);
      stream(saved.profile.interval, saved.warned);
    }
  };
  Saved saved() {
    Locked locked(mutex_);
    return {virtual_, profile_, warned_};
  }
  // It looks by itself soon: what it would look at may not all be there yet.
  void restore(const Saved& saved) {
    Locked locked(mutex_);
    virtual_ = saved.virtual_timer;
    profile_ = saved.profile;
    warned_ = saved.warned;
    arm(monotonic_ns() + kTick);
  }

 private:
  One& of(int which) { return which == ITIMER_VIRTUAL ? virtual_ : profile_; }
  std::int64_t used(int which) const { return cpu_time_ns(group_, which == ITIMER_VIRTUAL); }
  TimerSetting current(const One& one, int which) const {
    if (one.due == 0) return {};
    return {std::max<std::int64_t>(one.due - used(which), 1000), one.interval};
  }
  void check(int which, int signal, std::vector<int>& signals, std::int64_t& nearest) {
    One& one = of(which);
    if (one.due == 0) return;
    std::int64_t now = used(which);
    if (now >= one.due) {
      signals.push_back(signal);
      one.due =
          one.interval == 0 ? 0 : one.due + (missed(one.due, now, one.interval) + 1) * one.interval;
    }
    if (one.due != 0) nearest = std::min(nearest, per_thread(one.due - now));
  }
  void check_limit(std::vector<int>& signals, std::int64_t& nearest) {
    Limit limit = group_.limit(RLIMIT_CPU);
    constexpr std::uint64_t kUnbounded = ~std::uint64_t{0} / kSecond;
    if (limit.soft > kUnbounded) return;
    std::int64_t now = cpu_time_ns(group_);
    auto hard = static_cast<std::int64_t>(std::min(limit.hard, kUnbounded / 2)) * kSecond;
    if (now >= hard) {
      signals.push_back(SIGKILL);
      return;
    }
    auto soft = static_cast<std::int64_t>(limit.soft) * kSecond;
    std::int64_t next = std::max(soft, warned_);
    if (now >= next) {
      signals.push_back(SIGXCPU);
      warned_ = next = now + kSecond;  // once a second from then on
    }
    nearest = std::min(nearest, per_thread(std::min(next, hard) - now));
  }
  // The time in which all threads together could use so much.
  std::int64_t per_thread(std::int64_t cpu_time) const {
    Locked locked(group_.signal_mutex);
    auto threads = static_cast<std::int64_t>(std::max<std::size_t>(group_.tasks.size(), 1));
    return cpu_time / threads;
  }
  void expired() override { look(); }

  ThreadGroup& group_;
  Mutex mutex_;
  One virtual_, profile_;
  std::int64_t warned_ = 0;
};

// One of timer_create(2).
class GroupTimers::PosixTimer final : public Timer {
 public:
  PosixTimer(ThreadGroup& group, int id, int clock, TimerEvent event, Ref<Task> cpu_of)
      : Timer(group.kernel.timers()),
        group_(group),
        id_(id),
        clock_(clock),
        event_(event),
        cpu_of_(std::move(cpu_of)) {}
  ~PosixTimer() override { disarm(); }

  TimerSetting get() {
    Locked locked(mutex_);
    return current(now());
  }
  TimerSetting set(const TimerSetting& setting, bool absolute) {
    Locked locked(mutex_);
    std::int64_t time = now();
    TimerSetting before = current(time);
    interval_ = setting.interval;
    due_ = setting.value == 0 ? 0 : absolute ? setting.value : time + setting.value;
    overrun_ = delivered_overrun_ = 0;
    if (due_ != 0) arm_for(due_ - time);
    return before;
  }
  int overrun() {
    Locked locked(mutex_);
    return delivered_overrun_;
  }
  int delivered() {
    Locked locked(mutex_);
    delivered_overrun_ = clamp_overrun(overrun_);
    overrun_ = 0;
    return delivered_overrun_;
  }

  void save(state::Writer& to) {
    Locked locked(mutex_);
    to(clock_, event_);
    to.refer(cpu_of_);
    to(due_, interval_, overrun_, delivered_overrun_);
  }
  static Result<std::unique_ptr<PosixTimer>> restore(state::Reader& from, ThreadGroup& group,
                                                     int id) {
    auto clock = from.value<int>();
    auto event = from.value<TimerEvent>();
    auto cpu_of = TRY(from.optional_object<Task>());
    bool valid = event.signal >= 0 && event.signal <= kSignalCount &&
                 (cpu_of || clock != CLOCK_THREAD_CPUTIME_ID);
    if (!valid) return std::unexpected(state::Reader::damaged("a timer cannot be"));
    auto timer = std::make_unique<PosixTimer>(group, id, clock, event, std::move(cpu_of));
    Locked locked(timer->mutex_);
    from(timer->due_, timer->interval_, timer->overrun_, timer->delivered_overrun_);
    if (timer->due_ != 0) timer->arm_for(timer->due_ - timer->now());
    locked.unlock();
    return timer;
  }

 private:
  bool is_cpu_clock() const {
    return clock_ == CLOCK_PROCESS_CPUTIME_ID || clock_ == CLOCK_THREAD_CPUTIME_ID;
  }
  std::int64_t now() const {
    switch (clock_) {
      case CLOCK_REALTIME:
      case CLOCK_REALTIME_ALARM:
      case CLOCK_TAI: return realtime_ns();
      case CLOCK_PROCESS_CPUTIME_ID: return cpu_time_ns(group_);
      case CLOCK_THREAD_CPUTIME_ID: return cpu_time_ns(*cpu_of_);
      case CLOCK_BOOTTIME:
      case CLOCK_BOOTTIME_ALARM: return group_.kernel.boottime_ns();
      default: return monotonic_ns();
    }
  }
  void arm_for(std::int64_t wait) {
    if (is_cpu_clock()) wait = std::max(wait, kTick);
    arm(monotonic_ns() + std::max<std::int64_t>(wait, 0));
  }
  TimerSetting current(std::int64_t time) const {
    if (due_ == 0) return {0, interval_};
    std::int64_t left = due_ - time;
    if (left <= 0 && interval_ != 0) left = interval_ - (-left % interval_);
    // A timer that is just running out is never told as disarmed, unless it does not signal.
    if (left <= 0) left = event_.notify == SIGEV_NONE ? 0 : 1;
    return {left, interval_};
  }
  void expired() override {
    SignalInfo info;
    {
      Locked locked(mutex_);
      std::int64_t time = now();
      if (due_ == 0) return;
      if (time < due_) {
        arm_for(due_ - time);
        return;
      }
      std::int64_t times = missed(due_, time, interval_);
      due_ = interval_ == 0 ? 0 : due_ + (times + 1) * interval_;
      if (due_ != 0) arm_for(due_ - time);
      // While its signal waits to be taken, running out is only counted.
      overrun_ += times;
      if (event_.notify == SIGEV_NONE) return;
      if (is_queued()) {
        ++overrun_;
        return;
      }
      info.signal = event_.signal;
      info.code = SI_TIMER;
      info.timer = id_;
      info.value = event_.has_value ? event_.value : static_cast<std::uint64_t>(id_);
    }
    deliver(info);
  }
  bool is_queued() const {
    Locked locked(group_.signal_mutex);
    if (group_.pending.find_timer(id_) != nullptr) return true;
    return std::ranges::any_of(
        group_.tasks, [this](Task* task) { return task->pending.find_timer(id_) != nullptr; });
  }
  // A full queue counts as an overrun that nobody is told of.
  void deliver(const SignalInfo& info) {
    Kernel& kernel = group_.kernel;
    if (event_.notify != SIGEV_THREAD_ID) {
      (void)kernel.signal_group(group_, info);
      return;
    }
    Locked tree(kernel.task_lock());
    Task* task = kernel.find_task(*group_.pid_namespace, event_.thread);
    if (task != nullptr && &task->group() == &group_) (void)kernel.signal_task(*task, info);
  }

  ThreadGroup& group_;
  const int id_;
  const int clock_;
  const TimerEvent event_;
  const Ref<Task> cpu_of_;
  Mutex mutex_;
  std::int64_t due_ = 0, interval_ = 0;
  std::int64_t overrun_ = 0;
  int delivered_overrun_ = 0;
};

struct GroupTimers::Parts {
  explicit Parts(ThreadGroup& group) : real(group), cpu(group) {}
  RealTimer real;
  CpuTimer cpu;
  std::map<int, std::unique_ptr<PosixTimer>> posix;
  int next_id = 0;
};

GroupTimers::GroupTimers(ThreadGroup& group) : group_(group) {}
GroupTimers::~GroupTimers() = default;

GroupTimers::Parts& GroupTimers::parts() {
  if (!parts_) parts_ = std::make_unique<Parts>(group_);
  return *parts_;
}

ErrnoOr<TimerSetting> GroupTimers::itimer(int which) {
  Locked locked(mutex_);
  if (which < ITIMER_REAL || which > ITIMER_PROF) return std::unexpected(Errno{EINVAL});
  if (!parts_) return TimerSetting{};
  return which == ITIMER_REAL ? parts_->real.get() : parts_->cpu.get(which);
}

ErrnoOr<TimerSetting> GroupTimers::set_itimer(int which, const TimerSetting& setting) {
  Locked locked(mutex_);
  if (which < ITIMER_REAL || which > ITIMER_PROF) return std::unexpected(Errno{EINVAL});
  if (which == ITIMER_REAL) return parts().real.set(setting);
  return parts().cpu.set(which, setting);
}

ErrnoOr<int> GroupTimers::create(Task& caller, int clock, const TimerEvent& event) {
  constexpr std::size_t kMost = 10'000;  // Linux bounds them by RLIMIT_SIGPENDING
  Locked locked(mutex_);
  auto& timers = parts().posix;
  if (timers.size() >= std::min<std::size_t>(kMost, group_.limit(RLIMIT_SIGPENDING).soft))
    return std::unexpected(Errno{EAGAIN});
  int id = parts_->next_id;
  while (timers.contains(id)) id = id == std::numeric_limits<int>::max() ? 0 : id + 1;
  parts_->next_id = id == std::numeric_limits<int>::max() ? 0 : id + 1;
  Ref<Task> cpu_of = clock == CLOCK_THREAD_CPUTIME_ID ? Ref<Task>::share(&caller) : nullptr;
  timers[id] = std::make_unique<PosixTimer>(group_, id, clock, event, std::move(cpu_of));
  return id;
}

GroupTimers::PosixTimer* GroupTimers::find(int id) {
  if (!parts_) return nullptr;
  auto found = parts_->posix.find(id);
  return found == parts_->posix.end() ? nullptr : found->second.get();
}

ErrnoOr<TimerSetting> GroupTimers::get(int id) {
  Locked locked(mutex_);
  PosixTimer* timer = find(id);
  if (timer == nullptr) return std::unexpected(Errno{EINVAL});
  return timer->get();
}

ErrnoOr<TimerSetting> GroupTimers::set(int id, const TimerSetting& setting, bool absolute) {
  Locked locked(mutex_);
  PosixTimer* timer = find(id);
  if (timer == nullptr) return std::unexpected(Errno{EINVAL});
  return timer->set(setting, absolute);
}

ErrnoOr<int> GroupTimers::overrun(int id) {
  Locked locked(mutex_);
  PosixTimer* timer = find(id);
  if (timer == nullptr) return std::unexpected(Errno{EINVAL});
  return timer->overrun();
}

int GroupTimers::delivered(int id) {
  Locked locked(mutex_);
  PosixTimer* timer = find(id);
  return timer == nullptr ? 0 : timer->delivered();
}

ErrnoOr<> GroupTimers::remove(int id) {
  std::unique_ptr<PosixTimer> removed;  // its end waits for expired()
  Locked locked(mutex_);
  if (find(id) == nullptr) return std::unexpected(Errno{EINVAL});
  auto found = parts_->posix.find(id);
  removed = std::move(found->second);
  parts_->posix.erase(found);
  locked.unlock();
  return {};
}

void GroupTimers::limit_changed() {
  Locked locked(mutex_);
  parts().cpu.look();
}

void GroupTimers::after_execute() {
  std::map<int, std::unique_ptr<PosixTimer>> removed;
  Locked locked(mutex_);
  if (parts_) removed.swap(parts_->posix);
  locked.unlock();
}

void GroupTimers::remove_all() {
  std::unique_ptr<Parts> removed;
  Locked locked(mutex_);
  removed = std::move(parts_);
  locked.unlock();
}

// --- checkpoints

Result<> GroupTimers::save(state::Writer& to) {
  Locked locked(mutex_);
  to(parts_ != nullptr);
  if (!parts_) return {};
  to(parts_->real.saved(), parts_->cpu.saved(), parts_->next_id, parts_->posix.size());
  for (const auto& [id, timer] : parts_->posix) {
    to(id);
    timer->save(to);
  }
  return {};
}

Result<> GroupTimers::restore(state::Reader& from) {
  if (!from.value<bool>()) return {};
  Locked locked(mutex_);
  parts().real.restore(from.value<RealTimer::Saved>());
  parts().cpu.restore(from.value<CpuTimer::Saved>());
  from(parts_->next_id);
  for (std::size_t left = from.count(); left != 0; --left) {
    auto id = from.value<int>();
    parts_->posix[id] = TRY(PosixTimer::restore(from, group_, id));
  }
  return {};
}

}  // namespace caisson::sandbox::kernel
