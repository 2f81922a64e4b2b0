#include "container/api.h"
#include "container/container.h"
#include "container/foreground.h"
#include "container/repair.h"
#include "container/sandbox.h"
#include "container/start_sequence.h"
#include "container/supervisor.h"

namespace caisson::container {
namespace {

// What follows the end of a program in the foreground. Another command may be removing the
// container.
void finish(Context& context, Container& container, Exit& exit, bool remove) {
  plan::TimedStep timed(context.timeline, "clean-up");
  bool well = exit.code == 0 && exit.signal == 0;
  exit.oom = !well && context.executor.oom_kills(container.state.cgroups) > 0;
  // A kept container keeps its cgroup too: engines read its figures after the end.
  if (!remove) {
    (void)save_exit(container.folder, exit);
    return;
  }
  auto lock = lock_folder(context, container.folder);
  if (!lock) {
    bool gone = lock.error().code() == "container.missing";
    if (!gone && context.warn) context.warn(lock.error().message());
    return;
  }
  container.lock = std::move(*lock);
  auto discarded = discard(context, container);
  if (!discarded && context.warn) {
    context.warn(cat("clean-up is not complete: ", discarded.error().message()));
  }
}

Result<RunResult> run_in_foreground(Context& context, const RunOptions& options) {
  Start start(context, options.create);
  start.run = RunMode::kForeground;
  start.remove_on_exit = options.remove_on_exit;
  start.end_with_caller = options.end_with_caller;
  TRY(run_start_sequence(start));
  Container& container = start.container;
  container.lock.release();
  RunResult result{container.state.init.pid, {}, {}};
  plan::ProcessHandle init{container.state.init.pid, container.state.init.start_time,
                           std::move(container.init)};
  {
    plan::TimedStep timed(context.timeline, "program");
    result.exit =
        TRY(wait_in_foreground(init, *start.signals, start.console_receiver, options.create.stdio,
                               start.notify, drops_signal(context, container)));
  }
  finish(context, container, result.exit, options.remove_on_exit);
  return result;
}

Result<RunResult> run_and_leave(Context& context, const RunOptions& options) {
  Start start(context, options.create);
  start.run = RunMode::kDetached;
  TRY(run_start_sequence(start));
  start.container.lock.release();
  int pid = start.container.state.init.pid;
  if (start.notify) TRY(start.notify.wait(pid, start.container.init));
  return RunResult{pid, {}, std::move(start.container.init)};
}

}  // namespace

Result<RunResult> run(Context& context, const RunOptions& options) {
  switch (options.mode) {
    case RunMode::kForeground: return run_in_foreground(context, options);
    case RunMode::kSupervised:
      if (!context.embedded) return run_supervised(context, options);
      return std::unexpected(
          Error::with_cause(ENOTSUP, "a supervisor can't be forked from a process with threads"));
    case RunMode::kDetached: break;
  }
  return run_and_leave(context, options);
}

}  // namespace caisson::container
