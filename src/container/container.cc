#include "container/container.h"

#include "container/errors.h"
#include "container/process.h"
#include "container/repair.h"
#include "spec/oci_config.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

// An init that waits runs our launcher from an anonymous file; a program that runs does not.
bool still_waits(const Container& container) {
  if (!has_start_socket(container.folder)) return false;
  auto program = sys::readlink(sys::kCwd, cat("/proc/", container.state.init.pid, "/exe").c_str());
  return program && program->starts_with("/memfd:");
}

Result<Status> living_status(Context& context, const Container& container) {
  switch (container.state.progress) {
    case Progress::kCreating: return Status::kCreating;
    case Progress::kCreated:
      // The rule, and the fast way of `start`: nobody froze it.
      if (!container.state.paused_early) return Status::kCreated;
      return context.executor.frozen(container.state.cgroups).value_or(false) ? Status::kPaused
                                                                              : Status::kCreated;
    case Progress::kStarting:
      // Either a start is under way, or it was killed before or after init went on.
      if (still_waits(container)) return Status::kCreated;
      break;
    case Progress::kStarted: break;
  }
  if (container.state.guests_paused) return Status::kPaused;
  auto frozen = context.executor.frozen(container.state.cgroups);
  return frozen.value_or(false) ? Status::kPaused : Status::kRunning;
}

Result<> examine(Context& context, Container& container) {
  container.state = TRY(load_state(container.folder, container.lock, &container.config));
  auto init = find_process(container.state.init, container.state.boot_id);
  container.init = init ? std::move(*init) : Fd();
  container.exit = TRY(load_exit(container.folder));
  if (container.init.valid()) {
    container.status = TRY(living_status(context, container));
  } else {
    bool begun = container.state.init.pid != 0;
    container.status = begun ? Status::kStopped : Status::kCreating;
  }
  return {};
}

// A host gets no daemon: one that still runs is left to the next command.
bool can_be_adopted(const Context& context, const Container& container) {
  return is_orphaned(container) && !(context.embedded && container.init.valid());
}

Result<> repair(Context& context, Container& container) {
  if (is_abandoned(container)) {
    TRY(discard(context, container));
    return std::unexpected(missing_container(container.folder.id));
  }
  if (can_be_adopted(context, container)) {
    TRY(adopt(context, container));
    // Adopting may end in a removal (a container that removes itself).
    if (!container.folder.entry.valid())
      return std::unexpected(missing_container(container.folder.id));
    TRY(examine(context, container));
  }
  return {};
}

// Whether looking at it without the lock gave reason to take it.
bool seems_broken(const Context& context, const Container& container) {
  if (container.state.progress == Progress::kCreating) {
    return folder_lock_holder(container.folder).value_or(0) == 0;
  }
  return can_be_adopted(context, container);
}

}  // namespace

Container::Container() = default;
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

bool is_abandoned(const Container& container) {
  return container.state.progress == Progress::kCreating;
}

bool is_orphaned(const Container& container) {
  const State& state = container.state;
  if (state.supervisor.pid == 0 || container.exit.has_value()) return false;
  if (state.progress == Progress::kCreating) return false;
  return !find_process(state.supervisor, state.boot_id).has_value();
}

Result<> refresh(Context& context, Container& container) { return examine(context, container); }

Result<> read_spec(const Container& container, spec::ContainerSpec& out) {
  auto spec = spec::read_oci_config(container.config, container.state.bundle);
  if (!spec) return std::unexpected(std::move(spec).error());
  out = std::move(*spec);
  return {};
}

Result<> save(const Container& container) {
  return save_state(container.folder, container.lock, container.state);
}

Result<Container> look_at(Context& context, std::string_view id) {
  Container container;
  container.folder = TRY(open_folder(context, id));
  TRY(examine(context, container));
  if (!seems_broken(context, container)) return container;
  container = TRY(open_for_change(context, id));
  container.lock.release();
  return container;
}

Result<Container> open_for_change(Context& context, std::string_view id) {
  Container container;
  container.folder = TRY(open_folder(context, id));
  container.lock = TRY(lock_folder(context, container.folder));
  TRY(examine(context, container));
  TRY(repair(context, container));
  return container;
}

Result<> kill_init(Context& context, Container& container, int timeout_ms) {
  if (!container.init.valid()) return {};
  auto sent = sys::pidfd_send_signal(container.init, SIGKILL);
  if (!sent && sent.error().value != ESRCH) {
    return std::unexpected(Error(sent.error()).doing("kill pid ", container.state.init.pid));
  }
  // A v1 freezer keeps even SIGKILL from a frozen process.
  if (context.executor.frozen(container.state.cgroups).value_or(false)) {
    TRY(context.executor.thaw(container.state.cgroups, timeout_ms));
  }
  if (!TRY_CTX(sys::wait_readable(container.init, timeout_ms), "wait for the end of pid ",
               container.state.init.pid)) {
    return std::unexpected(
        Error::with_cause(ETIMEDOUT, "container init still running")
            .doing("kill pid ", container.state.init.pid)
            .cure("look at /proc/", container.state.init.pid, "/stack: it is stuck in the kernel"));
  }
  return {};
}

}  // namespace caisson::container
