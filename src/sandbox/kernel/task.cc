#include "sandbox/kernel/task.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/clock.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/semaphores.h"
#include "sandbox/kernel/syscall_filter.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::kernel {

Task::Task(Kernel& kernel, Ref<ThreadGroup> group) : kernel_(kernel), group_(std::move(group)) {}

Task::~Task() = default;

int Task::id_in(const PidNamespace& ns) const { return ns.pick(ids, *group_->pid_namespace); }

// Each part is written by the owner only, so the owner's getters need no lock; the swap keeps the
// old part's end, which may be long, outside of it.
#define CAISSON_TASK_PART(setter, getter, part, type) \
  void Task::setter(Ref<type> value) {                \
    Locked locked(mutex_);                            \
    std::swap(part, value);                           \
    locked.unlock();                                  \
  }                                                   \
  Ref<type> Task::getter() const {                    \
    Locked locked(mutex_);                            \
    return part;                                      \
  }

CAISSON_TASK_PART(set_credentials, credentials_ref, credentials_, vfs::Credentials)
CAISSON_TASK_PART(set_fs, fs_ref, fs_, FsContext)
CAISSON_TASK_PART(set_filter, filter_ref, filter_, SyscallFilter)
CAISSON_TASK_PART(set_mounts, mounts_ref, mounts_, vfs::MountNamespace)
CAISSON_TASK_PART(set_memory, memory_ref, memory_, mm::MemoryMap)
CAISSON_TASK_PART(set_uts, uts_ref, uts_, UtsNamespace)
#undef CAISSON_TASK_PART

void Task::set_files(Ref<FdTable> files) {
  if (files) files->add_user();
  // While it still is ours: it owns the locks that end with it.
  if (Ref<FdTable> old = files_ref()) old->drop_user(this);
  Locked locked(mutex_);
  std::swap(files_, files);
}

Ref<FdTable> Task::files_ref() const {
  Locked locked(mutex_);
  return files_;
}

std::string Task::name() const {
  Locked locked(mutex_);
  return name_;
}

void Task::set_name(std::string_view name) {
  Locked locked(mutex_);
  name_ = name.substr(0, 15);
}

ErrnoOr<vfs::WalkContext> Task::walk_context(int dirfd) {
  vfs::WalkContext context;
  context.mounts = mounts_.get();
  context.root = fs_->root();
  context.caller = this;
  context.credentials = credentials_.get();
  if (dirfd == AT_FDCWD) {
    context.base = fs_->cwd();
    return context;
  }
  Ref<vfs::File> directory = TRY(file(dirfd));
  context.base = directory->path();
  return context;
}

ErrnoOr<int> Task::add_file(Ref<vfs::File> file, bool close_on_exec) {
  return files_->add(std::move(file), close_on_exec, group_->limit(RLIMIT_NOFILE).soft);
}

mm::MemoryLimits Task::memory_limits() const {
  Locked locked(group_->signal_mutex);
  const auto& limits = group_->limits;
  mm::MemoryLimits found;
  found.address_space = limits[RLIMIT_AS].soft;
  found.data = limits[RLIMIT_DATA].soft;
  found.stack = limits[RLIMIT_STACK].soft;
  found.locked = credentials_->has(CAP_IPC_LOCK) ? ~std::uint64_t{0} : limits[RLIMIT_MEMLOCK].soft;
  return found;
}

void Task::set_blocked(SignalSet blocked_now) {
  Locked locked(group_->signal_mutex);
  blocked = blocked_now & ~kUnblockable;
  // What this one blocks now, another may take.
  if (group_->pending.set() != 0)
    for (Task* other : group_->tasks) Kernel::recheck(*other);
  else
    Kernel::recheck(*this);
}

void Task::set_temporary_mask(SignalSet mask) {
  saved_mask = blocked;
  set_blocked(mask);
}

bool Task::calls_are_watched() const {
  return seccomp_mode.load(std::memory_order_relaxed) != 0 ||
         is_traced.load(std::memory_order_relaxed);
}

Ref<Tracing> Task::tracing_ref() const {
  if (!is_traced.load(std::memory_order_acquire)) return nullptr;
  Locked locked(group_->signal_mutex);
  return tracing;
}

void Task::refresh_identity() {
  identity_stale_.store(true, std::memory_order_release);
  interrupt();
}

void Task::add_system_time(std::int64_t now_ns) {
  std::int64_t since = kernel_since_.load(std::memory_order_relaxed);
  if (since != 0)
    system_ns_.store(system_ns_.load(std::memory_order_relaxed) + now_ns - since,
                     std::memory_order_relaxed);
  kernel_since_.store(0, std::memory_order_relaxed);
}

void Task::restart_system_time(std::int64_t now_ns) {
  kernel_since_.store(now_ns, std::memory_order_relaxed);
  switches_.store(switches_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

ResourceUsage Task::usage() const {
  ResourceUsage so_far;
  so_far.user_ns = user_ns_.load(std::memory_order_relaxed);
  so_far.system_ns = system_ns_.load(std::memory_order_relaxed);
  std::int64_t now = monotonic_ns();
  if (std::int64_t since = guest_since_.load(std::memory_order_relaxed); since != 0)
    so_far.user_ns += std::max<std::int64_t>(0, now - since);
  if (std::int64_t since = kernel_since_.load(std::memory_order_relaxed); since != 0)
    so_far.system_ns += std::max<std::int64_t>(0, now - since);
  so_far.minor_faults = faults_.load(std::memory_order_relaxed);
  so_far.voluntary_switches = switches_.load(std::memory_order_relaxed);
  so_far.involuntary_switches = interruptions_.load(std::memory_order_relaxed);
  return so_far;
}

}  // namespace caisson::sandbox::kernel
