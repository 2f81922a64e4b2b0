#include "sandbox/kernel/kernel.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "sandbox/kernel/futex.h"
#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/stop_gate.h"
#include "sandbox/kernel/timers.h"

namespace caisson::sandbox::kernel {

Container::Container(std::string its_id, Ref<PidNamespace> its_pids)
    : id(std::move(its_id)), pids(std::move(its_pids)) {}

std::uint64_t ToldLimits::memory_of(std::uint64_t all) const {
  std::uint64_t limit = memory_bytes;
  return limit == 0 ? all : std::min(all, limit);
}

unsigned ToldLimits::processors_of(unsigned all) const {
  unsigned count = all;
  if (unsigned set = processors; set != 0) count = std::min(count, set);
  std::uint64_t quota = cpu_quota_us, period = cpu_period_us;
  if (quota != 0 && period != 0 && quota / period < count)
    count = std::min(count, static_cast<unsigned>((quota + period - 1) / period));
  return std::max(1U, count);
}

namespace {

// The host's, until boot says otherwise.
Machine machine_of_host() {
  Machine machine;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) CPU_SET(0, &set);
  constexpr std::size_t kBits = 64;
  std::size_t count = 1;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) count = cpu / kBits + 1;
  machine.processors.assign(count, 0);
  for (std::size_t cpu = 0; cpu < count * kBits; ++cpu)
    if (CPU_ISSET(cpu, &set)) machine.processors[cpu / kBits] |= std::uint64_t{1} << (cpu % kBits);
  struct sysinfo facts{};
  if (::sysinfo(&facts) == 0) machine.memory_bytes = facts.totalram * facts.mem_unit;
  return machine;
}

}  // namespace

Kernel::Kernel(std::unique_ptr<platform::Platform> platform, SyscallFunction syscall)
    : platform_(std::move(platform)),
      syscall_(syscall),
      machine_(machine_of_host()),
      futexes_(std::make_unique<FutexTable>()),
      timers_(std::make_unique<TimerQueue>()),
      gate_(std::make_unique<StopGate>()) {}

// Ends what still runs: guests, then their threads, which all go through end_task().
Kernel::~Kernel() {
  for (const Ref<Container>& container : containers()) kill_container(*container);
  std::unique_lock lock(threads_mutex_);
  no_threads_.wait(lock, [this] { return threads_ == 0; });
}

void Kernel::thread_begins() {
  std::unique_lock lock(threads_mutex_);
  ++threads_;
}

void Kernel::thread_ended() {
  std::unique_lock lock(threads_mutex_);
  if (--threads_ == 0) no_threads_.notify_all();
}

void Kernel::add_container(Ref<Container> container) {
  Locked locked(task_lock_);
  containers_.push_back(std::move(container));
}

std::vector<Ref<Container>> Kernel::containers() const {
  Locked locked(task_lock_);
  return containers_;
}

void Kernel::remove_container(Container& container) {
  Ref<Container> removed;
  Ref<ThreadGroup> init;
  Locked locked(task_lock_);
  auto found =
      std::ranges::find_if(containers_, [&](const auto& each) { return each.get() == &container; });
  if (found == containers_.end()) return;
  removed = std::move(*found);
  containers_.erase(found);
  init = std::exchange(container.init, nullptr);  // it keeps the container
}

void Kernel::kill_container(Container& container) {
  Locked locked(task_lock_);
  for (ThreadGroup* group : all_groups(*container.pids)) {
    if (&group->container != &container || group->zombie) continue;
    Locked signals(group->signal_mutex);
    begin_group_exit(*group, SIGKILL);
  }
}

void Kernel::exit_task(Task& caller, int status) {
  caller.exit_code_ = status;
  caller.exiting_ = true;
}

void Kernel::exit_group(Task& caller, int status) {
  ThreadGroup& group = caller.group();
  Locked locked(group.signal_mutex);
  begin_group_exit(group, status);
}

SignalInfo Kernel::take_signal(Task& task, SignalSet wanted) {
  SignalInfo info;
  {
    Locked locked(task.group().signal_mutex);
    info = task.pending.take(~wanted);
    if (info.signal == 0) info = task.group().pending.take(~wanted);
  }
  if (info.signal != 0) signal_taken(task, info);
  return info;
}

void Kernel::signal_taken(Task& task, SignalInfo& info) {
  if (info.code == SI_TIMER) info.overrun = task.group().timers().delivered(info.timer);
}

void Kernel::close_gate() {
  gate_->close();
  Locked locked(task_lock_);
  for (const Ref<Container>& container : containers_)
    for (const auto& [id, task] : container->pids->tasks) task->interrupt();
}

void Kernel::stop_all() {
  close_gate();
  gate_->wait_until_empty();
  timers_->hold();
}

bool Kernel::try_stop_all(std::chrono::milliseconds timeout) {
  close_gate();
  bool all = gate_->wait_until_empty(timeout);
  if (all) {
    timers_->hold();
  } else {
    gate_->open();
  }
  return all;
}

void Kernel::resume_all() {
  timers_->release();
  gate_->open();
}

std::int64_t Kernel::monotonic_ns() const { return caisson::monotonic_ns(); }
std::int64_t Kernel::realtime_ns() const { return caisson::realtime_ns(); }

std::int64_t Kernel::boottime_ns() const {
  timespec now{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Kernel::count_missing_call(std::uint64_t number) {
  // The guest chooses the number: what no table could ever have is counted as one.
  constexpr std::uint64_t kLargest = 1023;
  Locked locked(count_mutex_);
  ++missing_calls_[std::min(number, kLargest + 1)];
}

std::map<std::uint64_t, std::uint64_t> Kernel::missing_calls() const {
  Locked locked(count_mutex_);
  return missing_calls_;
}

}  // namespace caisson::sandbox::kernel
