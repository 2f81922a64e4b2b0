// Limits, usage, priorities and scheduling.
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <bit>

#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/barrier_calls.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/syscalls/usage.h"

namespace caisson::sandbox::syscalls {

GuestUsage guest_usage(const kernel::ResourceUsage& usage) {
  GuestUsage guest;
  guest.user = to_timeval(usage.user_ns);
  guest.system = to_timeval(usage.system_ns);
  guest.max_resident = static_cast<std::int64_t>(usage.max_resident / 1024);
  guest.minor_faults = static_cast<std::int64_t>(usage.minor_faults);
  guest.major_faults = static_cast<std::int64_t>(usage.major_faults);
  guest.voluntary_switches = static_cast<std::int64_t>(usage.voluntary_switches);
  guest.involuntary_switches = static_cast<std::int64_t>(usage.involuntary_switches);
  return guest;
}

namespace {

using kernel::Limit;
using kernel::ThreadGroup;

Task* task_of(Task& task, int id) {
  return id == 0 ? &task : task.kernel().find_task(*task.group().pid_namespace, id);
}

// --- limits

bool may_set_limits(const Task& task, const Task& other) {
  const vfs::Credentials& own = task.credentials();
  if (own.has(CAP_SYS_RESOURCE)) return true;
  Ref<vfs::Credentials> its = other.credentials_ref();
  return own.uid == its->uid && own.uid == its->euid && own.uid == its->suid &&
         own.gid == its->gid && own.gid == its->egid && own.gid == its->sgid;
}

ErrnoOr<Limit> exchange_limit(Task& task, ThreadGroup& group, int resource, Limit* next) {
  if (resource < 0 || resource >= kernel::kLimitCount) return fail(EINVAL);
  Limit before = group.limit(resource);
  if (next == nullptr) return before;
  constexpr std::uint64_t kMostFiles = 1 << 20;  // fs.nr_open
  if (next->soft > next->hard) return fail(EINVAL);
  if (resource == RLIMIT_NOFILE && next->hard > kMostFiles) return fail(EPERM);
  if (next->hard > before.hard && !task.credentials().has(CAP_SYS_RESOURCE)) return fail(EPERM);
  if (resource == RLIMIT_CPU && next->soft == 0) next->soft = 1;  // as Linux: 0 would be no limit
  {
    Locked locked(group.signal_mutex);
    group.limits[static_cast<std::size_t>(resource)] = *next;
  }
  if (resource == RLIMIT_CPU) group.timers().limit_changed();
  return before;
}

Value prlimit64(Task& task, const Arguments& arguments) {
  Limit next;
  if (arguments.u64(2) != 0) next = TRY(load<Limit>(task, arguments.u64(2)));
  Ref<ThreadGroup> group;
  {
    Locked tree(task.kernel().task_lock());
    Task* other = task_of(task, arguments.i32(0));
    if (other == nullptr) return fail(ESRCH);
    if (&other->group() != &task.group() && !may_set_limits(task, *other)) return fail(EPERM);
    group = Ref<ThreadGroup>::share(&other->group());
  }
  Limit before =
      TRY(exchange_limit(task, *group, arguments.i32(1), arguments.u64(2) != 0 ? &next : nullptr));
  TRY(store_if(task, arguments.u64(3), before));
  return 0;
}

Value getrlimit(Task& task, const Arguments& arguments) {
  Limit now = TRY(exchange_limit(task, task.group(), arguments.i32(0), nullptr));
  TRY(store(task, arguments.u64(1), now));
  return 0;
}

Value setrlimit(Task& task, const Arguments& arguments) {
  Limit next = TRY(load<Limit>(task, arguments.u64(1)));
  TRY(exchange_limit(task, task.group(), arguments.i32(0), &next));
  return 0;
}

// --- usage

Value getrusage(Task& task, const Arguments& arguments) {
  kernel::ResourceUsage usage;
  switch (arguments.i32(0)) {
    case RUSAGE_SELF: {
      Locked tree(task.kernel().task_lock());
      usage = task.group().total_usage();
      break;
    }
    case RUSAGE_CHILDREN: {
      Locked tree(task.kernel().task_lock());
      usage = task.group().children_usage;
      break;
    }
    case RUSAGE_THREAD: usage = task.usage(); break;
    default: return fail(EINVAL);
  }
  if (arguments.i32(0) != RUSAGE_CHILDREN)
    usage.max_resident = std::max(usage.max_resident, task.memory().usage().peak_resident);
  TRY(store(task, arguments.u64(1), guest_usage(usage)));
  return 0;
}

Value times(Task& task, const Arguments& arguments) {
  constexpr std::int64_t kTick = kNanosecond / 100;  // USER_HZ
  std::array<std::int64_t, 4> ticks{};
  {
    Locked tree(task.kernel().task_lock());
    kernel::ResourceUsage own = task.group().total_usage();
    const kernel::ResourceUsage& children = task.group().children_usage;
    ticks = {own.user_ns / kTick, own.system_ns / kTick, children.user_ns / kTick,
             children.system_ns / kTick};
  }
  TRY(store_if(task, arguments.u64(0), ticks));
  return task.kernel().monotonic_ns() / kTick;
}

// --- priorities

// Calls `each` for the tasks that getpriority(2) and ioprio_get(2) mean. Under the task lock.
template <typename Each>
ErrnoOr<> for_targets(Task& task, int kind, int id, Each each) {
  const kernel::PidNamespace& ns = *task.group().pid_namespace;
  bool any = false;
  auto visit = [&](Task& found) {
    any = true;
    each(found);
  };
  if (kind == PRIO_PROCESS) {
    if (Task* found = task_of(task, id)) visit(*found);
  } else if (kind == PRIO_PGRP) {
    kernel::ProcessGroup* group =
        id == 0 ? task.group().process_group.get() : task.kernel().find_process_group(ns, id);
    if (group != nullptr)
      for (ThreadGroup* member : group->members)
        for (Task* found : member->tasks) visit(*found);
  } else if (kind == PRIO_USER) {
    std::uint32_t uid = id == 0 ? task.credentials().uid : static_cast<std::uint32_t>(id);
    for (const auto& [number, found] : ns.tasks)
      if (found->credentials_ref()->uid == uid) visit(*found);
  } else {
    return fail(EINVAL);
  }
  if (!any) return fail(ESRCH);
  return {};
}

Value getpriority(Task& task, const Arguments& arguments) {
  Locked tree(task.kernel().task_lock());
  int highest = 0;
  TRY(for_targets(task, arguments.i32(0), arguments.i32(1),
                  [&](Task& found) { highest = std::max(highest, 20 - found.nice); }));
  return highest;
}

Value setpriority(Task& task, const Arguments& arguments) {
  int nice = std::clamp(arguments.i32(2), -20, 19);
  const vfs::Credentials& own = task.credentials();
  auto floor = static_cast<int>(std::min<std::uint64_t>(task.group().limit(RLIMIT_NICE).soft, 40));
  Locked tree(task.kernel().task_lock());
  int error = 0;
  TRY(for_targets(task, arguments.i32(0), arguments.i32(1), [&](Task& found) {
    Ref<vfs::Credentials> its = found.credentials_ref();
    if (own.euid != its->uid && own.euid != its->euid && !own.has(CAP_SYS_NICE))
      error = EPERM;
    else if (nice < found.nice && nice < 20 - floor && !own.has(CAP_SYS_NICE))
      error = EACCES;
    else
      found.nice = nice;
  }));
  if (error != 0) return fail(error);
  return 0;
}

constexpr int kIoProcess = 1, kIoGroup = 2, kIoUser = 3;  // IOPRIO_WHO_*

int priority_kind(int who) {
  return who == kIoProcess ? PRIO_PROCESS
         : who == kIoGroup ? PRIO_PGRP
         : who == kIoUser  ? PRIO_USER
                           : -1;
}

Value ioprio_get(Task& task, const Arguments& arguments) {
  Locked tree(task.kernel().task_lock());
  int found_priority = 0;
  TRY(for_targets(task, priority_kind(arguments.i32(0)), arguments.i32(1),
                  [&](Task& found) { found_priority = found.io_priority; }));
  return found_priority;
}

Value ioprio_set(Task& task, const Arguments& arguments) {
  int value = arguments.i32(2);
  int io_class = value >> 13;
  int level = value & 7;
  if (io_class < 0 || io_class > 3 || (io_class == 0 && level != 0)) return fail(EINVAL);
  const vfs::Credentials& own = task.credentials();
  if (io_class == 1 && !own.has(CAP_SYS_ADMIN) && !own.has(CAP_SYS_NICE)) return fail(EPERM);
  Locked tree(task.kernel().task_lock());
  TRY(for_targets(task, priority_kind(arguments.i32(0)), arguments.i32(1),
                  [&](Task& found) { found.io_priority = value; }));
  return 0;
}

// --- scheduling: kept and told, not carried out

Value sched_yield(Task&, const Arguments&) {
  (void)::sched_yield();
  return 0;
}

// The task of an argument, which the caller may or may not change. Under the task lock.
ErrnoOr<Task*> scheduled(Task& task, int id, bool changes) {
  if (id < 0) return fail(EINVAL);
  Task* found = task_of(task, id);
  if (found == nullptr) return fail(ESRCH);
  if (!changes) return found;
  const vfs::Credentials& own = task.credentials();
  Ref<vfs::Credentials> its = found->credentials_ref();
  if (own.euid != its->uid && own.euid != its->euid && !own.has(CAP_SYS_NICE)) return fail(EPERM);
  return found;
}

bool is_real_time(int policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
bool is_known(int policy) {
  return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE ||
         is_real_time(policy);
}

Value set_scheduler(Task& task, int id, int policy, int priority) {
  int without_flag = policy & ~SCHED_RESET_ON_FORK;
  auto most = task.group().limit(RLIMIT_RTPRIO).soft;
  Locked tree(task.kernel().task_lock());
  TRY(scheduled(task, id, false));
  if (!is_known(without_flag)) return fail(EINVAL);
  if (is_real_time(without_flag) ? priority < 1 || priority > 99 : priority != 0)
    return fail(EINVAL);
  Task* found = TRY(scheduled(task, id, true));
  if (is_real_time(without_flag) && !task.credentials().has(CAP_SYS_NICE) &&
      static_cast<std::uint64_t>(priority) > most)
    return fail(EPERM);
  found->scheduler_policy = policy;
  found->scheduler_priority = priority;
  return 0;
}

Value sched_setscheduler(Task& task, const Arguments& arguments) {
  if (arguments.i32(1) < 0 || arguments.u64(2) == 0) return fail(EINVAL);
  auto priority = TRY(load<int>(task, arguments.u64(2)));
  return set_scheduler(task, arguments.i32(0), arguments.i32(1), priority);
}

Value sched_setparam(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) == 0) return fail(EINVAL);
  auto priority = TRY(load<int>(task, arguments.u64(1)));
  int policy = 0;
  {
    Locked tree(task.kernel().task_lock());
    policy = TRY(scheduled(task, arguments.i32(0), false))->scheduler_policy;
  }
  return set_scheduler(task, arguments.i32(0), policy, priority);
}

Value sched_getscheduler(Task& task, const Arguments& arguments) {
  Locked tree(task.kernel().task_lock());
  return TRY(scheduled(task, arguments.i32(0), false))->scheduler_policy;
}

Value sched_getparam(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) == 0) return fail(EINVAL);
  int priority = 0;
  {
    Locked tree(task.kernel().task_lock());
    priority = TRY(scheduled(task, arguments.i32(0), false))->scheduler_priority;
  }
  TRY(store(task, arguments.u64(1), priority));
  return 0;
}

Value sched_get_priority_max(Task&, const Arguments& arguments) {
  if (!is_known(arguments.i32(0))) return fail(EINVAL);
  return is_real_time(arguments.i32(0)) ? 99 : 0;
}

Value sched_get_priority_min(Task&, const Arguments& arguments) {
  if (!is_known(arguments.i32(0))) return fail(EINVAL);
  return is_real_time(arguments.i32(0)) ? 1 : 0;
}

Value sched_rr_get_interval(Task& task, const Arguments& arguments) {
  int policy = 0;
  {
    Locked tree(task.kernel().task_lock());
    policy = TRY(scheduled(task, arguments.i32(0), false))->scheduler_policy;
  }
  std::int64_t interval = policy == SCHED_FIFO ? 0 : policy == SCHED_RR ? 100'000'000 : 4'000'000;
  TRY(store(task, arguments.u64(1), to_timespec(interval)));
  return 0;
}

struct SchedulerAttributes {  // struct sched_attr, first version
  std::uint32_t size = sizeof(SchedulerAttributes), policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

Value sched_getattr(Task& task, const Arguments& arguments) {
  if (arguments.u32(2) < sizeof(SchedulerAttributes) || arguments.u32(2) > mm::kPageSize ||
      arguments.u32(3) != 0 || arguments.u64(1) == 0)
    return fail(EINVAL);
  SchedulerAttributes told;
  {
    Locked tree(task.kernel().task_lock());
    const Task& found = *TRY(scheduled(task, arguments.i32(0), false));
    told.policy = static_cast<std::uint32_t>(found.scheduler_policy & ~SCHED_RESET_ON_FORK);
    told.flags = (found.scheduler_policy & SCHED_RESET_ON_FORK) != 0 ? 1 : 0;
    told.nice = is_real_time(found.scheduler_policy) ? 0 : found.nice;
    told.priority = static_cast<std::uint32_t>(found.scheduler_priority);
  }
  TRY(store(task, arguments.u64(1), told));
  return 0;
}

Value sched_setattr(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) == 0 || arguments.u32(2) != 0) return fail(EINVAL);
  auto wanted = TRY(load<SchedulerAttributes>(task, arguments.u64(1)));
  if (wanted.size < sizeof(SchedulerAttributes)) return fail(E2BIG);
  int policy =
      static_cast<int>(wanted.policy) | ((wanted.flags & 1) != 0 ? SCHED_RESET_ON_FORK : 0);
  TRY(set_scheduler(task, arguments.i32(0), policy, static_cast<int>(wanted.priority)));
  Locked tree(task.kernel().task_lock());
  TRY(scheduled(task, arguments.i32(0), true))->nice = std::clamp(wanted.nice, -20, 19);
  return 0;
}

// --- processors

// The first of those that this machine has, as many as the container may use.
std::vector<std::uint64_t> processors_of(const Task& task) {
  std::vector<std::uint64_t> mask = task.kernel().machine().processors;
  unsigned all = 0;
  for (std::uint64_t word : mask) all += static_cast<unsigned>(std::popcount(word));
  unsigned left = task.group().container.limits->processors_of(all);
  for (std::uint64_t& word : mask) {
    for (std::uint64_t rest = word; rest != 0; rest &= rest - 1) {
      if (left == 0)
        word &= ~(rest & -rest);
      else
        --left;
    }
  }
  return mask;
}

Value sched_getaffinity(Task& task, const Arguments& arguments) {
  std::uint32_t size = arguments.u32(1);
  std::vector<std::uint64_t> mask = processors_of(task);
  std::size_t bytes = mask.size() * sizeof(std::uint64_t);
  if (size < bytes || size % sizeof(std::uint64_t) != 0) return fail(EINVAL);
  {
    Locked tree(task.kernel().task_lock());
    const Task& found = *TRY(scheduled(task, arguments.i32(0), false));
    if (!found.affinity.empty()) mask = found.affinity;
  }
  TRY(arguments.pointer<std::uint64_t>(2).store(task.memory(),
                                                std::span<const std::uint64_t>(mask)));
  return static_cast<std::int64_t>(bytes);
}

Value sched_setaffinity(Task& task, const Arguments& arguments) {
  const std::vector<std::uint64_t> allowed = processors_of(task);
  std::vector<std::uint64_t> mask(allowed.size());
  std::size_t size = std::min<std::size_t>(arguments.u32(1), mask.size() * sizeof(std::uint64_t));
  auto bytes = std::as_writable_bytes(std::span(mask)).first(size);
  std::size_t read = TRY(task.memory().read(arguments.u64(2), bytes));
  if (read != size) return fail(EFAULT);
  bool any = false;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    mask[i] &= allowed[i];
    any = any || mask[i] != 0;
  }
  Locked tree(task.kernel().task_lock());
  Task* found = TRY(scheduled(task, arguments.i32(0), true));
  if (!any) return fail(EINVAL);
  found->affinity = std::move(mask);
  return 0;
}

Value getcpu(Task& task, const Arguments& arguments) {
  // One that the task may run on, as far as it asked.
  auto now = static_cast<std::uint32_t>(std::max(::sched_getcpu(), 0));
  TRY(store_if(task, arguments.u64(0), now));
  TRY(store_if(task, arguments.u64(1), std::uint32_t{0}));
  return 0;
}

// The order that a guest asks for holds once each of its threads was stopped or entered the kernel;
// here the host's kernel gives it for all threads of the sandbox's kernel, not for guests.

constexpr Entry kEntries[] = {
    {__NR_prlimit64, "prlimit64", prlimit64, Level::kPartial,
     "LOCKS, MSGQUEUE, NICE, RSS, RTTIME are kept and not enforced"},
#if defined(__x86_64__)
    {__NR_getrlimit, "getrlimit", getrlimit},
    {__NR_setrlimit, "setrlimit", setrlimit, Level::kPartial, "as prlimit64"},
#endif
    {__NR_getrusage, "getrusage", getrusage, Level::kPartial,
     "times are of the clock on the wall while the task ran"},
    {__NR_times, "times", times, Level::kPartial, "as getrusage"},
    {__NR_getpriority, "getpriority", getpriority},
    {__NR_setpriority, "setpriority", setpriority, Level::kPartial, "kept, without an effect"},
    {__NR_ioprio_get, "ioprio_get", ioprio_get},
    {__NR_ioprio_set, "ioprio_set", ioprio_set, Level::kPartial, "kept, without an effect"},
    {__NR_sched_yield, "sched_yield", sched_yield},
    {__NR_sched_setscheduler, "sched_setscheduler", sched_setscheduler, Level::kPartial,
     "kept, without an effect"},
    {__NR_sched_setparam, "sched_setparam", sched_setparam, Level::kPartial,
     "kept, without an effect"},
    {__NR_sched_getscheduler, "sched_getscheduler", sched_getscheduler},
    {__NR_sched_getparam, "sched_getparam", sched_getparam},
    {__NR_sched_get_priority_max, "sched_get_priority_max", sched_get_priority_max},
    {__NR_sched_get_priority_min, "sched_get_priority_min", sched_get_priority_min},
    {__NR_sched_rr_get_interval, "sched_rr_get_interval", sched_rr_get_interval},
    {__NR_sched_getattr, "sched_getattr", sched_getattr},
    {__NR_sched_setattr, "sched_setattr", sched_setattr, Level::kPartial,
     "kept, without an effect; no SCHED_DEADLINE"},
    {__NR_sched_getaffinity, "sched_getaffinity", sched_getaffinity},
    {__NR_sched_setaffinity, "sched_setaffinity", sched_setaffinity, Level::kPartial,
     "kept, without an effect"},
    {__NR_getcpu, "getcpu", getcpu},
    {__NR_membarrier, "membarrier", call_membarrier, Level::kPartial,
     "without the commands for instructions and for rseq"},
};

}  // namespace

std::span<const Entry> limit_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
