#include "container/store.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "container/errors.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr const char* kStateFile = "state.json";
constexpr const char* kConfigFile = "config.json";
constexpr const char* kExitFile = "exit";
constexpr const char* kLockFile = "lock";
constexpr std::size_t kMaxId = 255;
constexpr int kClaimAttempts = 8;
constexpr int kRemoveAttempts = 8;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

Result<Fd> open_root(const Context& context) {
  return TRY_CTX(sys::openat(sys::kCwd, context.root.c_str(), O_RDONLY | O_DIRECTORY),
                 "open the state directory ", context.root);
}

// A name that is no id and that nobody else uses.
std::string passing_name(std::string_view what) {
  return cat("~", what, "-", sys::getpid(), "-", monotonic_ns());
}

// `create`: O_CREAT in folders that have no owner yet. Everywhere else the missing file says that
// the folder is being removed, and a new one would be in the way of that.
ErrnoOr<Fd> open_lock_file(FdRef dir, int create = 0) {
  return sys::openat(dir, kLockFile, O_RDWR | O_NOFOLLOW | create, 0600);
}

ErrnoOr<> write_new(FdRef dir, const char* name, std::string_view data) {
  Fd file = TRY(sys::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return sys::write_all(file, data);
}

// Fills a folder under a passing name. ENOENT: a sweep took it before it was locked.
ErrnoOr<Claim> fill(FdRef root, const std::string& name, const State& state,
                    std::string_view config) {
  Claim claim;
  TRY(sys::mkdirat(root, name.c_str(), 0700));
  claim.folder.dir = TRY(sys::openat(root, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Fd file = TRY(open_lock_file(claim.folder.dir, O_CREAT));
  if (!TRY(sys::try_lock(file))) return std::unexpected(Errno{ENOENT});
  claim.lock = Lock(std::move(file));
  TRY(write_new(claim.folder.dir, kConfigFile, config));
  TRY(write_new(claim.folder.dir, kStateFile, to_json(state)));
  return claim;
}

Error locked_error(const Folder& folder, int holder) {
  return Error::with_cause(EBUSY, cat("another command (pid ", holder, ") is at work on it"))
      .doing("lock container ", quoted(folder.id))
      .cure("wait for that command, or end it: what it left is cleaned up")
      .code("container.locked");
}

}  // namespace

Result<> check_id(std::string_view id) {
  bool good = !id.empty() && id.size() <= kMaxId && id != "." && id != ".." &&
              std::ranges::all_of(id, is_id_character);
  if (good) return {};
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

// A half-filled folder. Without a descriptor left it is still empty, and goes without one.
static void drop(FdRef root, const std::string& name) {
  if (!sys::remove_tree(root, name.c_str())) {
    (void)sys::unlinkat(root, name.c_str(), AT_REMOVEDIR);
  }
}

Result<Claim> claim_folder(const Context& context, const State& state, std::string_view config) {
  TRY_CTX(sys::make_directories(context.root, 0711), "make the state directory ", context.root);
  Fd root = TRY(open_root(context));
  for (int attempt = 0; attempt < kClaimAttempts; ++attempt) {
    std::string name = passing_name("new");
    auto claim = fill(root, name, state, config);
    if (!claim) {
      drop(root, name);
      if (claim.error().value == ENOENT || claim.error().value == EEXIST) continue;
      return std::unexpected(Error(claim.error()).doing("make a folder in ", context.root));
    }
    // rename(2) puts a folder in the place of an empty one only: the name is claimed by one
    // command.
    auto renamed = sys::renameat(root, name.c_str(), root, state.id.c_str());
    if (renamed) {
      claim->folder.id = state.id;
      claim->folder.path = folder_path(context, state.id);
      return std::move(*claim);
    }
    drop(root, name);
    int error = renamed.error().value;
    if (error == ENOTEMPTY || error == EEXIST) return std::unexpected(taken_name(state.id));
    if (error != ENOENT) {
      return std::unexpected(
          Error(renamed.error()).doing("make the folder ", folder_path(context, state.id)));
    }
  }
  return std::unexpected(Error(Errno{EAGAIN}).doing("make a folder in ", context.root));
}

Result<Lock> try_lock_folder(const Context&, const Folder& folder) {
  auto file = open_lock_file(folder.dir);
  if (!file && file.error().value == ENOENT) return std::unexpected(missing_container(folder.id));
  if (!file) return std::unexpected(Error(file.error()).doing("open ", folder.path, "/lock"));
  if (!TRY_CTX(sys::try_lock(*file), "lock ", folder.path)) return Lock();
  Lock lock(std::move(*file));
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
  auto file = sys::openat(folder.dir, kLockFile, O_RDWR | O_NOFOLLOW);
  if (!file && file.error().value == ENOENT) return 0;
  if (!file) return std::unexpected(Error(file.error()).doing("open ", folder.path, "/lock"));
  return TRY_CTX(sys::lock_holder(*file), "ask for the lock of ", folder.path);
}

Result<> save_state(const Folder& folder, const State& state) {
  TRY_CTX(sys::write_atomically(folder.dir, kStateFile, to_json(state)), "write ", folder.path, "/",
          kStateFile);
  return {};
}

Result<State> load_state(const Folder& folder) {
  auto text = sys::read_file(folder.dir, kStateFile);
  if (!text && text.error().value == ENOENT) {
    // Removed under our hands, or a folder that is none of ours.
    if (!still_linked(folder)) return std::unexpected(missing_container(folder.id));
    return std::unexpected(broken_container(
        folder.id, Error::with_cause(ENOENT, cat(folder.path, " has no ", kStateFile))));
  }
  if (!text) {
    return std::unexpected(broken_container(
        folder.id, Error(text.error()).doing("read ", folder.path, "/", kStateFile)));
  }
  auto state = parse_state(*text, kStateFile);
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

Result<> remove_folder(const Context& context, const Folder& folder) {
  Fd root = TRY(open_root(context));
  std::string name = passing_name("old");
  auto renamed = sys::renameat(root, folder.id.c_str(), root, name.c_str());
  if (!renamed && renamed.error().value == ENOENT) return {};
  if (!renamed) return std::unexpected(Error(renamed.error()).doing("remove ", folder.path));
  // A sweep that meets the half-removed folder helps: it may be there first, or put a lock in it.
  int error = ENOTEMPTY;
  for (int i = 0; i < kRemoveAttempts && error == ENOTEMPTY; ++i) {
    auto removed = sys::remove_tree(root, name.c_str());
    error = removed ? 0 : removed.error().value;
  }
  if (error == 0 || error == ENOENT) return {};
  return std::unexpected(Error(Errno{error}).doing("remove ", context.root, "/", name));
}

void sweep(const Context& context) {
  auto root = open_root(context);
  if (!root) return;
  auto names = sys::list_directory(*root);
  if (!names) return;
  for (const auto& name : *names) {
    if (name[0] != '~') continue;
    auto dir = sys::openat(*root, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir) continue;
    // No lock file yet: made just now, or left by a kill between two calls. The owner of a new one
    // copes with its removal.
    auto file = open_lock_file(*dir, O_CREAT);
    if (file && sys::try_lock(*file).value_or(false)) (void)sys::remove_tree(*root, name.c_str());
  }
}

}  // namespace caisson::container
