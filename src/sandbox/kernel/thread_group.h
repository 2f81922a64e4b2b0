// Thread groups (processes), process groups and sessions (credentials(7)).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/state/tag.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

class Container;
class GroupTimers;
class Kernel;
class PidNamespace;
class Session;
class Task;
class ThreadGroup;

struct Limit {
  std::uint64_t soft = ~std::uint64_t{0}, hard = ~std::uint64_t{0};
};
constexpr int kLimitCount = 16;  // RLIMIT_CPU .. RLIMIT_RTTIME

// A terminal as sessions know it. Implemented by fs/tty.
class ControllingTerminal : public RefCounted {
 public:
  virtual std::uint64_t device() const = 0;  // makedev(3), for /proc/PID/stat
  virtual std::string name() const = 0;      // "/dev/pts/0"
  virtual void hang_up() = 0;                // the session's leader ended
  // Whose terminal it is from now on; null: nobody's. Under the task lock.
  virtual void set_session(Session* session) = 0;
  virtual state::Tag save_tag() const { return state::Tag::kNone; }
  virtual Result<> save(state::Writer& to);
};

// Both are named by the ids of the process that made them, and keep these from being given again
// while they last (process_groups.cc).
class Session : public RefCounted {
 public:
  Session(std::vector<int> session_ids, Ref<PidNamespace> of);
  const std::vector<int> ids;
  const Ref<PidNamespace> pid_namespace;
  const int id;  // of the leader, in its pid namespace
  int id_in(const PidNamespace& ns) const;
  // Under the kernel's task lock:
  ThreadGroup* leader = nullptr;  // null when it ended
  Ref<ControllingTerminal> terminal;
  int foreground_group = 0;  // its id in the session's pid namespace
  int groups = 0;            // that have members

  state::Tag save_tag() const { return state::Tag::kSession; }
  Result<> save(state::Writer& to);
  static Result<Ref<Session>> restore(state::Reader& from);

 private:
  ~Session() override;
};

class ProcessGroup : public RefCounted {
 public:
  ProcessGroup(std::vector<int> group_ids, Ref<PidNamespace> of, Ref<Session> its_session);
  const std::vector<int> ids;
  const Ref<PidNamespace> pid_namespace;
  const int id;
  const Ref<Session> session;
  int id_in(const PidNamespace& ns) const;
  std::vector<ThreadGroup*> members;  // under the kernel's task lock
  // Nobody in it has a parent in another group of the session: stops from the terminal would leave
  // it stopped for ever. Under the task lock; `leaving` counts as gone.
  bool is_orphaned(const ThreadGroup* leaving = nullptr) const;
  bool has_stopped_members() const;

  state::Tag save_tag() const { return state::Tag::kProcessGroup; }
  Result<> save(state::Writer& to);
  static Result<Ref<ProcessGroup>> restore(state::Reader& from);

 private:
  ~ProcessGroup() override;
};

struct ResourceUsage {  // nanoseconds and counts, for getrusage(2) and wait4(2)
  std::int64_t user_ns = 0, system_ns = 0;
  std::uint64_t minor_faults = 0, major_faults = 0, voluntary_switches = 0,
                involuntary_switches = 0, max_resident = 0;
  void add(const ResourceUsage& other);
};

// What is left of a traced task for a tracer that is not its parent.
struct EndedTracee {
  int id = 0, group_id = 0;  // in the tracer's pid namespace
  std::uint32_t uid = 0;
  int status = 0;  // as wait4(2) gives it
  ResourceUsage usage;
};

// A process. Which lock holds what: [T] the kernel's task lock, [S] signal_mutex, [-] fixed.
class ThreadGroup final : public RefCounted {
 public:
  ThreadGroup(Kernel& kernel, Container& container);

  Kernel& kernel;                          // [-]
  Container& container;                    // [-]
  Task* leader = nullptr;                  // [T] stays, also ended, until the process is reaped
  Ref<Task> leader_kept;                   // [T] the same
  std::vector<Task*> tasks;                // [T] and [S] to change, either to read; not ended ones
  ThreadGroup* parent = nullptr;           // [T]
  std::vector<Ref<ThreadGroup>> children;  // [T]
  std::vector<Task*> tracees;              // [T] that it traces (ptrace(2)); not ended ones
  std::vector<EndedTracee> ended_tracees;  // [T] not waited for yet
  Ref<ProcessGroup> process_group;         // [T]
  Ref<PidNamespace> pid_namespace;         // [-] that of its own ids
  std::vector<int> ids;                    // [-] per pid namespace, outermost first
  int exit_signal = SIGCHLD;               // [T]
  bool is_subreaper = false;               // [T]
  bool executed = false;                   // [T] since fork, for setpgid(2)
  std::int64_t start_time_ns = 0;          // [-] CLOCK_BOOTTIME
  std::uint32_t counted_uid = 0;           // [T] whose RLIMIT_NPROC it counts against

  mutable Mutex signal_mutex{2};
  std::array<SignalAction, kSignalCount + 1> actions{};  // [S] by signal number
  PendingSignals pending;                                // [S] for the whole group
  vfs::WaitQueue signal_arrivals;                        // signalfd(2): POLLIN at each new one
  bool exiting = false;                                  // [S] all tasks are on their way out
  int exit_status = 0;                                   // [S] as wait4(2) gives it
  bool is_init = false;                                  // [-] of a pid namespace
  bool unkillable = false;                               // [S] as an init: no default actions
  bool stop_taken = false;                               // [S] a stop signal left its queue
  int change_to_report = 0;                              // [S] CLD_STOPPED, CLD_CONTINUED or 0
  bool stopping = false;                                 // [S] the tasks are on their way to a stop
  bool stopped = false;                                  // [S]
  int stop_signal = 0;                                   // [S]
  int stopped_tasks = 0;                                 // [S]
  vfs::WaitQueue stop_changes;                           // a stop ended
  bool stop_reported = true, continue_reported = true;   // [S] to the parent's wait
  std::array<Limit, kLimitCount> limits;                 // [S]
  int oom_score_adj = 0;                                 // [S]
  bool dumpable = true;                                  // [S]
  bool huge_pages_off = false;                           // [S] PR_SET_THP_DISABLE: kept and told

  // [T] to change, read by anyone: all tasks ended, it waits to be reaped; it is in no table any
  // more.
  std::atomic<bool> zombie{false}, reaped{false};
  Task* executing = nullptr;     // [S] the task in execve(2) that waits for the others' end
  vfs::WaitQueue task_ended;     // tells it
  ResourceUsage usage;           // [T] and [S] to change: of tasks that ended
  ResourceUsage children_usage;  // [T] of children that were waited for
  vfs::WaitQueue child_changes;  // wait4(2): a child changed its state
  vfs::WaitQueue exited;         // pidfds: readable when it ended

  // Its id as seen from a namespace; 0: not visible there.
  int id_in(const PidNamespace& ns) const;
  int id() const { return ids.back(); }  // as it sees itself
  // Under the task lock: leaves the process group that it is in.
  void join(Ref<ProcessGroup> group);
  void leave_process_group();
  Limit limit(int resource) const;
  GroupTimers& timers() { return *timers_; }  // itimers, POSIX timers, RLIMIT_CPU
  // Of all its tasks, ended or not. Under the task lock or the signal mutex.
  ResourceUsage total_usage() const;
  void add_peak_memory(std::uint64_t bytes);
  std::uint64_t peak_memory() const { return peak_memory_.load(std::memory_order_relaxed); }

  state::Tag save_tag() const { return state::Tag::kThreadGroup; }
  Result<> save(state::Writer& to);
  static Result<Ref<ThreadGroup>> restore(state::Reader& from);

 private:
  Result<> restore_relatives(state::Reader& from);
  ~ThreadGroup() override;
  const Ref<Container> container_kept_;
  std::unique_ptr<GroupTimers> timers_;
  std::atomic<std::uint64_t> peak_memory_{0};
};

}  // namespace caisson::sandbox::kernel
