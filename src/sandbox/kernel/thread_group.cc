#include "sandbox/kernel/thread_group.h"

#include <algorithm>

#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

ThreadGroup::ThreadGroup(Kernel& its_kernel, Container& its_container)
    : kernel(its_kernel),
      container(its_container),
      container_kept_(Ref<Container>::share(&its_container)),
      timers_(std::make_unique<GroupTimers>(*this)) {}

ThreadGroup::~ThreadGroup() = default;

int ThreadGroup::id_in(const PidNamespace& ns) const { return ns.pick(ids, *pid_namespace); }

Limit ThreadGroup::limit(int resource) const {
  Locked locked(signal_mutex);
  return limits[static_cast<std::size_t>(resource)];
}

void ResourceUsage::add(const ResourceUsage& other) {
  user_ns += other.user_ns;
  system_ns += other.system_ns;
  minor_faults += other.minor_faults;
  major_faults += other.major_faults;
  voluntary_switches += other.voluntary_switches;
  involuntary_switches += other.involuntary_switches;
  max_resident = std::max(max_resident, other.max_resident);
}

ResourceUsage ThreadGroup::total_usage() const {
  ResourceUsage total = usage;
  for (const Task* task : tasks) total.add(task->usage());
  total.max_resident = std::max(total.max_resident, peak_memory());
  return total;
}

void ThreadGroup::add_peak_memory(std::uint64_t bytes) {
  std::uint64_t seen = peak_memory_.load(std::memory_order_relaxed);
  while (bytes > seen && !peak_memory_.compare_exchange_weak(seen, bytes)) {
  }
}

}  // namespace caisson::sandbox::kernel
