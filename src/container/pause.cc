#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/sandbox.h"

namespace caisson::container {
namespace {

constexpr int kFreezeTimeoutMs = 10'000;

std::unexpected<Error> refuse(std::string_view id, std::string cause) {
  int errno_value = cause == "container not running" ? ESRCH : EBUSY;
  return std::unexpected(
      wrong_state(errno_value, std::move(cause)).doing("container ", quoted(id)));
}

// One kernel stands still as a whole.
std::unexpected<Error> refuse_member(const Container& container) {
  return std::unexpected(wrong_state(EBUSY, "it shares a sandbox with others")
                             .doing("container ", quoted(container.state.id))
                             .cure("pause ", container.state.sandbox, ", whose sandbox it is"));
}

}  // namespace

Result<> pause(Context& context, std::string_view id) {
  auto container = TRY(open_for_change(context, id));
  if (container.status == Status::kPaused) return refuse(id, "container paused");
  if (container.status == Status::kStopped) return refuse(id, "container not running");
  if (container.status == Status::kCreated && !container.state.paused_early) {
    container.state.paused_early = true;
    TRY(save(container));
  }
  if (!container.state.sandbox.empty()) return refuse_member(container);
  bool waits = container.status == Status::kCreated;
  if (in_sandbox(container) && !waits) return pause_sandbox(context, container);
  auto frozen = context.executor.freeze(container.state.cgroups, kFreezeTimeoutMs);
  // Half-frozen is worse than running.
  if (!frozen) (void)context.executor.thaw(container.state.cgroups, kFreezeTimeoutMs);
  return frozen;
}

Result<> resume(Context& context, std::string_view id) {
  auto container = TRY(open_for_change(context, id));
  if (container.status != Status::kPaused) return refuse(id, "container not paused");
  if (container.state.guests_paused) return resume_sandbox(context, container);
  return context.executor.thaw(container.state.cgroups, kFreezeTimeoutMs);
}

}  // namespace caisson::container
