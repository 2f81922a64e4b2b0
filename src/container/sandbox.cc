#include "container/sandbox.h"

#include "container/errors.h"
#include "plan/sandbox.h"

namespace caisson::container {
namespace {

Result<> save_paused(Container& container, bool paused) {
  container.state.guests_paused = paused;
  return save(container);
}

}  // namespace

bool in_sandbox(const Container& container) { return container.state.wall == "sandbox"; }

plan::SandboxAddress sandbox_address(const Context& context, const Container& container) {
  const State& state = container.state;
  const std::string& leader = state.sandbox.empty() ? state.id : state.sandbox;
  return {cat(context.root, "/", plan::sandbox_socket_name(leader)), state.id};
}

Result<std::unique_ptr<plan::Sandbox>> reach_sandbox(Context& context, const Container& container) {
  return context.executor.reach_sandbox(sandbox_address(context, container));
}

Result<> check_joined(Context& context, std::string_view id) {
  auto refuse = [&](std::string cause, std::string cure) {
    return std::unexpected(Error::invalid(std::move(cause))
                               .doing("join the sandbox of container ", quoted(id))
                               .code("container.state")
                               .cure(std::move(cure)));
  };
  auto joined = TRY(look_at(context, id));
  const State& state = joined.state;
  if (state.wall != "sandbox")
    return refuse("its wall is the host's kernel", "run it with --wall sandbox");
  if (!state.sandbox.empty())
    return refuse(cat("it runs in that of ", quoted(state.sandbox)), cat("join ", state.sandbox));
  if (joined.status == Status::kRunning) return {};
  return refuse(cat("it is ", status_name(joined.status)), "start it first");
}

DropsSignal drops_signal(Context& context, const Container& container) {
  if (!in_sandbox(container)) return {};
  return [&context, &container](int signal) {
    auto sandbox = reach_sandbox(context, container);
    return sandbox && (*sandbox)->init_drops(signal).value_or(false);
  };
}

// Kept before it is done: a command that is killed in between leaves one that can be resumed.
Result<> pause_sandbox(Context& context, Container& container) {
  auto sandbox = TRY(reach_sandbox(context, container));
  TRY(save_paused(container, true));
  auto paused = sandbox->pause();
  if (paused) return {};
  (void)sandbox->resume();
  (void)save_paused(container, false);
  return paused;
}

Result<> resume_sandbox(Context& context, Container& container) {
  auto sandbox = TRY(reach_sandbox(context, container));
  TRY(sandbox->resume());
  return save_paused(container, false);
}

}  // namespace caisson::container
