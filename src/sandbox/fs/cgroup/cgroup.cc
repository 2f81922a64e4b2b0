#include "sandbox/fs/cgroup/cgroup.h"

#include <linux/magic.h>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

using kernel::ToldLimits;

// What the files are made from.
struct Group {
  kernel::Kernel& kernel;
  Ref<kernel::PidNamespace> pids;
  Ref<ToldLimits> limits;
  unsigned processors = 1;
};

struct Use {
  kernel::ResourceUsage times;
  std::uint64_t memory = 0;
  std::size_t tasks = 0;
  std::string processes, threads;  // ids, one a line
};

Use use_of(const Group& group) {
  Use use;
  std::vector<Ref<mm::MemoryMap>> memories;
  {
    Locked lock(group.kernel.task_lock());
    for (const kernel::ThreadGroup* process : group.kernel.all_groups(*group.pids)) {
      use.times.add(process->total_usage());
      use.tasks += process->tasks.size();
      if (process->tasks.empty()) continue;
      append(use.processes, process->id_in(*group.pids), "\n");
      for (const kernel::Task* task : process->tasks)
        append(use.threads, task->id_in(*group.pids), "\n");
      memories.push_back(process->tasks.front()->memory_ref());
    }
  }
  for (const auto& memory : memories)
    if (memory) use.memory += memory->usage().resident;
  return use;
}

std::string number_or_max(std::uint64_t value) { return value == 0 ? "max\n" : cat(value, "\n"); }

std::string memory_max(const Group& group) {
  // As the kernel keeps it: whole pages.
  return number_or_max(group.limits->memory_bytes & ~std::uint64_t{4095});
}
std::string pids_max(const Group& group) { return number_or_max(group.limits->processes); }

std::string cpu_max(const Group& group) {
  std::uint64_t quota = group.limits->cpu_quota_us;
  return cat(quota == 0 ? "max" : cat(quota), " ", group.limits->cpu_period_us.load(), "\n");
}

std::string cpu_weight(const Group& group) {
  constexpr std::uint64_t kDefault = 100;
  std::uint64_t weight = group.limits->cpu_weight;
  return cat(weight == 0 ? kDefault : weight, "\n");
}

std::string cpuset(const Group& group) {
  unsigned count = group.limits->processors_of(group.processors);
  return count == 1 ? "0\n" : cat("0-", count - 1, "\n");
}

std::string cpu_stat(const Group& group) {
  auto times = use_of(group).times;
  constexpr std::int64_t kMicrosecond = 1000;
  return cat("usage_usec ", (times.user_ns + times.system_ns) / kMicrosecond, "\nuser_usec ",
             times.user_ns / kMicrosecond, "\nsystem_usec ", times.system_ns / kMicrosecond,
             "\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n");
}

std::string memory_current(const Group& group) { return cat(use_of(group).memory, "\n"); }
std::string memory_stat(const Group& group) {
  return cat("anon ", use_of(group).memory, "\nfile 0\nkernel 0\nshmem 0\ninactive_anon 0\n",
             "active_anon 0\ninactive_file 0\nactive_file 0\nunevictable 0\nslab 0\npgfault 0\n",
             "pgmajfault 0\n");
}
std::string pids_current(const Group& group) { return cat(use_of(group).tasks, "\n"); }
std::string processes(const Group& group) { return use_of(group).processes; }
std::string threads(const Group& group) { return use_of(group).threads; }

struct LiveFile {
  std::string_view name;
  std::string (*text)(const Group&);
};
constexpr LiveFile kLive[] = {
    {"cgroup.procs", processes},
    {"cgroup.threads", threads},
    {"cpu.max", cpu_max},
    {"cpu.weight", cpu_weight},
    {"cpu.stat", cpu_stat},
    {"cpuset.cpus", cpuset},
    {"cpuset.cpus.effective", cpuset},
    {"memory.max", memory_max},
    {"memory.current", memory_current},
    {"memory.stat", memory_stat},
    {"pids.max", pids_max},
    {"pids.current", pids_current},
};

struct Constant {
  std::string_view name, text;
};
constexpr Constant kConstants[] = {
    {"cgroup.controllers", "cpuset cpu memory pids\n"},
    {"cgroup.subtree_control", "\n"},
    {"cgroup.type", "domain\n"},
    {"cgroup.events", "populated 1\nfrozen 0\n"},
    {"cgroup.freeze", "0\n"},
    {"cgroup.max.depth", "max\n"},
    {"cgroup.max.descendants", "max\n"},
    {"cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"},
    {"cpuset.mems", "0\n"},
    {"cpuset.mems.effective", "0\n"},
    {"memory.min", "0\n"},
    {"memory.low", "0\n"},
    {"memory.high", "max\n"},
    {"memory.swap.max", "0\n"},
    {"memory.swap.current", "0\n"},
    {"memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"},
};

}  // namespace

CgroupFilesystem::CgroupFilesystem() : GeneratedFilesystem("cgroup2", CGROUP2_SUPER_MAGIC) {}

Ref<CgroupFilesystem> CgroupFilesystem::create(kernel::Kernel& kernel,
                                               Ref<kernel::PidNamespace> pids,
                                               Ref<ToldLimits> limits, unsigned processors) {
  auto filesystem = Ref<CgroupFilesystem>::adopt(new CgroupFilesystem);
  auto root = make_ref<StaticDirectory>(*filesystem, kGeneratedRoot);
  Group group{kernel, std::move(pids), std::move(limits), processors};
  for (const auto& file : kLive)
    root->add(file.name, [group, text = file.text](vfs::Caller&) {
      return ErrnoOr<std::string>(text(group));
    });
  for (const auto& file : kConstants) root->add_constant(file.name, std::string(file.text));
  filesystem->set_root(std::move(root));
  return filesystem;
}

}  // namespace caisson::sandbox::fs
