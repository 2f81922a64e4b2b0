#include "container/api.h"
#include "container/container.h"
#include "container/control.h"
#include "container/errors.h"
#include "container/fault.h"
#include "container/process.h"
#include "container/repair.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr int kKillTimeoutMs = 10'000;
constexpr int kAnswerTimeoutMs = 2000;
constexpr int kLeaveTimeoutMs = 5000;

Result<> check_removable(const Container& container, bool force) {
  bool idle = container.status == Status::kStopped || container.status == Status::kCreated;
  if (idle || force) return {};
  return std::unexpected(
      wrong_state(EBUSY, cat("cannot delete container ", container.folder.id,
                             " that is not stopped: ", status_name(container.status)))
          .cure("stop it first, or use --force"));
}

// Lets a supervisor note the end, answer those who wait for it, and go; one that does not is
// killed. A command in the foreground has no control socket: it finds out by itself.
Result<> release_supervisor(const Container& container) {
  auto supervisor = find_process(container.state.supervisor, container.state.boot_id);
  if (!supervisor || !has_control(container.folder)) return {};
  if (auto control = connect_control(container.folder)) {
    ControlRequest request;
    request.op = ControlRequest::Op::kRelease;
    auto answer = ask(*control, request, kAnswerTimeoutMs);
    bool goes = answer || answer.error().is(ECONNRESET);
    if (goes && sys::wait_readable(*supervisor, kLeaveTimeoutMs).value_or(false)) return {};
  }
  (void)sys::pidfd_send_signal(*supervisor, SIGKILL);
  if (sys::wait_readable(*supervisor, kLeaveTimeoutMs).value_or(false)) return {};
  return std::unexpected(
      Error(Errno{ETIMEDOUT}).doing("end the supervisor, pid ", container.state.supervisor.pid));
}

}  // namespace

Result<> remove(Context& context, std::string_view id, bool force) {
  auto opened = open_for_change(context, id);
  if (!opened) {
    if (force && opened.error().code() == "container.missing") return {};
    return std::unexpected(std::move(opened).error());
  }
  Container& container = *opened;
  TRY(check_removable(container, force));
  fault_point(context, "delete", "kill");
  TRY(kill_init(context, container, kKillTimeoutMs));
  fault_point(context, "delete", "supervisor");
  TRY(release_supervisor(container));
  return discard(context, container);
}

}  // namespace caisson::container
