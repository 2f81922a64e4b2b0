// Folders of containers: <root>/<id>/ with
//   state.json   State, replaced by rename, written under the lock
//   exit         Exit, written once by whoever watches init
//   config.json  the configuration, verbatim
//   journal      what must be taken back (journal.h)
//   lock         record lock of the command that changes the container
//   start        made by the executor: socket of an init that waits for its start
//   control, stdout, stderr, log, log.1   of a supervisor
//
// A folder appears under its id complete and locked (it is filled under another name and renamed)
// and disappears the same way, so that nobody ever sees a part of one. Names that begin with "~"
// are no ids: folders on their way in or out, swept when nobody holds their lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"

namespace caisson::container {

struct Folder {
  std::string id;
  std::string path;  // absolute
  Fd dir;
};

// Given up when it goes out of scope. A process must not take the same container's lock twice:
// giving up the second would give up the first (sys/lock.h).
class [[nodiscard]] Lock {
 public:
  Lock() = default;
  explicit Lock(Fd file) : file_(std::move(file)) {}
  bool held() const { return file_.valid(); }
  void release() { file_.reset(); }

 private:
  Fd file_;
};

// container.missing when there is none.
Result<Folder> open_folder(const Context& context, std::string_view id);

// Whether the folder still is what stands at its path: another command may have removed it, and
// another one may have made a new container of that name.
bool still_linked(const Folder& folder);

struct Claim {
  Folder folder;
  Lock lock;
};
// Makes the folder of `state.id` with its state and configuration. container.exists when there is
// one.
Result<Claim> claim_folder(const Context& context, const State& state, std::string_view config);

// Waits for the lock up to the context's bound (container.locked names the holder). The folder may
// have been removed meanwhile: container.missing.
Result<Lock> lock_folder(const Context& context, const Folder& folder);
// The same without waiting; no lock (held() is false) when another process has it.
Result<Lock> try_lock_folder(const Context& context, const Folder& folder);
// The process that holds the lock; 0: nobody but perhaps ourselves.
Result<int> folder_lock_holder(const Folder& folder);

Result<> save_state(const Folder& folder, const State& state);
Result<State> load_state(const Folder& folder);
// Does nothing when an Exit is there already: the first one counts.
Result<> save_exit(const Folder& folder, const Exit& exit);
Result<std::optional<Exit>> load_exit(const Folder& folder);

// Takes the folder away with everything in it; the lock is held by the caller.
Result<> remove_folder(const Context& context, const Folder& folder);
// Removes folders on their way in or out whose command was killed.
void sweep(const Context& context);

}  // namespace caisson::container
