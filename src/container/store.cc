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

constexpr const char* kExitFile = "exit";
constexpr std::string_view kFolderMark = ",d", kStartMark = ",start", kNewMark = ",new";
constexpr std::size_t kMaxId = 255;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

ErrnoOr<Fd> open_journal(const std::string& path) {
  return sys::openat(sys::kCwd, path.c_str(), O_RDWR | O_APPEND | O_NOFOLLOW);
}

// The place of `id`, without looking whether there is anything.
Folder place_of(const Context& context, std::string_view id) {
  return {std::string(id), cat(context.root, "/", id), folder_path(context, id), {}};
}

// Threads of a host exclude each other as commands do.
sys::LockOwner lock_owner(const Context& context) {
  return context.embedded ? sys::LockOwner::kOpenFile : sys::LockOwner::kProcess;
}

// A new file without a name in `root`, for link_file().
ErrnoOr<Fd> unnamed_file(const std::string& root) {
  return sys::openat(sys::kCwd, root.c_str(), O_TMPFILE | O_RDWR | O_APPEND, 0600);
}

ErrnoOr<> link_file(FdRef file, const std::string& path) {
  auto linked = sys::linkat(file, "", sys::kCwd, path.c_str(), AT_EMPTY_PATH);
  if (linked || linked.error().value != ENOENT) return linked;
  // Without CAP_DAC_READ_SEARCH (linkat(2)).
  return sys::linkat(sys::kCwd, cat("/proc/self/fd/", file.number()).c_str(), sys::kCwd,
                     path.c_str(), AT_SYMLINK_FOLLOW);
}

bool has_no_unnamed_files(Errno error) {
  return error.value == EOPNOTSUPP || error.value == EISDIR || error.value == EINVAL;
}

// The journal with its first record, locked: nobody sees it before. EEXIST: the id is taken.
ErrnoOr<Lock> publish_journal(Fd file, const Folder& folder, std::string_view config,
                              const std::string& name, sys::LockOwner owner) {
  if (!TRY(sys::try_lock(file, owner))) return std::unexpected(Errno{EAGAIN});
  TRY(record_config(file, config));
  TRY(name.empty() ? link_file(file, folder.journal)
                   : sys::linkat(sys::kCwd, name.c_str(), sys::kCwd, folder.journal.c_str(), 0));
  return Lock(std::move(file), owner);
}

ErrnoOr<Lock> make_journal(const Context& context, const Folder& folder, std::string_view config) {
  sys::LockOwner owner = lock_owner(context);
  auto file = unnamed_file(context.root);
  if (file) return publish_journal(std::move(*file), folder, config, "", owner);
  if (!has_no_unnamed_files(file.error())) return std::unexpected(file.error());
  std::string name = cat(folder.journal, kNewMark, sys::getpid());
  Fd named = TRY(sys::openat(sys::kCwd, name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_APPEND, 0600));
  auto made = publish_journal(std::move(named), folder, config, name, owner);
  (void)sys::unlinkat(sys::kCwd, name.c_str());
  return made;
}

Error locked_error(const Folder& folder, int holder) {
  std::string who = holder > 0 ? cat("another command (pid ", holder, ")")
                               : "another call of a program that uses the library";
  return Error::with_cause(EBUSY, who + " is at work on it")
      .doing("lock container ", quoted(folder.id))
      .cure("wait for that command, or end it: what it left is cleaned up")
      .code("container.locked");
}

// What stands in a journal without a State.
Result<State> unfinished(const Folder& folder) {
  State state;
  state.id = folder.id;
  if (auto info = sys::fstatat(folder.entry, "", AT_EMPTY_PATH)) {
    state.created = info->st_mtim.tv_sec * 1'000'000'000 + info->st_mtim.tv_nsec;
  }
  return state;
}

Result<Fd> open_existing_journal(const Folder& folder) {
  auto file = open_journal(folder.journal);
  if (!file && file.error().value == ENOENT) return std::unexpected(missing_container(folder.id));
  if (!file && file.error().value == EISDIR) {
    return std::unexpected(
        broken_container(folder.id, Error(file.error()).doing("open ", folder.journal)));
  }
  return TRY_CTX(std::move(file), "open ", folder.journal);
}

std::string start_path(const Folder& folder) { return cat(folder.journal, kStartMark); }

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
  return cat(context.root, "/", id, kFolderMark);
}

ErrnoOr<Folder> copy(const Folder& folder) {
  return Folder{folder.id, folder.journal, folder.path, TRY(sys::dup_cloexec(folder.entry))};
}

Result<Fd> make_folder(const Folder& folder) {
  auto made = sys::mkdirat(sys::kCwd, folder.path.c_str(), 0700);
  if (!made && made.error().value != EEXIST) {
    return std::unexpected(Error(made.error()).doing("make ", folder.path));
  }
  return TRY_CTX(sys::openat(sys::kCwd, folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
                 "open ", folder.path);
}

ErrnoOr<std::string> read_in_folder(const Folder& folder, std::string_view name) {
  return sys::read_file(sys::kCwd, cat(folder.path, "/", name).c_str());
}

Result<StartSocket> start_socket(const Folder& folder) {
  std::string root = folder.journal.substr(0, folder.journal.rfind('/'));
  Fd directory = TRY_CTX(sys::openat(sys::kCwd, root.c_str(), O_PATH | O_DIRECTORY), "open ", root);
  return StartSocket{std::move(directory), cat(folder.id, kStartMark)};
}
bool has_start_socket(const Folder& folder) {
  return sys::faccessat(sys::kCwd, start_path(folder).c_str(), F_OK).has_value();
}
void remove_start_socket(const Folder& folder) {
  (void)sys::unlinkat(sys::kCwd, start_path(folder).c_str());
}

bool still_linked(const Folder& folder) {
  auto ours = sys::fstatat(folder.entry, "", AT_EMPTY_PATH);
  auto there = sys::fstatat(sys::kCwd, folder.journal.c_str(), AT_SYMLINK_NOFOLLOW);
  return ours && there && ours->st_ino == there->st_ino && ours->st_dev == there->st_dev;
}

Result<Folder> open_folder(const Context& context, std::string_view id) {
  TRY(check_id(id));
  Folder folder = place_of(context, id);
  auto entry = sys::openat(sys::kCwd, folder.journal.c_str(), O_PATH | O_NOFOLLOW);
  if (!entry && entry.error().value == ENOENT) return std::unexpected(missing_container(id));
  folder.entry = TRY_CTX(std::move(entry), "open ", folder.journal);
  return folder;
}

Result<Claim> claim_folder(const Context& context, std::string_view id, std::string_view config) {
  Claim claim{place_of(context, id), {}};
  auto lock = make_journal(context, claim.folder, config);
  if (!lock && lock.error().value == ENOENT) {
    TRY_CTX(sys::make_directories(context.root, 0711), "make the state directory ", context.root);
    lock = make_journal(context, claim.folder, config);
  }
  if (!lock && lock.error().value == EEXIST) return std::unexpected(taken_name(id));
  claim.lock = TRY_CTX(std::move(lock), "make the journal ", claim.folder.journal);
  auto entry = sys::openat(sys::kCwd, claim.folder.journal.c_str(), O_PATH | O_NOFOLLOW);
  if (!entry) (void)remove_folder(claim.folder, claim.lock);
  claim.folder.entry = TRY_CTX(std::move(entry), "open ", claim.folder.journal);
  return claim;
}

Result<Lock> try_lock_folder(const Context& context, const Folder& folder) {
  Fd file = TRY(open_existing_journal(folder));
  sys::LockOwner owner = lock_owner(context);
  if (!TRY_CTX(sys::try_lock(file, owner), "lock ", folder.journal)) return Lock();
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
  auto file = open_journal(folder.journal);
  if (!file && file.error().value == ENOENT) return 0;
  if (!file) return std::unexpected(Error(file.error()).doing("open ", folder.journal));
  return TRY_CTX(sys::lock_holder(*file), "ask for the lock of ", folder.journal);
}

Result<> save_state(const Folder& folder, const Lock& lock, const State& state) {
  if (lock.held()) return record_state(lock.file(), state);
  return record_state(TRY(open_existing_journal(folder)), state);
}

Result<State> load_state(const Folder& folder, const Lock& lock, std::string* config) {
  Fd own;
  if (!lock.held()) own = TRY(open_existing_journal(folder));
  auto content = TRY(read_journal(own.valid() ? own.ref() : lock.file()));
  if (content.removed && !lock.held() && folder_lock_holder(folder).value_or(0) != 0) {
    return std::unexpected(missing_container(folder.id));
  }
  if (config != nullptr) *config = std::move(content.config);
  if (content.foreign) return std::unexpected(missing_container(folder.id));
  if (content.state.empty() || content.removed) return unfinished(folder);
  auto state = parse_state(content.state, folder.journal);
  if (!state) return std::unexpected(broken_container(folder.id, std::move(state).error()));
  return state;
}

Result<> save_exit(const Folder& folder, const Exit& exit) {
  Fd dir = TRY(make_folder(folder));
  if (sys::faccessat(dir, kExitFile, F_OK)) return {};
  TRY_CTX(sys::write_atomically(dir, kExitFile, to_json(exit)), "write ", folder.path, "/",
          kExitFile);
  return {};
}

Result<std::optional<Exit>> load_exit(const Folder& folder) {
  auto text = read_in_folder(folder, kExitFile);
  if (!text && text.error().value == ENOENT) return std::nullopt;
  if (!text)
    return std::unexpected(Error(text.error()).doing("read ", folder.path, "/", kExitFile));
  return TRY(parse_exit(*text, kExitFile));
}

Result<> remove_folder(Folder& folder, Lock& lock) {
  auto failed = [](Errno error, const std::string& path) {
    return std::unexpected(Error(error).doing("remove ", path));
  };
  // A full disk has no room for the note, and is the more reason to go on.
  (void)record_removal(lock.file());
  remove_start_socket(folder);
  auto removed = sys::unlinkat(sys::kCwd, folder.path.c_str(), AT_REMOVEDIR);
  if (!removed && removed.error().value == ENOTEMPTY) {
    removed = sys::remove_tree(sys::kCwd, folder.path.c_str());
  }
  if (!removed && removed.error().value != ENOENT) return failed(removed.error(), folder.path);
  // Under the lock: whoever waits for it finds out that this is not the journal any more.
  auto journal = sys::unlinkat(sys::kCwd, folder.journal.c_str());
  if (!journal && journal.error().value != ENOENT) return failed(journal.error(), folder.journal);
  lock.release();
  folder.entry.reset();
  return {};
}

}  // namespace caisson::container
