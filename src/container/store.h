// What is kept of a container, in the state directory:
//   <id>         its journal: the configuration, verbatim, the State, from when init exists, and
//   what
//                must be taken back (journal.h); the lock of the command that changes the container
//                is on this file
//   <id>,start   made by the executor: socket of an init that waits for its start
//   <id>,d/      its folder, made when there is something to be put into it
//     exit            Exit, written once by whoever watches init
//     resources.json  the resources since the last update; absent: as in the configuration
//     control, stdout, stderr, log, log.1   of a supervisor
//     notify/         see notify_proxy.h
// No id has a comma in it.
//
// Linking the journal, which has its configuration by then and is locked, to its name claims the
// id; it is removed last, under its lock. One that has no State, or a note of its removal, is on
// its way in or out: when nobody holds the lock, its command was killed, and whoever meets it takes
// the container away. What does not begin like a journal is none of ours. A start makes one file:
// on a file system with a journal of its own a directory costs ten times as much to make and
// remove, and waits for the disk when others write.
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
  std::string journal;  // absolute paths
  std::string path;
  Fd entry;  // O_PATH of the journal: tells it from a later one of the same name
};
ErrnoOr<Folder> copy(const Folder& folder);
// The folder, made if need be.
Result<Fd> make_folder(const Folder& folder);
// What the folder holds under that name; nothing when there is none.
ErrnoOr<std::string> read_in_folder(const Folder& folder, std::string_view name);

// The state directory and the name of the start socket in it.
struct StartSocket {
  Fd directory;
  std::string name;
};
Result<StartSocket> start_socket(const Folder& folder);
bool has_start_socket(const Folder& folder);
void remove_start_socket(const Folder& folder);

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

// Whether the journal still is what stands at its path: another command may have removed it, and
// another one may have made a new container of that name.
bool still_linked(const Folder& folder);

struct Claim {
  Folder folder;
  Lock lock;
};
// Makes the journal of `id` with its configuration, locked. container.exists when there is one.
Result<Claim> claim_folder(const Context& context, std::string_view id, std::string_view config);

// Waits for the lock up to the context's bound (container.locked names the holder). The container
// may have been removed meanwhile: container.missing.
Result<Lock> lock_folder(const Context& context, const Folder& folder);
// The same without waiting; no lock (held() is false) when somebody else has it.
Result<Lock> try_lock_folder(const Context& context, const Folder& folder);
// The process that holds the lock, -1 when an embedded one does (Context::embedded); 0: nobody but
// perhaps ourselves.
Result<int> folder_lock_holder(const Folder& folder);

// With the lock, the file must not be opened again (see Lock::file): it is used through it.
Result<> save_state(const Folder& folder, const Lock& lock, const State& state);
// Without a State (see above): one that knows its id only and has no init. `config`: takes the
// configuration.
Result<State> load_state(const Folder& folder, const Lock& lock = {},
                         std::string* config = nullptr);
// Does nothing when an Exit is there already: the first one counts.
Result<> save_exit(const Folder& folder, const Exit& exit);
Result<std::optional<Exit>> load_exit(const Folder& folder);

// Takes everything of the container away, and its lock.
Result<> remove_folder(Folder& folder, Lock& lock);

}  // namespace caisson::container
