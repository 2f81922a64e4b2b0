#include "container/wait.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "container/errors.h"
#include "container/process.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr int kPublishTimeoutMs = 2000;
constexpr useconds_t kPublishPauseUs = 2000;

Error timed_out(std::string_view id) {
  return Error::with_cause(ETIMEDOUT, "the container still runs")
      .doing("wait for container ", quoted(id));
}

// What a command in the foreground notes of the init that it collected.
std::optional<Exit> published_exit(const Folder& folder) {
  auto deadline = Deadline::in_ms(kPublishTimeoutMs);
  for (;;) {
    auto exit = load_exit(folder);
    if (exit && exit->has_value()) return *exit;
    if (!still_linked(folder) || deadline.passed()) return std::nullopt;
    ::usleep(kPublishPauseUs);
  }
}

}  // namespace

Result<Waiter> Waiter::begin(Context& context, std::string_view id) {
  Waiter waiter(context, std::string(id));
  TRY(waiter.prepare());
  return waiter;
}

Result<> Waiter::prepare() {
  container_ = TRY(look_at(context_, id_));
  control_.reset();
  // One that has stopped without an Exit has a supervisor that is about to note it.
  if (container_.exit) return {};
  auto control = connect_control(container_.folder);
  if (!control) return {};
  ControlRequest request;
  request.op = ControlRequest::Op::kWait;
  if (sys::send_message(*control, to_json(request))) control_ = std::move(*control);
  return {};
}

Result<std::optional<Exit>> Waiter::ask_supervisor(int timeout_ms) {
  if (!TRY_CTX(sys::wait_readable(control_, timeout_ms), "wait for the supervisor")) {
    return std::unexpected(timed_out(id_));
  }
  auto message = sys::receive_message(control_, kControlMessageLimit);
  if (message && !message->data.empty()) return TRY(parse_exit_answer(message->data));
  // The supervisor was killed: look again, which gives the container another one.
  TRY(prepare());
  return std::nullopt;
}

Result<Exit> Waiter::watch_init(int timeout_ms) {
  if (!TRY_CTX(sys::wait_readable(container_.init, timeout_ms), "wait for init")) {
    return std::unexpected(timed_out(id_));
  }
  return ended();
}

// Init is gone: whoever watched it notes how, else the kernel may tell.
Exit Waiter::ended() {
  if (container_.state.supervisor.pid != 0) {
    if (auto exit = published_exit(container_.folder)) return *exit;
  }
  const State& state = container_.state;
  Exit exit = container_.init.valid() ? collect_exit(container_.init, state.init.pid)
                                      : exit_of_ended(state.init, state.boot_id);
  return context_.embedded ? note(exit) : exit;
}

// We are its parent: what we collected, nobody else can any more. Of several threads that wait, one
// collects.
Exit Waiter::note(Exit exit) {
  if (!exit.known) return published_exit(container_.folder).value_or(exit);
  bool well = exit.code == 0 && exit.signal == 0;
  exit.oom = !well && context_.executor.oom_kills(container_.state.cgroups) > 0;
  (void)save_exit(container_.folder, exit);  // a full disk does not change how it ended
  return exit;
}

Result<Exit> Waiter::wait(int timeout_ms) {
  auto deadline = Deadline::in_ms(std::max(timeout_ms, 0));
  for (;;) {
    if (container_.exit) return *container_.exit;
    int left_ms = timeout_ms < 0 ? -1 : deadline.left_ms();
    if (control_.valid()) {
      auto exit = TRY(ask_supervisor(left_ms));
      if (exit) return *exit;
    } else if (container_.init.valid()) {
      return watch_init(left_ms);
    } else {
      return ended();
    }
  }
}

Result<> Waiter::know(FdRef pidfd) {
  if (container_.init.valid() || pidfd.number() < 0) return {};
  container_.init = TRY_CTX(sys::dup_cloexec(pidfd), "duplicate a pidfd");
  return {};
}

Result<Exit> wait(Context& context, std::string_view id, int timeout_ms, FdRef pidfd) {
  auto waiter = TRY(Waiter::begin(context, id));
  TRY(waiter.know(pidfd));
  return waiter.wait(timeout_ms);
}

}  // namespace caisson::container
