// The start of a container as an ordered array of named steps; create.cc and run.cc walk it. What
// happens inside the new process meanwhile is the executor's matter.
//
// Nothing on the host is touched before the step "claim". When a step fails, everything is taken
// back.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"
#include "container/container.h"
#include "container/foreground.h"
#include "container/log.h"
#include "container/notify_proxy.h"
#include "container/seccomp_agent.h"
#include "plan/plan.h"

namespace caisson::container {

// What the steps share; the caller fills the first part.
struct Start {
  Context& context;
  const CreateOptions& options;
  std::optional<RunMode> run;  // empty: init shall wait for a start
  bool remove_on_exit = false;
  bool end_with_caller = false;
  std::uint64_t log_limit = 0;

  plan::Plan plan;
  plan::HostFacts host;
  Container container;  // locked from the step "claim" on
  plan::Stdio stdio;
  Fd null_input, out_writer, err_writer;  // for the container
  Fd out_reader, err_reader, control;     // for the supervisor
  std::optional<LogWriter> log;           // the same
  Fd console_sender, console_receiver;    // ours, when we hold the terminal
  SeccompAgent seccomp_agent;
  NotifyProxy notify;
  Fd layers;
  std::optional<ForegroundSignals> signals;  // of a run in the foreground

  Start(Context& the_context, const CreateOptions& the_options)
      : context(the_context), options(the_options) {}
};

// All steps. On success the container is created or runs, and the lock is still held.
Result<> run_start_sequence(Start& start);

// Gives notices of the plan to the context's `warn`.
void tell_notices(const Context& context, const plan::Plan& plan);

// Writes `pid` to a file that appears complete.
Result<> write_pid_file(const std::string& path, int pid);
// Connects to the stream socket `path` and sends the descriptor with `name` as payload.
Result<> send_to_socket(const std::string& path, std::string_view name, FdRef fd);

}  // namespace caisson::container
