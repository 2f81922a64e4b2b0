// Finding and making targets inside the new root, without ever leaving it.
//
// The tree may be under an attacker's control while we build in it (shared volumes, CVE-2021-30465,
// CVE-2024-45310): paths are resolved by the kernel below the root's descriptor, one descriptor at
// a time, and mounts are attached to descriptors.

#include <cstring>

#include "linux/child.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

constexpr std::uint64_t kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

// Copies a path part into `buffer` with its terminating NUL.
bool terminated(std::string_view part, char (&buffer)[PATH_MAX]) {
  if (part.size() >= sizeof buffer) return false;
  std::memcpy(buffer, part.data(), part.size());
  buffer[part.size()] = '\0';
  return true;
}

// One more component: opened when it is there (links resolved inside the root), made when not.
ErrnoOr<Fd> descend(ChildContext& context, std::string_view walked, FdRef parent,
                    std::string_view name, bool last, Make make, std::uint32_t mode) {
  char part[NAME_MAX + 1];
  if (name.size() > NAME_MAX) return std::unexpected(Errno{ENAMETOOLONG});
  std::memcpy(part, name.data(), name.size());
  part[name.size()] = '\0';
  if (last && make == Make::kFile) {
    auto file = sys::openat2(parent, part, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, 0644);
    if (!file && file.error().value != EEXIST) return file;
  } else {
    auto made = sys::mkdirat(parent, part, last ? mode : 0755);
    if (!made && made.error().value != EEXIST) return std::unexpected(made.error());
  }
  // The whole walked path again, from the root: the part may be a link that somebody put there.
  char path[PATH_MAX];
  if (!terminated(walked, path)) return std::unexpected(Errno{ENAMETOOLONG});
  return sys::openat2(FdRef(context.root_fd), path, O_PATH, kInRoot);
}

ErrnoOr<Fd> make_path(ChildContext& context, std::string_view path, Make make, std::uint32_t mode) {
  Fd current;
  FdRef parent(context.root_fd);
  std::size_t at = 0;
  while (at < path.size()) {
    std::size_t begin = path.find_first_not_of('/', at);
    if (begin == std::string_view::npos) break;
    std::size_t end = path.find('/', begin);
    if (end == std::string_view::npos) end = path.size();
    bool last = path.find_first_not_of('/', end) == std::string_view::npos;
    std::string_view walked = path.substr(0, end);
    char text[PATH_MAX];
    if (!terminated(walked, text)) return std::unexpected(Errno{ENAMETOOLONG});
    auto next = sys::openat2(FdRef(context.root_fd), text, O_PATH, kInRoot);
    if (!next && next.error().value == ENOENT) {
      next = descend(context, walked, parent, path.substr(begin, end - begin), last, make, mode);
    }
    if (!next) return next;
    current = std::move(*next);
    parent = current.ref();
    at = end;
  }
  if (!current) return sys::openat2(FdRef(context.root_fd), ".", O_PATH, kInRoot);
  return current;
}

}  // namespace

ErrnoOr<Fd> open_in_root(ChildContext& context, std::string_view path, Make make,
                         std::uint32_t mode, bool no_symlinks) {
  char text[PATH_MAX];
  if (!terminated(path, text)) return std::unexpected(Errno{ENAMETOOLONG});
  std::uint64_t resolve = kInRoot | (no_symlinks ? RESOLVE_NO_SYMLINKS : 0);
  auto found = sys::openat2(FdRef(context.root_fd), text, O_PATH, resolve);
  if (found || found.error().value != ENOENT || make == Make::kNothing) return found;
  context.report->operation = Operation::kMakeTarget;
  TRY(make_path(context, path, make, mode));
  return sys::openat2(FdRef(context.root_fd), text, O_PATH, resolve);
}

ErrnoOr<Fd> open_link_in_root(ChildContext& context, std::string_view path) {
  char text[PATH_MAX];
  if (!terminated(path, text)) return std::unexpected(Errno{ENAMETOOLONG});
  return sys::openat2(FdRef(context.root_fd), text, O_PATH | O_NOFOLLOW, kInRoot);
}

void forget_cached_parent(ChildContext& context) {
  if (context.cached_parent_fd >= 0) Fd(context.cached_parent_fd).reset();
  context.cached_parent_fd = -1;
  context.cached_parent = nullptr;
  context.cached_parent_length = 0;
}

ErrnoOr<FdRef> parent_in_root(ChildContext& context, std::string_view path, const char*& name) {
  std::size_t slash = path.rfind('/');
  std::string_view directory = slash == 0 ? std::string_view("/") : path.substr(0, slash);
  name = path.data() + slash + 1;
  std::string_view cached(context.cached_parent, context.cached_parent_length);
  if (context.cached_parent_fd >= 0 && cached == directory) return FdRef(context.cached_parent_fd);
  Fd parent = TRY(open_in_root(context, directory, Make::kDirectory));
  forget_cached_parent(context);
  context.cached_parent = directory.data();
  context.cached_parent_length = directory.size();
  context.cached_parent_fd = parent.release();
  return FdRef(context.cached_parent_fd);
}

}  // namespace caisson::linux
