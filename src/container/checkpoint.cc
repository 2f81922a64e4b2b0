#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/notify_proxy.h"
#include "plan/compile.h"
#include "plan/sandbox.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

bool is_sandbox(const Container& container) { return container.state.wall == "sandbox"; }

// Its kernel saves itself: it must be able to run.
Result<> check_not_paused(const Container& container) {
  if (!container.state.sandbox.empty()) {
    return std::unexpected(wrong_state(EBUSY, "it shares a sandbox with others")
                               .doing("container ", quoted(container.folder.id))
                               .cure("only a sandbox of one container can be saved"));
  }
  if (container.status != Status::kPaused) return {};
  return std::unexpected(wrong_state(EBUSY, "a sandbox that is paused cannot save itself")
                             .doing("container ", quoted(container.folder.id))
                             .cure("resume it, then save it"));
}

Result<> check_savable(const Context& context, const Container& container) {
  bool savable = container.status == Status::kRunning || container.status == Status::kPaused;
  if (!savable) {
    int errno_value = container.status == Status::kStopped ? ESRCH : EBUSY;
    return std::unexpected(wrong_state(errno_value, cat("container cannot be checkpointed in ",
                                                        status_name(container.status), " state"))
                               .doing("container ", quoted(container.folder.id)));
  }
  if (!context.rootless || is_sandbox(container)) return {};
  return std::unexpected(Error(Errno{EPERM})
                             .doing("save container ", quoted(container.folder.id))
                             .cure("CRIU needs root: run it with sudo")
                             .code("checkpoint.privilege"));
}

// The plan that the container was started by, as far as mounts and namespaces go.
Result<plan::Plan> plan_of(Context& context, const Container& container) {
  spec::ContainerSpec spec;
  TRY(read_spec(container, spec));
  auto host = TRY(context.executor.host_facts(false));
  plan::Options options;
  options.id = container.state.id;
  options.default_cgroup_name = container.state.id;
  options.systemd_scope = !container.state.systemd_scope.empty();
  options.no_cgroups = container.state.cgroups.empty();
  std::string notify = cat(container.folder.path, "/", kNotifyDirectory);
  if (sys::faccessat(sys::kCwd, notify.c_str(), F_OK)) options.notify_directory = std::move(notify);
  return plan::compile(spec, host, options);
}

// CRIU reads its images, and opens the standard streams anew, as the root of the container: of a
// new user namespace that one may do neither. A container that no restore could make is not ended.
Result<> check_restorable(const plan::Plan& plan) {
  TRY(plan::external_mounts(plan, plan.cgroup));
  if (!plan.namespaces.is_new(spec::NamespaceKind::kUser)) return {};
  return std::unexpected(
      Error::with_cause(EOPNOTSUPP, "CRIU could not restore it in a user namespace of its own")
          .doing("save the container")
          .where("linux.namespaces")
          .cure("only containers without a user namespace can be saved")
          .code("checkpoint.unsupported"));
}

}  // namespace

Result<> checkpoint(Context& context, std::string_view id, const plan::CriuOptions& options) {
  auto container = TRY(open_for_change(context, id));
  TRY(check_savable(context, container));
  const auto plan = TRY(plan_of(context, container));
  if (is_sandbox(container))
    TRY(check_not_paused(container));
  else
    TRY(check_restorable(plan));
  plan::ProcessHandle init{container.state.init.pid, container.state.init.start_time,
                           TRY_CTX(sys::dup_cloexec(container.init), "duplicate a pidfd")};
  plan::CheckpointRequest request;
  request.plan = &plan;
  request.options = &options;
  request.init = &init;
  request.cgroups = container.state.cgroups;
  if (is_sandbox(container))
    request.control_socket = cat(context.root, "/", plan::sandbox_socket_name(container.state.id));
  TRY(context.executor.checkpoint(request));
  if (options.leave_running || options.pre_dump) return {};
  container.lock.release();
  // What it was is in the images now. Whoever watches init may be quicker.
  return remove(context, id, true);
}

}  // namespace caisson::container
