// The container's cgroups on the host's kernel: made, limited, joined, watched and removed.
//
// v1, hybrid and v2 hosts look the same from here: a plan or a state names one directory per
// hierarchy. No function keeps state of its own; what must outlive a call is in the UndoLog.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"
#include "plan/plan.h"

namespace caisson::linux {

// Open cgroups, by which a process joins them. The plain numbers are for the child side, which
// only reads them; `held` owns the descriptors. Every one is close-on-exec.
struct CgroupSet {
  // v1 `tasks` files, open for writing: a single-threaded process that writes "0" to each moves
  // itself, in 30 us instead of the 12 ms that a move by cgroup.procs takes.
  std::vector<int> task_fds;
  // The same of the v1 devices hierarchy, apart: its rules take effect one by one, so whoever makes
  // device nodes while they are written joins it last. -1: none.
  int devices_task_fd = -1;
  // v2 directory for CLONE_INTO_CGROUP; -1 when the host has none or it can't be used.
  int unified_fd = -1;
  // Those of the plan's directories that exist: not required ones may have been refused.
  plan::CgroupLocations locations;
  std::vector<Fd> held;
  // Per location: the plan's directory, and why controllers that it wants are missing (v2), if any.
  std::vector<const plan::CgroupDirectory*> directories;
  std::vector<std::string> not_enabled;
};

// Makes the directories of the plan and opens what a process needs to join. Everything that is made
// is in `undo` before; on failure it is removed again. A cgroup that was there before is used when
// it is empty and not frozen, and is never removed. The plan must outlive the set.
//
// A process is put into v2 when it is made, and joins v1 by itself: those directories can be made
// while it is on its way. `hierarchies` says which; what is made is added to `set`.
enum class Hierarchies { kAll, kUnified, kV1 };
Result<> make_cgroups(const plan::CgroupPlan& plan, Hierarchies hierarchies, plan::UndoLog& undo,
                      CgroupSet& set);

// The same for a scope of systemd in which `pid` is already: the directories of its hierarchies are
// there, the others are made and the process is put into them. All are removed with the container.
Result<> make_scope_cgroups(const plan::CgroupPlan& plan, int pid, plan::UndoLog& undo,
                            CgroupSet& set);

// Applies the plan's limits, or its device rules, to what make_cgroups() made. A process may have
// joined already (that is how a start overlaps the two), but must not run foreign code before.
Result<> limit_cgroups(const plan::CgroupPlan& plan, const CgroupSet& set);
Result<> limit_devices(const plan::CgroupPlan& plan, const CgroupSet& set);

// Writes new limits to cgroups in use; see plan::Executor::update.
Result<> update_cgroups(const plan::CgroupUpdate& update, const std::function<Result<>()>& commit);

// Opens a running container's cgroups for one more process. Where init has moved on within a
// hierarchy (an init system does), so that the container's own directory takes no process, its
// present cgroup is opened instead.
Result<CgroupSet> open_cgroups(const plan::CgroupLocations& cgroups, int init_pid);

// Takes Undo::kRemoveCgroup back: kills what runs in the directory, removes it with all that is
// nested in it, and then parents that make_cgroups made and nothing uses any more. Bounded by
// about 5 seconds. Missing is success. Refuses whatever is not a cgroup below a mount's root.
Result<> remove_cgroup(const std::string& directory);

// Ids of the processes in all hierarchies including nested cgroups, ascending, each once.
Result<std::vector<int>> cgroup_processes(const plan::CgroupLocations& cgroups);

// Signals every process. SIGKILL also ends what is frozen or just forking.
Result<> cgroup_kill_all(const plan::CgroupLocations& cgroups, int signal);

// Suspends all processes and returns when they stand still; on timeout they run again.
Result<> cgroup_freeze(const plan::CgroupLocations& cgroups, int timeout_ms);
Result<> cgroup_thaw(const plan::CgroupLocations& cgroups, int timeout_ms);
Result<bool> cgroup_frozen(const plan::CgroupLocations& cgroups);

Result<plan::Stats> cgroup_stats(const plan::CgroupLocations& cgroups);
// All that is counted, for `events`.
Result<plan::Usage> cgroup_usage(const plan::CgroupLocations& cgroups);
Result<std::unique_ptr<plan::MemoryWatch>> watch_memory_of(const plan::CgroupLocations& cgroups);
// The OOM kills alone: one file is read.
std::uint64_t cgroup_oom_kills(const plan::CgroupLocations& cgroups);

}  // namespace caisson::linux
