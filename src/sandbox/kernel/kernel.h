// Kernel: everything that one sandbox shares, and the verbs on its tasks. One per kernel process.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/file_services.h"
#include "sandbox/kernel/lock_waits.h"
#include "sandbox/kernel/namespaces.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/kernel/task.h"
#include "sandbox/kernel/thread_group.h"
#include "sandbox/kernel/user_counts.h"
#include "sandbox/platform/platform.h"

namespace caisson::sandbox::kernel {

class FutexTable;
struct LoadedProgram;
class StopGate;
class TimerQueue;

// Answers one system call of a task: the value for the guest, or a negated errno (kRestart* too).
using SyscallFunction = std::int64_t (*)(Task& task, std::uint64_t number);

// Who writes down what guests ask for (syscalls/strace.h).
class CallLog {
 public:
  virtual ~CallLog() = default;
  virtual bool logs(std::uint64_t number) const = 0;
  // The arguments as text, taken before the call changes what they point to.
  virtual std::string arguments_text(Task& task, std::uint64_t number) = 0;
  virtual void write(Task& task, std::uint64_t number, const std::string& arguments,
                     std::int64_t result, std::int64_t duration_ns) = 0;
};

// What a container is told that it may use; changed while it runs. 0: no limit.
class ToldLimits final : public RefCounted {
 public:
  std::atomic<std::uint64_t> memory_bytes{0};
  std::atomic<std::uint64_t> cpu_quota_us{0}, cpu_period_us{100'000}, cpu_weight{0};
  std::atomic<std::uint32_t> processors{0};
  std::atomic<std::uint64_t> processes{0};
  // How much of the machine's own that leaves.
  std::uint64_t memory_of(std::uint64_t all) const;
  unsigned processors_of(unsigned all) const;

 private:
  ~ToldLimits() override = default;
};

// One container of the sandbox: its own root, pid namespace and lifetime.
class Container final : public RefCounted {
 public:
  Container(std::string id, Ref<PidNamespace> pids);
  const std::string id;
  const Ref<PidNamespace> pids;
  Ref<vfs::MountNamespace> mounts;
  Ref<UtsNamespace> uts;
  Ref<OpaqueNamespace> ipc, network;
  Ref<FileServices> file_services;  // null: the kernel's
  const Ref<ToldLimits> limits = make_ref<ToldLimits>();
  // Under the kernel's task lock:
  Ref<ThreadGroup> init;
  int processes = 0;
  bool ended = false;
  int exit_status = 0;
  vfs::WaitQueue end;  // notified when init ended and all its processes are gone

  // At a restore what the plan makes of it stands already (a service of the state::Reader).
  Result<> save(state::Writer& to);
  Result<> restore(state::Reader& from);

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
  // The path leads through a descriptor that the program will not have: no script can be read.
  bool path_closes = false;
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

// What the guest sees of the machine.
struct Machine {
  std::vector<std::uint64_t> processors;  // a mask, as sched_getaffinity(2) gives it
  std::uint64_t memory_bytes = 0;
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

  // setpgid(2), setsid(2). ESRCH, EPERM, EACCES, EINVAL.
  ErrnoOr<> set_process_group(Task& caller, int process, int group);
  ErrnoOr<int> new_session(Task& caller);
  // New credentials of the caller; RLIMIT_NPROC counts by them from now on.
  void change_credentials(Task& caller, Ref<vfs::Credentials> credentials);

  // --- signals. EAGAIN: the queue of real-time signals is full (RLIMIT_SIGPENDING). The sender's
  // permission has been checked (may_signal()); an info with SI_KERNEL, or with SI_USER and pid 0,
  // comes from outside the receiver's pid namespace. Without the task lock, except the third.
  ErrnoOr<> signal_group(ThreadGroup& group, const SignalInfo& info);
  ErrnoOr<> signal_task(Task& task, const SignalInfo& info);
  ErrnoOr<> signal_process_group(ProcessGroup& group, const SignalInfo& info);  // takes it
  // The same under the task lock.
  void signal_members(ProcessGroup& group, const SignalInfo& info);
  // Sets an action; what is pending and now ignored is dropped.
  void set_action(ThreadGroup& group, int signal, const SignalAction& action);
  // A signal that the task cannot escape (faults): unblocked and reset to default if need be.
  void force_signal(Task& task, const SignalInfo& info);
  // kill(2)'s permission rule.
  static ErrnoOr<> may_signal(const Task& sender, const Task& target, int signal);

  // The next signal of `wanted` that is pending for the task, taken out of its queue; signal 0:
  // none. Without locks.
  static SignalInfo take_signal(Task& task, SignalSet wanted);
  // What has to follow when a signal was taken out of its queue: a timer's overruns. Without locks.
  static void signal_taken(Task& task, SignalInfo& info);
  // Ends a task's sleep and guest code if a signal, stop or end waits for it. Under the group's
  // signal mutex.
  static void recheck(Task& task);

  // --- lookups, under the task lock
  Task* find_task(const PidNamespace& ns, int id);
  ThreadGroup* find_group(const PidNamespace& ns, int id);
  ProcessGroup* find_process_group(const PidNamespace& ns, int id);
  std::vector<ThreadGroup*> all_groups(const PidNamespace& ns);

  // --- containers
  void add_container(Ref<Container> container);
  std::vector<Ref<Container>> containers() const;
  void remove_container(Container& container);  // when it ended
  // Ends every process of a container.
  void kill_container(Container& container);
  // Pause and resume of all guest code (snapshots, checkpoints).
  void stop_all();    // returns when no task runs guest code or changes the kernel's state
  void resume_all();  // as often as stop_all() was called
  // stop_all() within a time; false: some did not stand still, and all go on.
  bool try_stop_all(std::chrono::milliseconds timeout);
  StopGate& gate() { return *gate_; }
  // All of a container, which stands still. EAGAIN: somebody is in the middle of what cannot be
  // saved and will soon be over (vfork(2), execve(2)).
  Result<> save(state::Writer& to, Container& container);
  // The same in a kernel without processes: they stand still until resume_all().
  Result<> restore(state::Reader& from, Container& container);

  // Clocks as the guest sees them, nanoseconds.
  std::int64_t monotonic_ns() const;
  std::int64_t realtime_ns() const;
  std::int64_t boottime_ns() const;

  const Machine& machine() const { return machine_; }
  void set_machine(Machine machine) { machine_ = std::move(machine); }  // before the first process

  // Null: no new file systems, no memory files.
  FileServices* file_services(const Container& container) const {
    return container.file_services ? container.file_services.get() : file_services_.get();
  }
  void set_file_services(Ref<FileServices> services) { file_services_ = std::move(services); }

  UserCounts& user_counts() { return user_counts_; }

  // Calls without an implementation, counted by number for `why`.
  void count_missing_call(std::uint64_t number);
  std::map<std::uint64_t, std::uint64_t> missing_calls() const;

  // start_process() with a program that is loaded already.
  Result<Ref<ThreadGroup>> start_loaded(const ProcessRequest& request, Ref<FsContext> fs,
                                        LoadedProgram program);

  // Null: nobody. Set before the first task runs.
  std::unique_ptr<CallLog> call_log;
  // Null: resident sizes are not known. Set before the first task runs.
  std::unique_ptr<mm::HostFigures> host_figures;
  // Who waits for whose record lock, for EDEADLK.
  LockWaits& lock_waits() { return lock_waits_; }

 private:
  friend class TaskRunner;
  friend class Tracing;
  struct Garbage;

  void close_gate();

  // --- signals, under the group's signal mutex (signal_send.cc)
  static ErrnoOr<> send(ThreadGroup& group, Task* target, const SignalInfo& info);
  static void prepare_stop_and_continue(ThreadGroup& group, int signal);
  static void begin_group_exit(ThreadGroup& group, int status);
  static void discard_everywhere(ThreadGroup& group, SignalSet signals);

  // --- under the task lock: what a parent is told (notify.cc)
  static bool tell_parent_of_end(ThreadGroup& group);  // true: nobody will wait for it
  static void tell_parent_of_change(ThreadGroup& group, int code);
  void hang_up_if_orphaned(ProcessGroup& group, const ThreadGroup* leaving);

  // --- tables, under the task lock (task_tables.cc)
  static bool allocate_ids(const Ref<PidNamespace>& ns, std::vector<int>& ids);
  static void enter_tables(Task& task);
  static void leave_tables(Task& task);
  void count_process(ThreadGroup& group, std::uint32_t uid);
  void uncount_process(ThreadGroup& group);
  void reap(ThreadGroup& group, Garbage& garbage);
  Result<> restore_tables(const std::vector<Ref<ThreadGroup>>& groups, Container& container);

  void thread_begins();
  void thread_ended();

  // --- clone.cc
  ErrnoOr<Ref<Task>> copy_task(Task& caller, const CloneRequest& request);
  Ref<ThreadGroup> copy_group(Task& caller, const CloneRequest& request);
  static ErrnoOr<> copy_parts(Task& caller, Task& child, const CloneRequest& request);
  static ErrnoOr<> copy_guest(Task& caller, Task& child, const CloneRequest& request);
  ErrnoOr<> link_child(Task& caller, Task& child, const CloneRequest& request);
  ErrnoOr<> link_thread(Task& child);
  ErrnoOr<> link_group(Task& caller, Task& child, const CloneRequest& request);
  void unlink_child(Task& child);
  ErrnoOr<> link_first(const ProcessRequest& request, Task& task);  // start.cc
  static int wait_for_vfork(Task& caller, VforkDone& done, int id);

  // --- exit.cc
  void release_memory(Task& task);
  void end_task(Task& task);
  void reap_zombies_of(ThreadGroup& group);
  void end_namespace(Task& init);
  void leave_group(Task& task, Garbage& garbage);
  void end_group(ThreadGroup& group, Garbage& garbage);
  void reparent_children(ThreadGroup& group, Garbage& garbage);
  static ThreadGroup* find_reaper(ThreadGroup& group);
  void leave_session(ThreadGroup& group);
  void leave_container(ThreadGroup& group);

  // --- exec.cc
  ErrnoOr<> end_other_tasks(Task& caller);
  static void take_over_leader(Task& caller, Garbage& garbage);
  static void reset_for_program(Task& caller, const LoadedProgram& program);

  // Makes the group the leader of a new session and process group. Under the task lock.
  static void start_session(ThreadGroup& group);
  std::unique_ptr<platform::Platform> platform_;
  SyscallFunction syscall_;
  Machine machine_;
  Ref<FileServices> file_services_;
  std::unique_ptr<FutexTable> futexes_;
  std::unique_ptr<TimerQueue> timers_;
  std::unique_ptr<StopGate> gate_;
  mutable Mutex task_lock_{1};
  std::map<std::uint32_t, int> process_counts_;  // by real user id, under the task lock
  std::vector<Ref<Container>> containers_;
  std::mutex threads_mutex_;
  std::condition_variable no_threads_;
  int threads_ = 0;  // of tasks, until they touch the kernel no more
  UserCounts user_counts_;
  LockWaits lock_waits_;
  mutable Mutex count_mutex_;
  std::map<std::uint64_t, std::uint64_t> missing_calls_;
};

}  // namespace caisson::sandbox::kernel
