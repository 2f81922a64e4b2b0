// Folders of containers: <root>/<id>/ with
//   journal      the State, from when init exists, and what must be taken back (journal.h); the
//                lock of the command that changes the container is on this file
//   config.json  the configuration, verbatim
//   exit         Exit, written once by whoever watches init
//   resources.json  the resources since the last update; absent: as in config.json
//   start        made by the executor: socket of an init that waits for its start
//   control, stdout, stderr, log, log.1   of a supervisor
//
// mkdir(2) claims the id. The journal is the first file that is made and the last one that is
// removed; both happen under its lock. A folder whose journal has no State, or a note of its
// removal, is one on its way in or out: when nobody holds the lock, its command was killed, and
// whoever meets it takes it away. An empty folder may be removed by anybody: a claim that loses
// its folder begins anew. Every file costs its making and removal, at each start: there are no
// more than these.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"
#include "sys/lock.h"

namespace caisson::container {

struct Folder {
  std::string id;
  std::string path;  // absolute
  Fd dir;
};

// Given up when it goes out of scope. One that belongs to the process must not be taken twice for
// the same container: giving up the second would give up the first (sys/lock.h).
class [[nodiscard]] Lock {
 public:
  Lock() = default;
  Lock(Fd file, sys::LockOwner owner) : file_(std::move(file)), owner_(owner) {}
  Lock(Lock&&) noexcept = default;
  Lock& operator=(Lock&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(owner_, other.owner_);
    return *this;
  }
  ~Lock() { release(); }
  bool held() const { return file_.valid(); }
  void release() {
    if (held() && owner_ == sys::LockOwner::kOpenFile) sys::unlock(file_);
    file_.reset();
  }
  // The journal, open for reading and appending. While the lock is held the file must not be
  // opened again: closing that descriptor would give the lock of a process up.
  FdRef file() const { return file_.ref(); }

 private:
  Fd file_;
  sys::LockOwner owner_ = sys::LockOwner::kProcess;
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
// Makes the folder of `id` with its configuration, locked. container.exists when there is one.
Result<Claim> claim_folder(const Context& context, std::string_view id, std::string_view config);

// Waits for the lock up to the context's bound (container.locked names the holder). The folder may
// have been removed meanwhile: container.missing.
Result<Lock> lock_folder(const Context& context, const Folder& folder);
// The same without waiting; no lock (held() is false) when somebody else has it.
Result<Lock> try_lock_folder(const Context& context, const Folder& folder);
// The process that holds the lock, -1 when an embedded one does (Context::embedded); 0: nobody but
// perhaps ourselves.
Result<int> folder_lock_holder(const Folder& folder);

// With the lock, the file must not be opened again (see Lock::file): it is used through it.
Result<> save_state(const Folder& folder, const Lock& lock, const State& state);
// Of a folder without a State (see above): one that knows its id only and has no init.
Result<State> load_state(const Folder& folder, const Lock& lock = {});
// Does nothing when an Exit is there already: the first one counts.
Result<> save_exit(const Folder& folder, const Exit& exit);
Result<std::optional<Exit>> load_exit(const Folder& folder);

// Takes the folder away with everything in it, and its lock.
Result<> remove_folder(Folder& folder, Lock& lock);

}  // namespace caisson::container
