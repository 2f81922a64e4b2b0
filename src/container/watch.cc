// What `events` follows: the figures of a container at intervals, and its lack of memory.
#include <poll.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

Result<Container> look_at_running(Context& context, std::string_view id) {
  auto container = TRY(look_at(context, id));
  if (is_alive(container.status)) return container;
  return std::unexpected(wrong_state(ESRCH, cat("container with id ", id, " is not running")));
}

Result<> report_memory(plan::MemoryWatch* memory, const WatchOptions& options) {
  if (memory == nullptr) return {};
  for (std::uint64_t left = memory->take(); left > 0; --left) TRY(options.on_out_of_memory());
  return {};
}

// Whether there were figures to report: the cgroup goes when somebody removes the container.
Result<> report_usage(Context& context, const Container& container, const WatchOptions& options) {
  return options.on_usage(TRY(context.executor.usage(container.state.cgroups)));
}

}  // namespace

Result<plan::Usage> usage(Context& context, std::string_view id) {
  auto container = TRY(look_at_running(context, id));
  return context.executor.usage(container.state.cgroups);
}

Result<> watch(Context& context, std::string_view id, const WatchOptions& options) {
  constexpr std::int64_t kNsPerMs = 1'000'000;
  auto container = TRY(look_at_running(context, id));
  auto memory = TRY(context.executor.watch_memory(container.state.cgroups));
  std::int64_t next_ns = monotonic_ns() + options.interval_ms * kNsPerMs;
  for (;;) {
    std::array<pollfd, 2> entries{{{container.init.number(), POLLIN, 0}, {-1, 0, 0}}};
    if (memory) entries[1] = {memory->descriptor().number(), memory->poll_events(), 0};
    const std::int64_t left_ms = (next_ns - monotonic_ns() + kNsPerMs - 1) / kNsPerMs;
    TRY_CTX(sys::poll(entries, static_cast<int>(std::clamp<std::int64_t>(left_ms, 0, 60'000))),
            "wait for events of ", id);
    const bool ended = entries[0].revents != 0;
    TRY(report_memory(memory.get(), options));
    if (ended) return {};
    // An error of the descriptor stays: nothing more will come from it.
    if ((entries[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 &&
        (entries[1].revents & POLLPRI) == 0) {
      memory.reset();
    }
    if (monotonic_ns() < next_ns) continue;
    TRY(report_usage(context, container, options));
    next_ns += options.interval_ms * kNsPerMs;
    next_ns = std::max(next_ns, monotonic_ns());  // a slow reader gets no burst afterwards
  }
}

}  // namespace caisson::container
