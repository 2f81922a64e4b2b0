// Mounts of a container that runs.
#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "plan/compile.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

struct Target {
  Container container;
  spec::ContainerSpec spec;
};

Result<> open_target(Context& context, std::string_view id, Target& out) {
  out.container = TRY(open_for_change(context, id));
  Status status = out.container.status;
  if (status == Status::kStopped || status == Status::kCreating) {
    return std::unexpected(
        wrong_state(ESRCH, "container not running").doing("container ", quoted(id)));
  }
  return read_spec(out.container, out.spec);
}

Result<> change(Context& context, const Target& target, const plan::Plan& plan) {
  for (const auto& notice : plan.notices) {
    if (context.warn) context.warn(notice);
  }
  const State& state = target.container.state;
  plan::ProcessHandle init;
  init.pid = state.init.pid;
  init.start_time = state.init.start_time;
  init.pidfd = TRY_CTX(sys::dup_cloexec(target.container.init), "duplicate a pidfd");
  return context.executor.change_mounts({&plan, &init});
}

}  // namespace

Result<> add_mounts(Context& context, std::string_view id, const std::vector<spec::Mount>& mounts) {
  Target target;
  TRY(open_target(context, id, target));
  const auto host = TRY(context.executor.host_facts(false));
  plan::Options options;
  options.id = target.container.state.id;
  options.rootless = context.rootless;
  const auto plan = TRY(plan::compile_mounts(target.spec, mounts, host, options));
  return change(context, target, plan);
}

Result<> remove_mounts(Context& context, std::string_view id, const Strings& destinations) {
  Target target;
  TRY(open_target(context, id, target));
  return change(context, target, plan::compile_unmounts(target.spec, destinations));
}

}  // namespace caisson::container
