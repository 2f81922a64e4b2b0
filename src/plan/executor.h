// Executor: carries out a Plan and acts on what runs. The one seam between a container's life cycle
// (container/) and the walls (linux/, sandbox/). cli/ binds one to the other.
//
// An executor never reads a ContainerSpec, decides nothing, and leaves nothing behind on failure:
// every change of the host that outlives the call is registered in the UndoLog *before* it is made.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "plan/checkpoint.h"
#include "plan/guest.h"
#include "plan/host_facts.h"
#include "plan/plan.h"
#include "plan/usage.h"

namespace caisson::plan {

// One change of the host and how to take it back, as data that a later command can carry out.
struct Undo {
  enum class Kind {
    kRemoveCgroup,        // target: absolute directory; what still runs in it is killed first
    kUnlink,              // target: absolute path
    kRemoveDirectory,     // target: absolute path, must be empty
    kUnmount,             // target: absolute path, lazily
    kStopUnit,            // target: "system/UNIT" or "user/UNIT" of systemd
    kRemoveResctrlGroup,  // target: absolute directory; one that other processes use stays
  };
  Kind kind{};
  std::string target;
  friend bool operator==(const Undo&, const Undo&) = default;
};

class UndoLog {
 public:
  virtual ~UndoLog() = default;
  // Durable against a kill of this process when it returns. Call before acting; once for a group.
  virtual Result<> record(const std::vector<Undo>& undos) = 0;
};

// Where a container's processes are accounted, as kept in its state: one entry per hierarchy.
struct CgroupLocation {
  std::string controllers;  // "memory", "name=systemd"; empty for v2
  std::string directory;    // absolute: "/sys/fs/cgroup/memory/caisson/web"
  bool v2 = false;
  friend bool operator==(const CgroupLocation&, const CgroupLocation&) = default;
};
using CgroupLocations = std::vector<CgroupLocation>;
CgroupLocations locations(const CgroupPlan& plan);

struct ProcessHandle {
  int pid = 0;                   // in the caller's pid namespace
  std::uint64_t start_time = 0;  // field 22 of /proc/PID/stat, clock ticks since boot
  Fd pidfd;
};

enum class HookPhase {
  kPrestart,
  kCreateRuntime,
  kCreateContainer,
  kStartContainer,
  kPoststart,
  kPoststop
};

// Receives the duration of every named step; the default does nothing and costs nothing.
class Timeline {
 public:
  virtual ~Timeline() = default;
  // `track` is "parent", "child" or "launcher"; times are CLOCK_MONOTONIC nanoseconds.
  virtual void step(std::string_view track, std::string_view name, std::int64_t begin_ns,
                    std::int64_t end_ns) = 0;
};

// A step of the caller's own, from here to the end of the scope.
class TimedStep {
 public:
  TimedStep(Timeline* timeline, std::string_view name)
      : timeline_(timeline), name_(name), begin_ns_(timeline == nullptr ? 0 : monotonic_ns()) {}
  ~TimedStep() {
    if (timeline_ != nullptr) timeline_->step("parent", name_, begin_ns_, monotonic_ns());
  }
  TimedStep(const TimedStep&) = delete;
  TimedStep& operator=(const TimedStep&) = delete;

 private:
  Timeline* timeline_;
  std::string_view name_;
  std::int64_t begin_ns_;
};

// Descriptors of the new process; -1 means: the caller's own of that number.
struct Stdio {
  int in = -1, out = -1, err = -1;
};

// Takes the listener of a seccomp filter, on its way to the agent. Called before the program runs;
// `pid` is that of the process with the filter.
using ListenerFunction = std::function<Result<>(FdRef listener, int pid)>;

struct CreateRequest {
  const Plan* plan = nullptr;
  int state_dir = -1;        // where an init that waits makes its start socket, ...
  std::string start_socket;  // ... and under what name
  std::string scratch_dir;   // absolute path, covered by the layers of a machine view
  UndoLog* undo = nullptr;
  bool wait_for_start = true;  // false: the program is executed as soon as everything is ready
  Stdio stdio;
  // Connected unix socket that receives the pty master (SCM_RIGHTS, payload "/dev/ptmx"); -1: none.
  int console_socket = -1;
  int preserve_fds = 0;       // descriptors 3..2+n stay open in the container
  std::vector<int> keep_fds;  // and these, by the numbers that they have here
  int program_fd = -1;        // the program by descriptor; args[0] is only its name then
  Strings extra_env;
  bool end_with_caller = false;  // the death of this process kills init, for as long as it runs
  bool want_layers = false;  // return the changes' tmpfs of a machine view in CreateResult::layers
  // The new process runs in the caller's memory until it executes its program, which saves the copy
  // of page tables. A kernel that kills it meanwhile for want of memory kills the caller with it.
  bool share_memory = true;
  Timeline* timeline = nullptr;
  // Called as soon as the process exists and before it can run the program: save its identity.
  std::function<Result<>(const ProcessHandle&, const CgroupLocations&)> on_process;
  // The OCI state as JSON, for the stdin of startContainer hooks; asked for only when there are
  // any.
  std::function<std::string(const ProcessHandle&)> hook_state;
  int hook_out = -1, hook_err = -1;  // what these write to; -1: kept for the error
  // Called at prestart, createRuntime and createContainer when the plan has such hooks. The last
  // one must be run in the namespaces of the process given.
  std::function<Result<>(HookPhase, const ProcessHandle&)> run_hooks;
  // Set when the plan's filter has a listener and the program is not to wait for its start.
  ListenerFunction on_listener;
  // A sandbox that goes on from these images instead of executing the program; null: none.
  const CriuOptions* restore = nullptr;
};

struct CreateResult {
  ProcessHandle init;
  CgroupLocations cgroups;
  Strings notices;         // optional steps that this kernel refused, in words
  Strings resctrl_groups;  // directories of the groups that init is in
  Fd layers;               // open directory with one folder per view layer, see MountStep::layer
};

struct ExecRequest {
  const ProcessPlan* process = nullptr;
  bool tight_memory = false;            // see CgroupPlan
  const ProcessHandle* init = nullptr;  // the container's init
  SandboxAddress sandbox;               // without a socket: the wall is the host's kernel
  CgroupLocations cgroups;
  Strings resctrl_groups;  // see CreateResult
  Stdio stdio;
  int console_socket = -1;
  int preserve_fds = 0;
  bool new_session = true;     // without a terminal: false keeps the caller's, for job control
  bool share_memory = true;    // see CreateRequest
  bool may_enter_all = false;  // CAP_SYS_ADMIN in the initial user namespace
  Timeline* timeline = nullptr;
  ListenerFunction on_listener;  // set when the process' filter has a listener
};

struct StartRequest {
  int state_dir = -1;  // as in CreateRequest
  std::string start_socket;
  int init_pid = 0, init_pidfd = -1;
  int timeout_ms = 0;
  ListenerFunction on_listener;  // set when the container's filter has a listener
};

struct CheckpointRequest {
  const Plan* plan = nullptr;
  const CriuOptions* options = nullptr;
  const ProcessHandle* init = nullptr;
  CgroupLocations cgroups;
  // As in ExecRequest: a sandbox saves itself.
  std::string control_socket;
};

struct RestoreRequest {
  const Plan* plan = nullptr;
  const CriuOptions* options = nullptr;
  UndoLog* undo = nullptr;
  Stdio stdio;              // takes the place of what the saved program had as its own
  int console_socket = -1;  // as in CreateRequest
  Timeline* timeline = nullptr;
  // Called as soon as the process exists and before anything in it runs: save its identity.
  std::function<Result<>(const ProcessHandle&, const CgroupLocations&)> on_process;
  // Called at prestart and createRuntime, when the container's namespaces are there.
  std::function<Result<>(HookPhase, const ProcessHandle&)> run_hooks;
};

// Mounts for a running container, or mounts that it loses (kUnmount): all of them, or none.
struct MountChange {
  const Plan* plan = nullptr;  // its mount steps
  const ProcessHandle* init = nullptr;
};

// New limits for cgroups that are in use.
struct CgroupUpdate {
  CgroupPlan plan;
  std::vector<CgroupDevice> previous_devices;  // what the plan's device rules take the place of
};

// What `stats` shows; absent where the host has no such controller.
struct Stats {
  std::optional<std::uint64_t> cpu_usage_ns, cpu_user_ns, cpu_system_ns;
  std::optional<std::uint64_t> cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
  std::optional<std::uint64_t> memory_bytes, memory_limit_bytes, memory_peak_bytes;
  std::optional<std::uint64_t> memory_cache_bytes;
  std::optional<std::uint64_t> memory_failures, oom_kills, swap_bytes;
  std::optional<std::uint64_t> pids, pids_limit;
  std::optional<std::uint64_t> read_bytes, written_bytes, read_ops, write_ops;
  std::optional<Pressure> cpu_pressure, memory_pressure, io_pressure;
};

// Tells when a container runs out of memory.
class MemoryWatch {
 public:
  virtual ~MemoryWatch() = default;
  // poll(2) it for `poll_events`; ready: something may have happened.
  virtual FdRef descriptor() const = 0;
  virtual short poll_events() const = 0;
  // How often it happened since the last call. Never blocks.
  virtual std::uint64_t take() = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // `for_view`: also the mounts and directories that a machine view needs.
  virtual Result<HostFacts> host_facts(bool for_view) = 0;
  // Without cgroups: what a process in a running container needs.
  virtual Result<HostFacts> process_facts() = 0;

  // The plan that is being compiled will ask for a new network namespace of the caller's own user
  // namespace: what takes the kernel so long may begin now. A hint; the next create() uses what
  // came of it, and without one it is dropped.
  virtual void expect_new_network() {}

  virtual Result<CreateResult> create(CreateRequest& request) = 0;
  // Lets a created container's init execute its program; waits until it did. EALREADY-like refusals
  // are the caller's to make (it holds the lock). Bounded: a dead or stuck init is an error.
  virtual Result<> start(const StartRequest& request) = 0;
  virtual Result<ProcessHandle> exec(ExecRequest& request) = 0;
  virtual Result<> change_mounts(const MountChange& change) = 0;

  // Saves a container's processes as images that restore() makes them of. They end by that, unless
  // the options say otherwise; on failure they run on as before.
  virtual Result<> checkpoint(const CheckpointRequest& request) = 0;
  virtual Result<CreateResult> restore(RestoreRequest& request) = 0;

  // The kernel of a sandbox that runs. Nothing is asked yet.
  virtual Result<std::unique_ptr<Sandbox>> reach_sandbox(const SandboxAddress& /*address*/) {
    return std::unexpected(Error::with_cause(EOPNOTSUPP, "this program has no sandbox"));
  }

  virtual Result<std::vector<int>> processes(const CgroupLocations& cgroups) = 0;
  virtual Result<> kill_all(const CgroupLocations& cgroups, int signal) = 0;
  virtual Result<> freeze(const CgroupLocations& cgroups, int timeout_ms) = 0;
  virtual Result<> thaw(const CgroupLocations& cgroups, int timeout_ms) = 0;
  virtual Result<bool> frozen(const CgroupLocations& cgroups) = 0;
  virtual Result<Stats> stats(const CgroupLocations& cgroups) = 0;
  virtual Result<Usage> usage(const CgroupLocations& cgroups) = 0;
  // Empty without a memory controller.
  virtual Result<std::unique_ptr<MemoryWatch>> watch_memory(const CgroupLocations& cgroups) = 0;
  // Writes new limits, then calls `commit`. When a write or `commit` fails, the files have their
  // former values again.
  virtual Result<> update(const CgroupUpdate& update, const std::function<Result<>()>& commit) = 0;
  // How many of its processes the kernel has killed for lack of memory; 0 where it can't be told.
  // Much cheaper than stats().
  virtual std::uint64_t oom_kills(const CgroupLocations& cgroups) = 0;

  // Takes back one registered change; succeeds when there is nothing (more) to take back.
  virtual Result<> undo(const Undo& change) = 0;
};

}  // namespace caisson::plan
