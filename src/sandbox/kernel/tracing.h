// ptrace(2) between guests: one task that another process traces. A traced task stops in its own
// thread, at the places of its loop that are named below; what its tracer wants to know of its
// registers and memory it is asked for there, since they are its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/signals.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

class Kernel;
class Task;
class ThreadGroup;

// How a stopped task goes on: PTRACE_CONT and its siblings.
enum class TraceMode : std::uint8_t { kContinue, kSyscall, kStep, kEmulate, kEmulateStep };

enum class CallStop : std::uint8_t { kNone, kEntry, kExit, kFilter };

struct TraceStop {
  int status = 0;                  // what wait4(2) shows above 0x7f: signal | event << 8
  std::uint64_t message = 0;       // PTRACE_GETEVENTMSG
  std::optional<SignalInfo> info;  // PTRACE_GETSIGINFO; none: EINVAL
  CallStop call = CallStop::kNone;
};

using TraceRequest = std::function<ErrnoOr<std::int64_t>()>;

class Tracing final : public RefCounted {
 public:
  // --- beginning and end. EPERM.
  static ErrnoOr<> trace_me(Task& task);
  // Permission to inspect it has been checked.
  static ErrnoOr<> attach(Task& caller, Task& target, bool seizes, std::uint32_t options);
  // A task that a traced one made, before it runs; which event that is, 0: none that is asked for.
  static int inherit(Task& parent, Task& child, std::uint64_t clone_flags, int exit_signal);
  // --- under the task lock: tracers that end let their tracees go; tracees that end are none.
  static void tracer_ended(ThreadGroup& tracer);
  static void tracee_ended(Task& task, int status);
  static void end(Task& tracee, int signal);

  // --- the tracer's calls about a task that it traces. ESRCH unless that is stopped.
  // What the tracee's own thread does while it stands still.
  ErrnoOr<std::int64_t> ask(Task& caller, const TraceRequest& request);
  ErrnoOr<> resume(TraceMode mode, int signal);
  ErrnoOr<> detach(Task& tracee, int signal);
  ErrnoOr<> set_options(std::uint32_t options);  // EINVAL
  ErrnoOr<> interrupt(Task& tracee);             // PTRACE_INTERRUPT. EIO: not seized
  ErrnoOr<> listen();                            // PTRACE_LISTEN. EIO
  ErrnoOr<> set_info(const SignalInfo& info);
  ErrnoOr<TraceStop> stop() const;
  ThreadGroup* tracer() const { return tracer_; }  // under the task lock
  bool is_seized() const { return seized_; }

  // wait4(2) of the tracer, under the task lock; none: nothing new.
  std::optional<TraceStop> changed(bool keeps);

  // --- the tracee's own thread
  // Stops until it is resumed; the signal that it is to go on with (0: none).
  int stop_here(Task& task, TraceStop stop);
  // An event (PTRACE_EVENT_*), if its option is set.
  bool event(Task& task, int event, std::uint64_t message);
  void executed(Task& task, int former_id);
  TraceMode mode() const;
  // The stop at a system call's entry or exit, if the mode wants one.
  void stop_at_call(Task& task, CallStop which);
  // A stop that is due now: PTRACE_INTERRUPT, a new seized task, SIGCONT after PTRACE_LISTEN.
  void stop_if_wanted(Task& task);
  // SIGCONT came. Under the tracee's signal mutex.
  void continued(Task& task);

 private:
  Tracing(ThreadGroup& tracer, bool seized, std::uint32_t options)
      : tracer_(&tracer), seized_(seized), options_(options) {}
  ~Tracing() override = default;
  static void begin(ThreadGroup& tracer, Task& target, bool seized, std::uint32_t options);
  void tell_tracer(Task& task);
  bool answer_request();
  bool has_option(std::uint32_t option) const;

  ThreadGroup* tracer_;  // under the task lock
  const bool seized_;
  mutable Mutex mutex_;
  std::uint32_t options_;
  bool stopped_ = false, reported_ = true, listening_ = false, stop_wanted_ = false;
  TraceStop stop_;
  TraceMode mode_ = TraceMode::kContinue;
  int resume_signal_ = 0;
  const TraceRequest* request_ = nullptr;
  std::optional<ErrnoOr<std::int64_t>> answer_;
  vfs::WaitQueue resumed_;   // for the tracee: resumed, or asked
  vfs::WaitQueue answered_;  // for the tracer
};

}  // namespace caisson::sandbox::kernel
