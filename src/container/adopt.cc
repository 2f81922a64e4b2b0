#include "base/clock.h"
#include "container/journal.h"
#include "container/process.h"
#include "container/repair.h"
#include "container/supervisor.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

// Absent when the container has none: its output went elsewhere.
Fd open_fifo(FdRef dir, const char* name) {
  auto fifo = sys::openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  return fifo ? std::move(*fifo) : Fd();
}

// In the new supervisor, while the command that started it holds the lock.
Result<DaemonStart> take_over(Context&, const Folder& old_folder, State state) {
  Watched watched;
  watched.folder = TRY_CTX(copy(old_folder), "duplicate a descriptor");
  Fd dir = TRY(make_folder(old_folder));
  watched.init = state.init;
  auto init = find_process(state.init, state.boot_id);
  // It ended just now: a pidfd of the zombie tells as much.
  watched.init_pidfd =
      init ? std::move(*init) : TRY_CTX(sys::pidfd_open(state.init.pid), "open a pidfd of init");
  watched.out = open_fifo(dir, "stdout");
  watched.err = open_fifo(dir, "stderr");
  if (state.logged) watched.log = TRY(LogWriter::open(dir, state.log_limit));
  auto removed = sys::unlinkat(dir, kControlSocket);
  if (!removed && removed.error().value != ENOENT) {
    return std::unexpected(Error(removed.error()).doing("remove the old control socket"));
  }
  watched.control = TRY_CTX(sys::listen_unix(dir, kControlSocket), "make the control socket");
  watched.cgroups = state.cgroups;
  watched.remove_on_exit = state.remove_on_exit;
  state.supervisor = TRY(own_process());
  TRY(save_state(watched.folder, {}, state));
  return DaemonStart{state.supervisor.pid, std::move(watched)};
}

Result<> note_end(Context& context, Container& container) {
  TRY(save_exit(container.folder, exit_of_ended(container.state.init, container.state.boot_id)));
  if (container.state.remove_on_exit) return discard(context, container);
  return undo_journal(context.executor, container.lock.file());
}

}  // namespace

Result<> adopt(Context& context, Container& container) {
  if (!container.init.valid()) return note_end(context, container);
  auto main = [&](Context& inner) { return take_over(inner, container.folder, container.state); };
  auto adopted = start_daemon(context, main, 0);
  if (!adopted) {
    return std::unexpected(std::move(adopted).error().doing(
        "give container ", quoted(container.folder.id), " a new supervisor"));
  }
  if (context.warn) {
    context.warn(cat("the supervisor of container ", quoted(container.folder.id),
                     " had died; it has a new one (pid ", *adopted, ")"));
  }
  return {};
}

}  // namespace caisson::container
