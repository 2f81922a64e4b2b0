// Thread groups (processes), process groups and sessions (credentials(7)).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

class Container;
class Kernel;
class PidNamespace;
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
};

class Session : public RefCounted {
 public:
  explicit Session(int session_id) : id(session_id) {}
  const int id;  // of the leader, in its pid namespace
  // Under the kernel's task lock:
  Ref<ControllingTerminal> terminal;
  int foreground_group = 0;
};

class ProcessGroup : public RefCounted {
 public:
  ProcessGroup(int group_id, Ref<Session> its_session)
      : id(group_id), session(std::move(its_session)) {}
  const int id;
  const Ref<Session> session;
  std::vector<ThreadGroup*> members;  // under the kernel's task lock
};

struct ResourceUsage {  // nanoseconds and counts, for getrusage(2) and wait4(2)
  std::int64_t user_ns = 0, system_ns = 0;
  std::uint64_t minor_faults = 0, major_faults = 0, voluntary_switches = 0,
                involuntary_switches = 0, max_resident = 0;
  void add(const ResourceUsage& other);
};

// A process. Which lock holds what: [T] the kernel's task lock, [S] signal_mutex, [-] fixed.
class ThreadGroup final : public RefCounted {
 public:
  ThreadGroup(Kernel& kernel, Container& container);

  Kernel& kernel;                          // [-]
  Container& container;                    // [-]
  Task* leader = nullptr;                  // [T]
  std::vector<Task*> tasks;                // [T] that have not ended
  ThreadGroup* parent = nullptr;           // [T]
  std::vector<Ref<ThreadGroup>> children;  // [T]
  Ref<ProcessGroup> process_group;         // [T]
  Ref<PidNamespace> pid_namespace;         // [-] that of its own ids
  std::vector<int> ids;                    // [-] per pid namespace, outermost first
  int exit_signal = SIGCHLD;               // [T]
  bool is_subreaper = false;               // [T]
  bool executed = false;                   // [T] since fork, for setpgid(2)
  std::int64_t start_time_ns = 0;          // [-] CLOCK_BOOTTIME

  mutable Mutex signal_mutex;
  std::array<SignalAction, kSignalCount + 1> actions;   // [S] by signal number
  PendingSignals pending;                               // [S] for the whole group
  bool exiting = false;                                 // [S] all tasks are on their way out
  int exit_status = 0;                                  // [S] as wait4(2) gives it
  bool stopped = false;                                 // [S]
  int stop_signal = 0;                                  // [S]
  bool stop_reported = true, continue_reported = true;  // [S] to the parent's wait
  std::array<Limit, kLimitCount> limits;                // [S]
  int oom_score_adj = 0;                                // [S]
  bool dumpable = true;                                 // [S]

  bool zombie = false;           // [T] all tasks ended; waits to be reaped
  ResourceUsage usage;           // [T] of tasks that ended
  ResourceUsage children_usage;  // [T] of children that were waited for
  vfs::WaitQueue child_changes;  // wait4(2): a child changed its state
  vfs::WaitQueue exited;         // pidfds: readable when it ended

  // Its id as seen from a namespace; 0: not visible there.
  int id_in(const PidNamespace& ns) const;
  int id() const { return ids.back(); }  // as it sees itself
  Limit limit(int resource) const;

 private:
  ~ThreadGroup() override;
};

}  // namespace caisson::sandbox::kernel
