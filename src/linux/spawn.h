// What a start and an exec have in common on the parent's side: shared memory, the launcher, the
// conversation with the new process until it runs its program.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/child.h"
#include "linux/child_report.h"
#include "plan/executor.h"
#include "sys/socket.h"

namespace caisson::linux {

// Memory that parent and child both see, whatever kind of clone made the child.
class SharedReport {
 public:
  // For a plan with so many mount steps.
  static Result<SharedReport> create(std::size_t mount_steps = 0);
  SharedReport(SharedReport&& other) noexcept
      : report_(std::exchange(other.report_, nullptr)), size_(other.size_) {}
  SharedReport& operator=(SharedReport&&) = delete;
  ~SharedReport();
  ChildReport& operator*() const { return *report_; }
  ChildReport* get() const { return report_; }

 private:
  SharedReport(ChildReport* report, std::size_t size) : report_(report), size_(size) {}
  ChildReport* report_;
  std::size_t size_;
};

// A memory file for the launcher, empty: made before the child, which inherits it.
Result<Fd> launcher_file();
// Puts the launcher's bytes there and seals it, so that nobody can change it any more.
Result<> fill_launcher(FdRef file);

// The launch block for a process, to be written to the memfd that the launcher reads.
struct LaunchBlock {
  const plan::ProcessPlan* process = nullptr;
  const std::vector<spec::Hook>* hooks = nullptr;  // startContainer
  std::string hook_state;
  int report_fd = -1;
  int start_fd = -1;
  int hook_out = -1, hook_err = -1;
  // See LaunchHeader.
  bool clone = false, new_session = false, terminal = false;
};
Result<> write_launch_block(FdRef file, const LaunchBlock& block);

// argv and envp of the launcher in `context`; strings of `process` and `extra_env` must outlive it.
void fill_arguments(ChildContext& context, const plan::ProcessPlan& process,
                    const plan::Strings& extra_env);

// A process under construction: killed and reaped when this goes away before release().
class NewProcess {
 public:
  NewProcess() = default;
  // `stack`: what it runs on in our memory, if it does, of kStackSize bytes.
  NewProcess(int pid, Fd pidfd, void* stack = nullptr)
      : pid_(pid), pidfd_(std::move(pidfd)), stack_(stack) {}
  NewProcess(NewProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)),
        pidfd_(std::move(other.pidfd_)),
        stack_(std::exchange(other.stack_, nullptr)) {}
  NewProcess& operator=(NewProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(stack_, other.stack_);
    return *this;
  }
  ~NewProcess() { kill_and_reap(); }
  int pid() const { return pid_; }
  const Fd& pidfd() const { return pidfd_; }
  Fd take_pidfd() { return std::move(pidfd_); }
  // Leaves it running, now that it has executed the launcher; the pidfd stays here until this goes
  // away.
  void release() {
    pid_ = 0;
    unmap_stack();
  }
  // Ends it; its wait status, if it was ours to reap.
  void kill_and_reap();

  static constexpr std::size_t kStackSize = 256 * 1024;

 private:
  void unmap_stack();
  int pid_ = 0;
  Fd pidfd_;
  void* stack_ = nullptr;
};

// Whether a child may run in our memory: sanitizers know one stack per thread only.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMayShareMemory = false;
#else
constexpr bool kMayShareMemory = true;
#endif

enum class Sharing { kMemory, kNothing };
// Makes the child. With kMemory it runs `entry` on a stack of its own in our memory; the stack goes
// with the NewProcess.
Result<NewProcess> spawn(ChildContext& context, Sharing sharing, void (*entry)(ChildContext&));

// Our end of the conversation.
struct Conversation {
  ChildContext* context = nullptr;
  FdRef socket;
  const plan::Plan* plan = nullptr;  // for the texts of errors; empty plan for exec
  // OOM kills so far in the new process's cgroups, to tell why it died; may be empty.
  std::function<std::uint64_t()> oom_kills;
};
enum class Event {
  kNetDevicesWanted,
  kHooksWanted,
  kDeviceRulesWanted,
  kMade,
  kScopeWanted,
  kIdsWanted,
  kWaiting,
  kListener,
  kRunning
};
// What came with messages.
struct Passed {
  int pid = 0;       // of the process that the launcher made
  Fd layers;         // of a machine view
  Fd listener_page;  // of a seccomp filter
};
// Waits for what comes next; an error of the child or the launcher is ours. Bounded by
// `timeout_ms`.
Result<Event> next_event(const Conversation& talk, const NewProcess& process, int timeout_ms,
                         Passed& passed);
// The end of a start: waits until the process runs its program, or waits for its start. The
// listener of a seccomp filter is given to `on_listener`.
Result<Event> last_event(const Conversation& talk, const NewProcess& process, int timeout_ms,
                         Passed& passed, const plan::ListenerFunction& on_listener);
Result<> say(const Conversation& talk, std::string_view message, std::span<const int> fds = {});

// Reports the child's step times.
void replay_times(const ChildReport& report, plan::Timeline* timeline);

}  // namespace caisson::linux
