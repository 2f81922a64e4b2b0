#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/process.h"
#include "container/sandbox.h"
#include "container/wait.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr int kThawTimeoutMs = 2000;
constexpr int kKillTimeoutMs = 10'000;

Error not_running(std::string_view id) {
  return wrong_state(ESRCH, "container not running").doing("container ", quoted(id));
}

// Of a sandbox's kernel that does not tell, it is not known: the signal is sent.
Result<bool> would_drop(Context& context, std::string_view id, const Snapshot& snapshot,
                        int signal) {
  if (snapshot.state.wall != "sandbox" || snapshot.status == Status::kCreated)
    return init_drops(snapshot.pid(), signal);
  auto sandbox = TRY(reach_sandbox(context, TRY(look_at(context, id))));
  return sandbox->init_drops(signal).value_or(false);
}

}  // namespace

// Takes no lock: it changes nothing of ours, a pidfd can't hit the wrong process, and it must work
// while a start waits for a hook.
Result<> kill(Context& context, std::string_view id, int signal, bool all) {
  auto container = TRY(look_at(context, id));
  const auto& cgroups = container.state.cgroups;
  if (!is_alive(container.status)) {
    // What init left behind, when it had no pid namespace of its own.
    bool left = signal == SIGKILL && !cgroups.empty() &&
                !context.executor.processes(cgroups).value_or(std::vector<int>()).empty();
    if (!all && !left) return std::unexpected(not_running(id));
    if (!cgroups.empty()) (void)context.executor.kill_all(cgroups, signal);
    return {};
  }
  // The end of an init of a pid namespace ends all in it; others would leave theirs behind.
  bool leaves_others = signal == SIGKILL && !is_namespace_init(container.state.init.pid);
  if ((all || leaves_others) && !cgroups.empty()) {
    TRY(context.executor.kill_all(cgroups, signal));
  }
  if (!all || cgroups.empty()) {
    auto sent = sys::pidfd_send_signal(container.init, signal);
    bool gone = !sent && sent.error().value == ESRCH;
    if (gone && !leaves_others) {
      return std::unexpected(
          wrong_state(ESRCH, "os: process already finished").doing("container ", quoted(id)));
    }
    if (!sent && !gone)
      return std::unexpected(Error(sent.error()).doing("signal pid ", container.state.init.pid));
  }
  // A v1 freezer keeps even SIGKILL from a frozen process.
  if (signal == SIGKILL && container.status == Status::kPaused) {
    TRY(context.executor.thaw(container.state.cgroups, kThawTimeoutMs));
  }
  return {};
}

Result<Exit> stop(Context& context, std::string_view id, int signal, int grace_ms) {
  auto snapshot = TRY(query(context, id));
  auto status = snapshot.status;
  if (!is_alive(status)) return std::unexpected(not_running(id));
  // A frozen program can't end by itself.
  if (status == Status::kPaused) TRY(resume(context, id));
  // Nothing would come of it but the wait for the end of the grace period.
  if (TRY(would_drop(context, id, snapshot, signal))) signal = SIGKILL;
  // Asked before the end, which may remove the container.
  auto waiter = TRY(Waiter::begin(context, id));
  auto sent = kill(context, id, signal);
  if (!sent && !sent.error().is(ESRCH)) return std::unexpected(std::move(sent).error());
  auto exit = waiter.wait(grace_ms);
  if (exit || !exit.error().is(ETIMEDOUT)) return exit;
  auto killed = kill(context, id, SIGKILL);
  if (!killed && !killed.error().is(ESRCH)) return std::unexpected(std::move(killed).error());
  return waiter.wait(kKillTimeoutMs);
}

}  // namespace caisson::container
