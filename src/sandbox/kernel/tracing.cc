#include "sandbox/kernel/tracing.h"

#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint32_t kKnownOptions = 0xff | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP;
constexpr int kTrap = SIGTRAP;

std::unexpected<Errno> failed(int error) { return std::unexpected(Errno{error}); }

int event_status(int event) { return kTrap | event << 8; }

}  // namespace

// --- beginning and end

// Under the task lock and the target's signal mutex.
void Tracing::begin(ThreadGroup& tracer, Task& target, bool seized, std::uint32_t options) {
  target.tracing = Ref<Tracing>::adopt(new Tracing(tracer, seized, options));
  target.is_traced.store(true, std::memory_order_release);
  tracer.tracees.push_back(&target);
}

ErrnoOr<> Tracing::trace_me(Task& task) {
  ThreadGroup& group = task.group();
  {
    Locked tree(task.kernel().task_lock());
    if (task.tracing || group.parent == nullptr) return failed(EPERM);
    Locked locked(group.signal_mutex);
    begin(*group.parent, task, false, 0);
  }
  task.refresh_identity();
  return {};
}

ErrnoOr<> Tracing::attach(Task& caller, Task& target, bool seizes, std::uint32_t options) {
  if ((options & ~kKnownOptions) != 0) return failed(EIO);
  {
    Locked tree(caller.kernel().task_lock());
    ThreadGroup& group = target.group();
    if (&group == &caller.group() || target.tracing || target.ended_) return failed(EPERM);
    Locked locked(group.signal_mutex);
    begin(caller.group(), target, seizes, options);
    if (!seizes) (void)Kernel::send(group, &target, SignalInfo::kernel(SIGSTOP));
  }
  target.refresh_identity();
  return {};
}

int Tracing::inherit(Task& parent, Task& child, std::uint64_t clone_flags, int exit_signal) {
  Locked tree(parent.kernel().task_lock());
  Ref<Tracing> tracing = parent.tracing;
  if (!tracing || tracing->tracer_ == nullptr || (clone_flags & CLONE_UNTRACED) != 0) return 0;
  int event = PTRACE_EVENT_FORK;
  if ((clone_flags & CLONE_VFORK) != 0)
    event = PTRACE_EVENT_VFORK;
  else if (exit_signal != SIGCHLD)
    event = PTRACE_EVENT_CLONE;
  if (!tracing->has_option(1U << event)) return 0;
  Locked locked(child.group().signal_mutex);
  begin(*tracing->tracer_, child, tracing->seized_, tracing->options_);
  if (tracing->seized_)
    child.tracing->stop_wanted_ = true;
  else
    (void)Kernel::send(child.group(), &child, SignalInfo::kernel(SIGSTOP));
  child.interrupt();
  return event;
}

// Under the task lock.
void Tracing::end(Task& tracee, int signal) {
  Ref<Tracing> tracing = tracee.tracing;
  if (tracing->tracer_ != nullptr) std::erase(tracing->tracer_->tracees, &tracee);
  tracing->tracer_ = nullptr;
  {
    Locked locked(tracee.group().signal_mutex);
    tracee.tracing = nullptr;
    tracee.is_traced.store(false, std::memory_order_release);
  }
  {
    Locked lock(tracing->mutex_);
    tracing->stopped_ = false;
    tracing->listening_ = tracing->stop_wanted_ = false;
    tracing->mode_ = TraceMode::kContinue;
    tracing->resume_signal_ = signal;
  }
  tracing->resumed_.notify(POLLIN);
  tracee.refresh_identity();
}

void Tracing::tracer_ended(ThreadGroup& tracer) {
  while (!tracer.tracees.empty()) {
    Task& tracee = *tracer.tracees.back();
    bool kills = tracee.tracing->has_option(PTRACE_O_EXITKILL);
    end(tracee, 0);
    if (!kills) continue;
    Locked locked(tracee.group().signal_mutex);
    Kernel::begin_group_exit(tracee.group(), SIGKILL);
  }
  tracer.ended_tracees.clear();
}

void Tracing::tracee_ended(Task& task, int status) {
  if (!task.tracing) return;
  ThreadGroup* tracer = task.tracing->tracer_;
  bool is_leader = task.group().leader == &task;
  // A tracer that is the parent waits for the process as any parent does.
  if (tracer != nullptr && !(is_leader && tracer == task.group().parent)) {
    const PidNamespace& ns = *tracer->pid_namespace;
    EndedTracee ended{task.id_in(ns), task.group().id_in(ns), 0, status, task.usage()};
    if (Ref<vfs::Credentials> credentials = task.credentials_ref()) ended.uid = credentials->uid;
    tracer->ended_tracees.push_back(ended);
    tracer->child_changes.notify(POLLIN);
  }
  end(task, 0);
}

// --- the tracer

ErrnoOr<std::int64_t> Tracing::ask(Task& caller, const TraceRequest& request) {
  TaskWaiter waiter(caller);
  answered_.add(waiter);
  {
    Locked lock(mutex_);
    if (!stopped_ || listening_ || request_ != nullptr) {
      lock.unlock();
      answered_.remove(waiter);
      return failed(ESRCH);
    }
    answer_.reset();
    request_ = &request;
  }
  resumed_.notify(POLLIN);
  // It stands still, so it looks soon, or ends and says so: `request` is used until then.
  for (;;) {
    {
      Locked lock(mutex_);
      if (answer_) break;
    }
    sleep_uninterruptible(caller);
  }
  answered_.remove(waiter);
  Locked lock(mutex_);
  return *std::exchange(answer_, std::nullopt);
}

ErrnoOr<> Tracing::resume(TraceMode mode, int signal) {
  {
    Locked lock(mutex_);
    if (!stopped_) return failed(ESRCH);
    stopped_ = listening_ = false;
    mode_ = mode;
    resume_signal_ = signal;
  }
  resumed_.notify(POLLIN);
  return {};
}

ErrnoOr<> Tracing::detach(Task& tracee, int signal) {
  {
    Locked lock(mutex_);
    if (!stopped_) return failed(ESRCH);
  }
  Locked tree(tracee.kernel().task_lock());
  if (tracee.tracing.get() == this) end(tracee, signal);
  return {};
}

ErrnoOr<> Tracing::set_options(std::uint32_t options) {
  if ((options & ~kKnownOptions) != 0) return failed(EINVAL);
  Locked lock(mutex_);
  if (!stopped_) return failed(ESRCH);
  options_ = options;
  return {};
}

ErrnoOr<> Tracing::interrupt(Task& tracee) {
  if (!seized_) return failed(EIO);
  {
    Locked lock(mutex_);
    if (stopped_ && !listening_) return {};
  }
  continued(tracee);
  {
    Locked lock(mutex_);
    stop_wanted_ = true;
  }
  tracee.interrupt();
  return {};
}

ErrnoOr<> Tracing::listen() {
  Locked lock(mutex_);
  if (!stopped_) return failed(ESRCH);
  if (!seized_ || stop_.status >> 8 != PTRACE_EVENT_STOP) return failed(EIO);
  listening_ = true;
  return {};
}

ErrnoOr<> Tracing::set_info(const SignalInfo& info) {
  Locked lock(mutex_);
  if (!stopped_) return failed(ESRCH);
  if (!stop_.info) return failed(EINVAL);
  stop_.info = info;
  return {};
}

ErrnoOr<TraceStop> Tracing::stop() const {
  Locked lock(mutex_);
  if (!stopped_ || listening_) return failed(ESRCH);
  return stop_;
}

bool Tracing::has_option(std::uint32_t option) const {
  Locked lock(mutex_);
  return (options_ & option) != 0;
}

std::optional<TraceStop> Tracing::changed(bool keeps) {
  Locked lock(mutex_);
  if (!stopped_ || reported_) return std::nullopt;
  reported_ = keeps ? reported_ : true;
  return stop_;
}

// --- the tracee

void Tracing::tell_tracer(Task& task) {
  Locked tree(task.kernel().task_lock());
  if (tracer_ == nullptr) return;
  SignalInfo info;
  info.signal = SIGCHLD;
  info.code = CLD_TRAPPED;
  info.pid = task.id_in(*tracer_->pid_namespace);
  info.uid = task.credentials().uid;
  {
    Locked lock(mutex_);
    info.status = stop_.status & 0x7f;
  }
  {
    Locked locked(tracer_->signal_mutex);
    const SignalAction& action = tracer_->actions[SIGCHLD];
    if (action.handler != 1 && (action.flags & SA_NOCLDSTOP) == 0)
      (void)Kernel::send(*tracer_, nullptr, info);  // a standard signal needs no room
  }
  tracer_->child_changes.notify(POLLIN);
}

// What the tracer asked for while this stands still; false: it is to go on.
bool Tracing::answer_request() {
  const TraceRequest* request = nullptr;
  {
    Locked lock(mutex_);
    if (request_ == nullptr) return stopped_;
    request = request_;
  }
  ErrnoOr<std::int64_t> answer = (*request)();
  Locked lock(mutex_);
  request_ = nullptr;
  answer_ = answer;
  answered_.notify(POLLIN);
  return true;
}

int Tracing::stop_here(Task& task, TraceStop stop) {
  {
    Locked lock(mutex_);
    resume_signal_ = stop.info ? stop.info->signal : 0;
    stop_ = std::move(stop);
    stopped_ = true;
    reported_ = false;
    stop_wanted_ = false;
  }
  {
    Locked tree(task.kernel().task_lock());
    Locked lock(mutex_);
    if (tracer_ == nullptr) stopped_ = false;  // it went meanwhile
    if (!stopped_) return resume_signal_;
  }
  TaskWaiter waiter(task);
  resumed_.add(waiter);
  tell_tracer(task);
  RunState before = task.state.exchange(RunState::kStopped, std::memory_order_relaxed);
  while (answer_request())
    if (sleep_killable(task, std::nullopt) == WakeReason::kInterrupted) break;
  resumed_.remove(waiter);
  task.state.store(before, std::memory_order_relaxed);
  Locked lock(mutex_);
  stopped_ = false;
  if (request_ != nullptr) {  // it is being killed
    request_ = nullptr;
    answer_ = failed(ESRCH);
    answered_.notify(POLLIN);
  }
  return resume_signal_;
}

bool Tracing::event(Task& task, int event, std::uint64_t message) {
  if (!has_option(1U << event)) return false;
  SignalInfo info;
  info.signal = kTrap;
  info.code = event_status(event);
  info.pid = task.id();
  info.uid = task.credentials().uid;
  (void)stop_here(task, {event_status(event), message, info,
                         event == PTRACE_EVENT_SECCOMP ? CallStop::kFilter : CallStop::kNone});
  return true;
}

void Tracing::executed(Task& task, int former_id) {
  if (event(task, PTRACE_EVENT_EXEC, static_cast<std::uint64_t>(former_id)) || seized_) return;
  (void)task.kernel().signal_task(task, SignalInfo::user(kTrap, task.id(), task.credentials().uid));
}

TraceMode Tracing::mode() const {
  Locked lock(mutex_);
  return mode_;
}

void Tracing::stop_at_call(Task& task, CallStop which) {
  TraceMode now = mode();
  bool emulates = now == TraceMode::kEmulate || now == TraceMode::kEmulateStep;
  bool wanted = now == TraceMode::kSyscall || (emulates && which == CallStop::kEntry);
  if (!wanted) return;
  int status = kTrap | (has_option(PTRACE_O_TRACESYSGOOD) ? 0x80 : 0);
  SignalInfo info;
  info.signal = kTrap;
  info.code = status;
  info.pid = task.id();
  info.uid = task.credentials().uid;
  std::uint64_t message =
      which == CallStop::kEntry ? 1 : 2;  // PTRACE_EVENTMSG_SYSCALL_ENTRY, _EXIT
  int signal = stop_here(task, {status, message, info, which});
  // As Linux: a signal that the tracer gave is sent, and stops once more.
  if (signal != 0 && signal != kTrap)
    (void)task.kernel().signal_task(task, SignalInfo::user(signal, 0, 0));
}

void Tracing::stop_if_wanted(Task& task) {
  {
    Locked lock(mutex_);
    if (!stop_wanted_) return;
  }
  SignalInfo info;
  info.signal = kTrap;
  info.code = event_status(PTRACE_EVENT_STOP);
  info.pid = task.id();
  info.uid = task.credentials().uid;
  (void)stop_here(task, {event_status(PTRACE_EVENT_STOP), 0, info, CallStop::kNone});
}

void Tracing::continued(Task& task) {
  {
    Locked lock(mutex_);
    if (!listening_) return;
    listening_ = stopped_ = false;
    stop_wanted_ = true;
    resume_signal_ = 0;
  }
  resumed_.notify(POLLIN);
  task.interrupt();
}

}  // namespace caisson::sandbox::kernel
