#include "cli/session.h"

#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "library/state_root.h"
#include "sys/tty.h"

namespace caisson::cli {
namespace {

// For tests: the step at which this process kills itself.
std::string fault_from_environment() {
  const char* step = std::getenv("CAISSON_FAULT");
  return step == nullptr ? std::string() : std::string(step);
}

}  // namespace

Result<Session> Session::open(const Context& context, bool make_root) {
  if (make_root || context.default_root) {
    TRY(library::prepare_state_root(context.root, context.default_root));
  }
  Session session;
  session.program_ = context.program;
  session.timeline_target_ = context.timeline;
  session.executor_ = context.make_executor();
  bool traced = context.reporter.debug && context.face == Face::kEngine;
  if (traced) session.trace_ = &context.reporter;
  if (traced || !context.timeline.empty()) {
    session.timeline_ = std::make_unique<TimelineRecorder>(context.start, monotonic_ns());
  }
  session.containers_ = std::unique_ptr<container::Context>(new container::Context{
      .executor = *session.executor_,
      .root = context.root,
      .rootless = !library::is_privileged(),
      .timeline = session.timeline_.get(),
      .warn = {},
      .debug = {},
      .lock_timeout_ms = 10'000,
      .fault_step = fault_from_environment(),
  });
  if (traced) {
    session.containers_->debug = [&reporter = context.reporter](std::string_view text) {
      reporter.trace(text);
    };
  }
  // A program's own error output stays its own where nobody looks on; but an ordinary user is told
  // what he does not get, unless he asks for quiet.
  bool shown = context.debug || !library::is_privileged() || sys::is_terminal(FdRef(STDERR_FILENO));
  // An engine's log gets every warning, as the runtime specification asks.
  shown |= context.face == Face::kEngine;
  if (shown) {
    session.containers_->warn = [&reporter = context.reporter](std::string_view text) {
      reporter.notice(text);
    };
  }
  return session;
}

void Session::show_timeline() {
  if (timeline_ == nullptr) return;
  const std::int64_t end_ns = monotonic_ns();
  if (trace_ != nullptr) {
    const std::string bars = timeline_->bars(end_ns);
    for (auto line : split(bars, '\n')) {
      if (!trim(line).empty()) trace_->trace(trim(line));
    }
  }
  if (timeline_target_.empty()) return;
  if (timeline_target_ == "-") {
    (void)sys::write_all(FdRef(STDERR_FILENO), timeline_->bars(end_ns));
  } else if (auto written = sys::write_atomically(sys::kCwd, timeline_target_.c_str(),
                                                  timeline_->trace_events(), 0644);
             !written) {
    Error error = Error(written.error()).doing("write the timeline to ", timeline_target_);
    (void)sys::write_all(FdRef(STDERR_FILENO), error_text(program_, error));
  }
}

}  // namespace caisson::cli
