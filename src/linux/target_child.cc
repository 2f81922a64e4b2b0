// Finding and making targets inside the new root, without ever leaving it.
//
// The tree may be under an attacker's control while we build in it (shared volumes, CVE-2021-30465,
// CVE-2024-45310): paths are resolved by the kernel below the root's descriptor, one descriptor at
// a time, and mounts are attached to descriptors.

#include <algorithm>
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

// A walk through the root that follows links itself, so that what a link names can be made as well:
// `real` is the way so far, without links ("usr/lib", empty for the root), `rest` what is to come.
struct Walk {
  char real[PATH_MAX] = {};
  std::size_t real_length = 0;
  char rest[PATH_MAX] = {};
  int links = 0;
};

constexpr int kMaxLinks = 40;  // as path_resolution(7)

void climb(Walk& walk) {
  while (walk.real_length > 0 && walk.real[walk.real_length - 1] != '/') --walk.real_length;
  if (walk.real_length > 0) --walk.real_length;
  walk.real[walk.real_length] = '\0';
}

bool append_part(Walk& walk, std::string_view name) {
  if (name.size() > NAME_MAX || walk.real_length + name.size() + 2 > PATH_MAX) return false;
  if (walk.real_length > 0) walk.real[walk.real_length++] = '/';
  std::memcpy(walk.real + walk.real_length, name.data(), name.size());
  walk.real_length += name.size();
  walk.real[walk.real_length] = '\0';
  return true;
}

// `rest` becomes what the link says, and then `after`.
ErrnoOr<> follow(Walk& walk, FdRef link, std::string_view after) {
  char text[PATH_MAX];
  if (++walk.links > kMaxLinks) return std::unexpected(Errno{ELOOP});
  long size = TRY(sys::call(SYS_readlinkat, link.number(), "", text, sizeof text));
  auto length = static_cast<std::size_t>(size);
  if (length + after.size() + 2 > PATH_MAX) return std::unexpected(Errno{ENAMETOOLONG});
  std::memmove(walk.rest + length + 1, after.data(), after.size());
  std::memcpy(walk.rest, text, length);
  walk.rest[length] = '/';
  walk.rest[length + 1 + after.size()] = '\0';
  climb(walk);
  if (text[0] == '/') walk.real[walk.real_length = 0] = '\0';
  return {};
}

// Nobody's links are followed: those that the walk met are no longer in its way.
ErrnoOr<Fd> open_real(ChildContext& context, const char* path) {
  return sys::openat2(FdRef(context.root_fd), path[0] == '\0' ? "." : path, O_PATH | O_NOFOLLOW,
                      kInRoot | RESOLVE_NO_SYMLINKS);
}

// Makes the last part of walk.real; somebody else may have been faster.
ErrnoOr<> make_part(ChildContext& context, Walk& walk, bool file, std::uint32_t mode) {
  char parent_path[PATH_MAX];
  std::string_view real(walk.real, walk.real_length);
  std::size_t slash = real.rfind('/');
  if (!terminated(slash == real.npos ? "" : real.substr(0, slash), parent_path)) {
    return std::unexpected(Errno{ENAMETOOLONG});
  }
  const char* name = walk.real + (slash == real.npos ? 0 : slash + 1);
  Fd parent = TRY(open_real(context, parent_path));
  ErrnoOr<> made;
  if (file) {
    auto opened = sys::openat2(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, 0644);
    if (!opened) made = std::unexpected(opened.error());
  } else {
    made = sys::mkdirat(parent, name, mode);
  }
  if (!made && made.error().value == EEXIST) return {};
  return made;
}

ErrnoOr<> make_path(ChildContext& context, std::string_view path, Make make, std::uint32_t mode) {
  Walk walk;
  if (!terminated(path, walk.rest)) return std::unexpected(Errno{ENAMETOOLONG});
  for (std::string_view rest(walk.rest);;) {
    std::size_t begin = rest.find_first_not_of('/');
    if (begin == rest.npos) return {};
    std::size_t end = std::min(rest.find('/', begin), rest.size());
    std::string_view name = rest.substr(begin, end - begin);
    std::string_view after = rest.substr(end);
    bool last = after.find_first_not_of('/') == after.npos;
    rest = after;
    if (name == ".") continue;
    if (name == "..") {
      climb(walk);
      continue;
    }
    if (!append_part(walk, name)) return std::unexpected(Errno{ENAMETOOLONG});
    auto part = open_real(context, walk.real);
    if (!part && part.error().value == ENOENT) {
      TRY(make_part(context, walk, last && make == Make::kFile, last ? mode : 0755));
      part = open_real(context, walk.real);
    }
    if (!part) return std::unexpected(part.error());
    auto info = TRY(sys::fstat(*part));
    if (!S_ISLNK(info.st_mode)) continue;
    TRY(follow(walk, *part, after));
    rest = walk.rest;
  }
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
  Fd parent = TRY(open_in_root(context, directory, Make::kDirectory, 0755, in_devices(path)));
  forget_cached_parent(context);
  context.cached_parent = directory.data();
  context.cached_parent_length = directory.size();
  context.cached_parent_fd = parent.release();
  return FdRef(context.cached_parent_fd);
}

}  // namespace caisson::linux
