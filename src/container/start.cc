#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/fault.h"
#include "container/hooks.h"
#include "container/notify_proxy.h"
#include "container/seccomp_agent.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

// Hooks of startContainer run inside this time.
constexpr int kStartTimeoutMs = 60'000;
constexpr int kKillTimeoutMs = 10'000;

Result<> check_startable(const Container& container) {
  switch (container.status) {
    case Status::kCreated: return {};
    case Status::kStopped:
      return std::unexpected(wrong_state(EBUSY, "cannot start a container that has stopped"));
    case Status::kPaused:
      return std::unexpected(wrong_state(EBUSY, "cannot start a container in the paused state")
                                 .cure("resume it first"));
    case Status::kCreating:
    case Status::kRunning: break;
  }
  return std::unexpected(wrong_state(EBUSY, "cannot start an already running container"));
}

// The hooks of the configuration as it was at create. Most configurations have none and need not be
// parsed.
Result<> run_poststart_hooks(const Container& container) {
  if (container.config.find("\"poststart\"") == std::string::npos) return {};
  spec::ContainerSpec spec;
  TRY(read_spec(container, spec));
  Snapshot snapshot{container.state, Status::kRunning, {}};
  auto output = TRY(HookOutput::open(spec.annotations));
  return run_hooks(spec.hooks.poststart, "poststart", state_json(snapshot, ""), output.place());
}

Result<> go(Context& context, Container& container) {
  const State& state = container.state;
  SeccompAgent agent;
  if (!state.seccomp_agent.empty()) {
    agent = TRY(SeccompAgent::connect(state.seccomp_agent, state.seccomp_metadata));
  }
  plan::StartRequest request;
  auto socket = TRY(start_socket(container.folder));
  request.state_dir = socket.directory.number();
  request.start_socket = socket.name;
  request.init_pid = state.init.pid;
  request.init_pidfd = container.init.number();
  request.timeout_ms = kStartTimeoutMs;
  request.on_listener = [&](FdRef listener, int pid) {
    return agent.send(listener, pid, state, Status::kCreated);
  };
  fault_point(context, "start", "note");
  container.state.progress = Progress::kStarting;
  TRY(save(container));
  fault_point(context, "start", "go");
  TRY(context.executor.start(request));
  fault_point(context, "start", "save");
  container.state.progress = Progress::kStarted;
  TRY(save(container));
  remove_start_socket(container.folder);
  return {};
}

}  // namespace

Result<> start(Context& context, std::string_view id, const std::string& notify_socket) {
  auto container = TRY(open_for_change(context, id));
  auto startable = check_startable(container);
  if (!startable)
    return std::unexpected(std::move(startable).error().doing("container ", quoted(id)));
  NotifyProxy notify;
  bool notifies = !notify_socket.empty() && has_notify_directory(container.folder);
  if (notifies) notify = TRY(NotifyProxy::open(TRY(make_folder(container.folder)), notify_socket));
  TRY(go(context, container));
  fault_point(context, "start", "poststart");
  auto hooks = run_poststart_hooks(container);
  if (!hooks) {
    // The specification: stop the container and report the error.
    (void)kill_init(context, container, kKillTimeoutMs);
    return hooks;
  }
  if (!notify) return {};
  container.lock.release();
  return notify.wait(container.state.init.pid, container.init);
}

}  // namespace caisson::container
