// Kernel: everything that one sandbox shares, and the verbs on its tasks. One per kernel process.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/namespaces.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/kernel/task.h"
#include "sandbox/kernel/thread_group.h"
#include "sandbox/platform/platform.h"

namespace caisson::sandbox::kernel {

class FutexTable;
class TimerQueue;

// Answers one system call of a task: the value for the guest, or a negated errno (kRestart* too).
using SyscallFunction = std::int64_t (*)(Task& task, std::uint64_t number);

// One container of the sandbox: its own root, pid namespace and lifetime.
class Container final : public RefCounted {
 public:
  Container(std::string id, Ref<PidNamespace> pids);
  const std::string id;
  const Ref<PidNamespace> pids;
  Ref<vfs::MountNamespace> mounts;
  Ref<UtsNamespace> uts;
  Ref<OpaqueNamespace> ipc, network;
  // Under the kernel's task lock:
  Ref<ThreadGroup> init;
  bool ended = false;
  int exit_status = 0;
  vfs::WaitQueue end;  // notified when init ended and all its processes are gone

 private:
  ~Container() override = default;
};

// What a new program of a container begins with: the init, or an exec into it.
struct ProcessRequest {
  Ref<Container> container;
  std::vector<std::string> args, env;
  std::string executable;  // found by the caller in the guest's tree; empty: args[0] by PATH
  std::string cwd = "/";
  Ref<vfs::Credentials> credentials;
  Ref<FdTable> files;
  std::array<Limit, kLimitCount> limits;
  std::uint32_t umask = 022;
  Ref<ControllingTerminal> terminal;  // becomes its session's
};

struct CloneRequest {  // clone3(2)
  std::uint64_t flags = 0;
  std::uint64_t pidfd = 0, child_tid = 0, parent_tid = 0;
  int exit_signal = 0;
  std::uint64_t stack = 0, stack_size = 0, tls = 0;
};

// How execve(2) fetches its program; behind it stands the loader (kernel/loader.h).
struct ExecRequest {
  Ref<vfs::File> file;
  std::string path;  // for AT_EXECFN and scripts
  std::vector<std::string> args, env;
};

struct WaitRequest {  // waitid(2)
  int id_type = 0;    // P_ALL, P_PID, P_PGID, P_PIDFD (then `group`)
  int id = 0;
  Ref<ThreadGroup> group;
  int options = 0;  // WEXITED WSTOPPED WCONTINUED WNOHANG WNOWAIT __WALL ...
};
struct WaitResult {
  int pid = 0;     // 0: nothing yet (WNOHANG)
  int status = 0;  // as wait4(2) gives it
  SignalInfo info;
  ResourceUsage usage;
};

class Kernel {
 public:
  Kernel(std::unique_ptr<platform::Platform> platform, SyscallFunction syscall);
  ~Kernel();

  platform::Platform& platform() { return *platform_; }
  FutexTable& futexes() { return *futexes_; }
  TimerQueue& timers() { return *timers_; }

  // The task lock (rank 1): the tree of processes, groups, sessions, ids. Taken before any signal
  // mutex.
  Mutex& task_lock() { return task_lock_; }

  // --- processes
  Result<Ref<ThreadGroup>> start_process(const ProcessRequest& request);
  // clone(2), fork(2), vfork(2): the new task's id in the caller's namespace. With CLONE_VFORK it
  // returns when the child executed a program or ended.
  ErrnoOr<int> clone(Task& caller, const CloneRequest& request);
  ErrnoOr<> execute(Task& caller, ExecRequest request);
  ErrnoOr<WaitResult> wait(Task& caller, const WaitRequest& request);
  void exit_task(Task& caller, int status);   // exit(2); takes effect when the call returns
  void exit_group(Task& caller, int status);  // exit_group(2)

  // --- signals. `sender` null: the kernel. EPERM, ESRCH, EAGAIN (queue limit).
  ErrnoOr<> signal_group(ThreadGroup& group, const SignalInfo& info);
  ErrnoOr<> signal_task(Task& task, const SignalInfo& info);
  ErrnoOr<> signal_process_group(ProcessGroup& group, const SignalInfo& info);
  // A signal that the task cannot escape (faults): unblocked and reset to default if need be.
  void force_signal(Task& task, const SignalInfo& info);
  // kill(2)'s permission rule.
  static ErrnoOr<> may_signal(const Task& sender, const Task& target, int signal);

  // --- lookups, under the task lock
  Task* find_task(const PidNamespace& ns, int id);
  ThreadGroup* find_group(const PidNamespace& ns, int id);
  ProcessGroup* find_process_group(const PidNamespace& ns, int id);
  std::vector<ThreadGroup*> all_groups(const PidNamespace& ns);

  // --- containers
  void add_container(Ref<Container> container);
  std::vector<Ref<Container>> containers() const;
  // Ends every process of a container.
  void kill_container(Container& container);
  // Pause and resume of all guest code (snapshots, checkpoints).
  void stop_all();
  void resume_all();

  // Clocks as the guest sees them, nanoseconds.
  std::int64_t monotonic_ns() const;
  std::int64_t realtime_ns() const;
  std::int64_t boottime_ns() const;

  // Calls without an implementation, counted by number for `why`.
  void count_unimplemented(std::uint64_t number);
  std::map<std::uint64_t, std::uint64_t> unimplemented() const;

 private:
  friend class TaskRunner;
  std::unique_ptr<platform::Platform> platform_;
  SyscallFunction syscall_;
  std::unique_ptr<FutexTable> futexes_;
  std::unique_ptr<TimerQueue> timers_;
  mutable Mutex task_lock_{1};
  std::vector<Ref<Container>> containers_;
  mutable Mutex count_mutex_;
  std::map<std::uint64_t, std::uint64_t> unimplemented_;
};

}  // namespace caisson::sandbox::kernel
