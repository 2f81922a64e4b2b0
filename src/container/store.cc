#include "container/store.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "container/errors.h"
#include "container/journal.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kExitFile = "exit";
constexpr const char* kJournalFile = "journal";
constexpr std::size_t kMaxId = 255;
constexpr int kClaimAttempts = 100;
constexpr useconds_t kClaimPauseUs = 500;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

// `create`: the flags for a folder that is ours alone. Everywhere else a missing file says that the
// folder comes or goes just now.
ErrnoOr<Fd> open_journal(FdRef dir, int create = 0) {
  return sys::openat(dir, kJournalFile, O_RDWR | O_APPEND | O_NOFOLLOW | create, 0600);
}

ErrnoOr<> write_new(FdRef dir, const char* name, std::string_view data) {
  Fd file = TRY(sys::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return sys::write_all(file, data);
}

// Threads of a host exclude each other as commands do.
sys::LockOwner lock_owner(const Context& context) {
  return context.embedded ? sys::LockOwner::kOpenFile : sys::LockOwner::kProcess;
}

// The folder at `path`, just made, with its journal, locked. ENOENT: somebody took the folder for
// one that a killed command left.
ErrnoOr<Claim> take_new(const std::string& path, sys::LockOwner owner) {
  auto lost = std::unexpected(Errno{ENOENT});
  Claim claim;
  claim.folder.path = path;
  claim.folder.dir = TRY(sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto file = open_journal(claim.folder.dir, O_CREAT | O_EXCL);
  if (!file && file.error().value == EEXIST) return lost;
  Fd journal = TRY(std::move(file));
  if (!TRY(sys::try_lock(journal, owner))) return lost;
  claim.lock = Lock(std::move(journal), owner);
  if (TRY(sys::fstat(claim.lock.file())).st_nlink == 0) return lost;
  return claim;
}

ErrnoOr<Claim> claim_once(const std::string& path, std::string_view config, sys::LockOwner owner) {
  TRY(sys::mkdirat(sys::kCwd, path.c_str(), 0700));
  auto claim = take_new(path, owner);
  if (!claim && claim.error().value != ENOENT) {
    (void)sys::unlinkat(sys::kCwd, path.c_str(), AT_REMOVEDIR);
    return claim;
  }
  auto written = claim ? write_new(claim->folder.dir, kConfigFile, config) : ErrnoOr<>{};
  if (!written) {
    (void)remove_folder(claim->folder, claim->lock);
    return std::unexpected(written.error());
  }
  return claim;
}

Error locked_error(const Folder& folder, int holder) {
  std::string who = holder > 0 ? cat("another command (pid ", holder, ")")
                               : "another call of a program that uses the library";
  return Error::with_cause(EBUSY, who + " is at work on it")
      .doing("lock container ", quoted(folder.id))
      .cure("wait for that command, or end it: what it left is cleaned up")
      .code("container.locked");
}

// What stands in a folder without a State.
Result<State> unfinished(const Folder& folder) {
  State state;
  state.id = folder.id;
  if (auto info = sys::fstat(folder.dir)) {
    state.created = info->st_mtim.tv_sec * 1'000'000'000 + info->st_mtim.tv_nsec;
  }
  return state;
}

// Why there is no journal: the folder comes or goes just now, or is none of ours.
Error without_journal(const Folder& folder) {
  // Nothing in it: nobody has it yet, or nobody any more. What is removed here is made again.
  (void)sys::unlinkat(sys::kCwd, folder.path.c_str(), AT_REMOVEDIR);
  if (!still_linked(folder) || sys::faccessat(folder.dir, kJournalFile, F_OK)) {
    return missing_container(folder.id);
  }
  return broken_container(folder.id,
                          Error::with_cause(ENOENT, cat(folder.path, " has no ", kJournalFile)));
}

Result<Fd> open_existing_journal(const Folder& folder) {
  auto file = open_journal(folder.dir);
  if (!file && file.error().value == ENOENT) return std::unexpected(without_journal(folder));
  return TRY_CTX(std::move(file), "open ", folder.path, "/", kJournalFile);
}

}  // namespace

Result<> check_id(std::string_view id) {
  bool good = !id.empty() && id.size() <= kMaxId && id != "." && id != ".." &&
              std::ranges::all_of(id, is_id_character);
  if (good) return {};
  if (id.empty()) {
    return std::unexpected(Error::with_cause(EINVAL, "container id cannot be empty")
                               .code("container.id")
                               .cure("name the container"));
  }
  return std::unexpected(Error::with_cause(EINVAL, "invalid container ID format")
                             .doing("container ", quoted(id))
                             .cure("use letters, digits and _ + . - only, at most 255 of them")
                             .code("container.id"));
}

std::string folder_path(const Context& context, std::string_view id) {
  return cat(context.root, "/", id);
}

bool still_linked(const Folder& folder) {
  auto ours = sys::fstat(folder.dir);
  auto there = sys::fstatat(sys::kCwd, folder.path.c_str(), AT_SYMLINK_NOFOLLOW);
  return ours && there && ours->st_ino == there->st_ino && ours->st_dev == there->st_dev;
}

Result<Folder> open_folder(const Context& context, std::string_view id) {
  TRY(check_id(id));
  Folder folder{std::string(id), folder_path(context, id), {}};
  auto dir = sys::openat(sys::kCwd, folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir && dir.error().value == ENOENT) return std::unexpected(missing_container(id));
  folder.dir = TRY_CTX(std::move(dir), "open ", folder.path);
  return folder;
}

Result<Claim> claim_folder(const Context& context, std::string_view id, std::string_view config) {
  const std::string path = folder_path(context, id);
  bool lost = false;
  for (int attempt = 0; attempt < kClaimAttempts; ++attempt) {
    auto claim = claim_once(path, config, lock_owner(context));
    if (claim) {
      claim->folder.id = id;
      return std::move(*claim);
    }
    int error = claim.error().value;
    // The one that took the folder from us removes it.
    if (error == EEXIST && !lost) return std::unexpected(taken_name(id));
    if (error != EEXIST && error != ENOENT) {
      return std::unexpected(Error(claim.error()).doing("make a folder in ", context.root));
    }
    lost = sys::faccessat(sys::kCwd, context.root.c_str(), F_OK).has_value();
    if (lost) ::usleep(kClaimPauseUs);
    TRY_CTX(sys::make_directories(context.root, 0711), "make the state directory ", context.root);
  }
  return std::unexpected(lost ? taken_name(id)
                              : Error(Errno{EAGAIN}).doing("make a folder in ", context.root));
}

Result<Lock> try_lock_folder(const Context& context, const Folder& folder) {
  Fd file = TRY(open_existing_journal(folder));
  sys::LockOwner owner = lock_owner(context);
  if (!TRY_CTX(sys::try_lock(file, owner), "lock ", folder.path)) return Lock();
  Lock lock(std::move(file), owner);
  if (!still_linked(folder)) return std::unexpected(missing_container(folder.id));
  return lock;
}

Result<Lock> lock_folder(const Context& context, const Folder& folder) {
  auto deadline = Deadline::in_ms(context.lock_timeout_ms);
  for (useconds_t pause_us = 500;; pause_us = std::min<useconds_t>(pause_us * 2, 20'000)) {
    Lock lock = TRY(try_lock_folder(context, folder));
    if (lock.held()) return lock;
    if (deadline.passed()) {
      int holder = folder_lock_holder(folder).value_or(0);
      if (holder != 0) return std::unexpected(locked_error(folder, holder));
    }
    ::usleep(pause_us);
  }
}

Result<int> folder_lock_holder(const Folder& folder) {
  auto file = open_journal(folder.dir);
  if (!file && file.error().value == ENOENT) return 0;
  if (!file) return std::unexpected(Error(file.error()).doing("open ", folder.path, "/journal"));
  return TRY_CTX(sys::lock_holder(*file), "ask for the lock of ", folder.path);
}

Result<> save_state(const Folder& folder, const Lock& lock, const State& state) {
  if (lock.held()) return record_state(lock.file(), state);
  return record_state(TRY(open_existing_journal(folder)), state);
}

Result<State> load_state(const Folder& folder, const Lock& lock) {
  Fd own;
  if (!lock.held()) own = TRY(open_existing_journal(folder));
  auto content = TRY(read_journal(own.valid() ? own.ref() : lock.file()));
  if (content.removed && !lock.held() && folder_lock_holder(folder).value_or(0) != 0) {
    return std::unexpected(missing_container(folder.id));
  }
  if (content.state.empty() || content.removed) return unfinished(folder);
  auto state = parse_state(content.state, cat(folder.path, "/", kJournalFile));
  if (!state) return std::unexpected(broken_container(folder.id, std::move(state).error()));
  return state;
}

Result<> save_exit(const Folder& folder, const Exit& exit) {
  if (sys::faccessat(folder.dir, kExitFile, F_OK)) return {};
  TRY_CTX(sys::write_atomically(folder.dir, kExitFile, to_json(exit)), "write ", folder.path, "/",
          kExitFile);
  return {};
}

Result<std::optional<Exit>> load_exit(const Folder& folder) {
  auto text = sys::read_file(folder.dir, kExitFile);
  if (!text && text.error().value == ENOENT) return std::nullopt;
  if (!text)
    return std::unexpected(Error(text.error()).doing("read ", folder.path, "/", kExitFile));
  return TRY(parse_exit(*text, kExitFile));
}

Result<> remove_folder(Folder& folder, Lock& lock) {
  auto failed = [&](Errno error) {
    return std::unexpected(Error(error).doing("remove ", folder.path));
  };
  // A full disk has no room for the note, and is the more reason to go on.
  (void)record_removal(lock.file());
  auto names = sys::list_directory(folder.dir);
  if (!names) return failed(names.error());
  for (const auto& name : *names) {
    if (name == kJournalFile) continue;
    auto removed = sys::unlinkat(folder.dir, name.c_str());
    if (!removed && removed.error().value == EISDIR) {
      removed = sys::remove_tree(folder.dir, name.c_str());
    }
    if (!removed && removed.error().value != ENOENT) return failed(removed.error());
  }
  // Closed before they are removed: the removal of open files costs a file system much more. A
  // command that takes the lock in between finds nothing but a folder to remove.
  lock.release();
  auto journal = sys::unlinkat(folder.dir, kJournalFile);
  if (!journal && journal.error().value != ENOENT) return failed(journal.error());
  folder.dir.reset();
  auto removed = sys::unlinkat(sys::kCwd, folder.path.c_str(), AT_REMOVEDIR);
  bool gone = removed || removed.error().value == ENOENT || removed.error().value == ENOTEMPTY;
  if (!gone) return failed(removed.error());
  return {};
}

}  // namespace caisson::container
