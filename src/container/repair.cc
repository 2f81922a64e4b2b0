#include "container/repair.h"

#include "container/fault.h"
#include "container/hooks.h"
#include "container/journal.h"
#include "container/process.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr int kKillTimeoutMs = 10'000;

}  // namespace

Result<> discard(Context& context, Container& container) {
  TRY(kill_init(context, container, kKillTimeoutMs));
  // The zombie, should it be our child. A command's own one is nobody's problem when it has ended.
  if (container.init.valid()) {
    (void)sys::wait_pidfd(container.init, WNOHANG);
  } else if (context.embedded) {
    reap_ended(container.state.init, container.state.boot_id);
  }
  fault_point(context, "delete", "undo");
  TRY(undo_journal(context.executor, container.lock.file()));
  fault_point(context, "delete", "poststop");
  if (container.state.hooks_begun || container.state.progress != Progress::kCreating) {
    Snapshot snapshot{container.state, Status::kStopped, container.exit};
    run_poststop_hooks(context, container, state_json(snapshot, ""));
  }
  fault_point(context, "delete", "folder");
  TRY(remove_folder(container.folder, container.lock));
  fault_point(context, "delete", "done");
  return {};
}

}  // namespace caisson::container
