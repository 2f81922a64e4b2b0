// Task: one guest thread. Each has a thread of the kernel process, its owner, which runs the guest
// by the platform and answers its calls: run() is that thread's whole life.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/block.h"
#include "sandbox/kernel/fd_table.h"
#include "sandbox/kernel/namespaces.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/kernel/thread_group.h"
#include "sandbox/mm/memory_map.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::kernel {

class Kernel;
class SemaphoreUndo;
class SyscallFilter;
class Tracing;

// For /proc/PID/stat: R, S, T, Z, X.
enum class RunState : char {
  kRunning = 'R',
  kSleeping = 'S',
  kStopped = 'T',
  kZombie = 'Z',
  kDead = 'X',
};

// When a child that was made with CLONE_VFORK has let go of its parent's memory.
class VforkDone final : public RefCounted {
 public:
  std::atomic<bool> done{false};
  vfs::WaitQueue queue;

 private:
  ~VforkDone() override = default;
};

struct AlternateStack {  // sigaltstack(2)
  std::uint64_t address = 0, size = 0;
  std::uint32_t flags = 2;  // SS_DISABLE
};

// Which lock holds what: [O] the task's own thread only, [T] the kernel's task lock, [S] the thread
// group's signal_mutex, [-] fixed, [M] mutex_ (set by the owner, read by others).
class Task final : public RefCounted, public vfs::Caller {
 public:
  Task(Kernel& kernel, Ref<ThreadGroup> group);

  Kernel& kernel() const { return kernel_; }
  ThreadGroup& group() const { return *group_; }
  int id() const { return ids.back(); }  // as it sees itself (gettid(2))
  int id_in(const PidNamespace& ns) const;
  // As the parts of the kernel that keep time tell it: what ran until `now_ns` was in the kernel.
  void add_system_time(std::int64_t now_ns);
  void restart_system_time(std::int64_t now_ns);

  // --- vfs::Caller
  const vfs::Credentials& credentials() const override { return *credentials_; }  // [O]
  mm::MemoryMap& memory() override { return *memory_; }                           // [O]
  const void* lock_owner() const override { return files_.get(); }                // [O]

  // --- parts that clone(2) shares or copies. Getters without a lock are for the owner; the others
  // (as /proc needs them) take a reference under [M] and may give null for a task that ended.
  void set_credentials(Ref<vfs::Credentials> credentials);
  Ref<vfs::Credentials> credentials_ref() const;
  FdTable& files() const { return *files_; }
  Ref<FdTable> files_ref() const;
  FsContext& fs() const { return *fs_; }
  Ref<FsContext> fs_ref() const;
  vfs::MountNamespace& mounts() const { return *mounts_; }
  Ref<vfs::MountNamespace> mounts_ref() const;
  Ref<mm::MemoryMap> memory_ref() const;
  UtsNamespace& uts() const { return *uts_; }
  void set_files(Ref<FdTable> files);
  void set_fs(Ref<FsContext> fs);
  void set_mounts(Ref<vfs::MountNamespace> mounts);
  void set_memory(Ref<mm::MemoryMap> memory);
  void set_uts(Ref<UtsNamespace> uts);
  Ref<UtsNamespace> uts_ref() const;
  Ref<OpaqueNamespace> ipc, network, cgroup;  // [O]
  Ref<PidNamespace> children_pids;            // [O] null: that of its group
  Ref<SemaphoreUndo> semaphore_undo;          // [O] null: no semop(2) with SEM_UNDO yet

  std::string name() const;  // comm, at most 15 bytes
  void set_name(std::string_view name);

  // --- calls by path: where this task's paths begin. `dirfd`: AT_FDCWD or a directory's
  // descriptor. EBADF, ENOTDIR.
  ErrnoOr<vfs::WalkContext> walk_context(int dirfd);
  ErrnoOr<Ref<vfs::File>> file(int fd) { return files().get(fd); }
  ErrnoOr<int> add_file(Ref<vfs::File> file, bool close_on_exec);

  // --- the guest thread
  platform::Thread& thread() { return *thread_; }  // [O]
  platform::Registers& registers() { return thread_->registers(); }
  mm::MemoryLimits memory_limits() const;

  // --- signals
  SignalSet blocked = 0;                // [O] written under [S]
  std::optional<SignalSet> saved_mask;  // [O] sigsuspend, ppoll: put back after the handler
  PendingSignals pending;               // [S]
  SignalSet awaited = 0;                // [S] sigtimedwait(2): these wake it though blocked
  AlternateStack alternate_stack;       // [O]
  // Whether a signal, a stop or the end waits to be acted on: long work looks at it.
  bool interrupted() const { return interrupted_.load(std::memory_order_acquire); }
  // Sets `blocked` under the lock and looks again at what is pending. SIGKILL and SIGSTOP stay out.
  void set_blocked(SignalSet blocked_now);
  // For calls that wait with another mask (ppoll, sigsuspend): until the call ends, or the handler
  // that ended it returns.
  void set_temporary_mask(SignalSet mask);
  // Whether it will not run guest code again. [S]
  bool dying() const { return dying_.load(std::memory_order_acquire); }

  // --- other state
  std::vector<int> ids;               // [-] per pid namespace, outermost first
  std::uint64_t clear_child_tid = 0;  // [O]
  std::uint64_t robust_list = 0;      // [O]
  int parent_death_signal = 0;        // [T]
  std::atomic<RunState> state{RunState::kRunning};
  // Times and counts so far; any thread.
  ResourceUsage usage() const;
  std::uint64_t timer_slack_ns = 50000;                        // [O]
  int nice = 0, scheduler_policy = 0, scheduler_priority = 0;  // [T]
  int io_priority = 0;                                         // [T]
  std::vector<std::uint64_t> affinity;                         // [T] empty: all
  std::int64_t start_time_ns = 0;                              // [-] CLOCK_BOOTTIME
  std::uint32_t personality = 0;                               // [O]
  platform::Fault last_fault;                                  // [O] for signal frames
  std::uint64_t tid_address = 0;                               // [O] CLONE_CHILD_SETTID
  bool keeps_registers = false;  // [O] the call set them all (execve, rt_sigreturn): no result
  Ref<VforkDone> vfork_done;     // [O] who waits for this child to let go of its memory
  std::atomic<bool> owns_pi_futex{false};  // somebody waits for a futex that it holds

  // seccomp(2): SECCOMP_MODE_*; with filters, the newest of them. [M]
  std::atomic<int> seccomp_mode{0};
  Ref<SyscallFilter> filter_ref() const;
  void set_filter(Ref<SyscallFilter> filter);

  // ptrace(2); null: nobody traces it. [T] and [S] to change, either to read; tracing_ref() with
  // neither.
  Ref<Tracing> tracing;
  std::atomic<bool> is_traced{false};
  Ref<Tracing> tracing_ref() const;
  // What answers without a hand-over is to leave this task's calls to the kernel: somebody looks at
  // them. Published by refresh_identity().
  bool calls_are_watched() const;

  // For the restart of a call that keeps state (nanosleep(2), futex(2)...).
  Restart restart;                // [O]
  std::int64_t restart_code = 0;  // [O] what the current call asked for (kRestart...), 0: nothing

  // Its ids changed or its parent's: what answers without a hand-over is to know.
  void refresh_identity();

  // --- checkpoints (task_save.cc)
  state::Tag save_tag() const { return state::Tag::kTask; }
  Result<> save(state::Writer& to);
  static Result<Ref<Task>> restore(state::Reader& from);
  // Around a wait at which a checkpoint may find it: keeps what only the owner may ask of the guest
  // thread. Such a wait comes to an end by being begun again.
  void stand();
  void go_on() { standing_.reset(); }

  // --- sleeping (block.h)
  void wake();       // from any thread: a waiter was notified
  void interrupt();  // from any thread: look at signals and stops; ends sleeps and guest code

 private:
  friend class Kernel;
  friend class TaskRunner;
  friend class Tracing;
  friend class Sleeper;
  ~Task() override;
  Result<> check_savable() const;
  Result<> restore_parts(state::Reader& from);
  Result<> restore_guest(state::Reader& from);

  Kernel& kernel_;
  Ref<ThreadGroup> group_;
  mutable Mutex mutex_;
  Ref<vfs::Credentials> credentials_;
  Ref<FdTable> files_;
  Ref<FsContext> fs_;
  Ref<vfs::MountNamespace> mounts_;
  Ref<mm::MemoryMap> memory_;
  Ref<UtsNamespace> uts_;
  Ref<SyscallFilter> filter_;
  std::string name_;
  std::unique_ptr<platform::Thread> thread_;
  std::atomic<bool> interrupted_{false};     // [S] written
  std::atomic<bool> dying_{false};           // [S] written
  std::atomic<bool> in_guest_{false};        // run() is active or about to be
  std::atomic<bool> identity_stale_{false};  // its parent changed: publish again
  std::atomic<std::uint32_t> wake_word_{0};  // block.cc
  bool exiting_ = false;                     // [O] exit(2) was called, or it was ended
  bool ended_ = false;                       // [T] runs no more
  int exit_code_ = 0;                        // [O]
  bool in_stop_ = false;                     // [S] counted in stopped_tasks
  struct Standing {
    platform::Registers registers;
    std::vector<std::byte> extended;
  };
  std::optional<Standing> standing_;       // [O], read by others while all stand still
  bool begun_ = false;                     // [O] the same: its guest thread may have run
  std::vector<std::byte> first_extended_;  // [O] what a restored one begins with
  // Nanoseconds in guest code and in the kernel, and since when what it does now; written by the
  // owner only.
  std::atomic<std::int64_t> user_ns_{0}, system_ns_{0}, guest_since_{0}, kernel_since_{0};
  std::atomic<std::uint64_t> faults_{0}, switches_{0}, interruptions_{0};
};

}  // namespace caisson::sandbox::kernel
