#include "container/upper_diff.h"

#include <sys/stat.h>

#include <algorithm>

#include "sys/file.h"

namespace caisson::container {
namespace {

constexpr int kMaxDepth = 256;

// A directory of both sides.
struct Place {
  FdRef upper;
  Fd lower;     // empty: there is none below, or it is no directory
  bool hidden;  // what is below does not show through (opaque)
  std::string path;
};

// The attribute's value has one byte, when it is there.
char attribute(FdRef file, const char* name) {
  char value = 0;
  auto got = sys::call(SYS_fgetxattr, file.number(), name, &value, 1);
  return got ? (*got == 0 ? '\1' : value) : '\0';
}

bool is_opaque(FdRef directory) {
  return attribute(directory, "trusted.overlay.opaque") == 'y' ||
         attribute(directory, "user.overlay.opaque") == 'y';
}

bool is_whiteout(FdRef dir, const char* name, const struct stat& info) {
  if (S_ISCHR(info.st_mode)) return info.st_rdev == 0;
  if (!S_ISREG(info.st_mode) || info.st_size != 0) return false;
  auto file = sys::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return false;
  return attribute(*file, "trusted.overlay.whiteout") != 0 ||
         attribute(*file, "user.overlay.whiteout") != 0;
}

std::string joined(const std::string& path, const std::string& name) {
  return path == "/" ? cat("/", name) : cat(path, "/", name);
}

ErrnoOr<> walk(const Place& place, int depth, std::vector<Change>& changes);

// An opaque directory hides what is below: what it does not have itself is deleted.
ErrnoOr<> add_hidden(const Place& place, const std::vector<std::string>& present,
                     std::vector<Change>& changes) {
  for (const auto& name : TRY(sys::list_directory(place.lower))) {
    bool there = std::ranges::find(present, name) != present.end();
    if (!there) changes.push_back({Change::Kind::kDeleted, joined(place.path, name)});
  }
  return {};
}

ErrnoOr<> add_entry(const Place& place, const std::string& name, int depth,
                    std::vector<Change>& changes) {
  auto info = TRY(sys::fstatat(place.upper, name.c_str(), AT_SYMLINK_NOFOLLOW));
  std::string path = joined(place.path, name);
  bool below = place.lower.valid() &&
               sys::fstatat(place.lower, name.c_str(), AT_SYMLINK_NOFOLLOW).has_value();
  if (is_whiteout(place.upper, name.c_str(), info)) {
    if (below) changes.push_back({Change::Kind::kDeleted, std::move(path)});
    return {};
  }
  changes.push_back({below ? Change::Kind::kChanged : Change::Kind::kAdded, path});
  if (!S_ISDIR(info.st_mode)) return {};
  Fd upper = TRY(sys::openat(place.upper, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Place inner{upper, {}, place.hidden || is_opaque(upper), std::move(path)};
  if (below) {
    auto lower = sys::openat(place.lower, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (lower) inner.lower = std::move(*lower);
  }
  return walk(inner, depth + 1, changes);
}

ErrnoOr<> walk(const Place& place, int depth, std::vector<Change>& changes) {
  if (depth > kMaxDepth) return std::unexpected(Errno{ELOOP});
  auto names = TRY(sys::list_directory(place.upper));
  for (const auto& name : names) TRY(add_entry(place, name, depth, changes));
  if (place.hidden && place.lower.valid()) TRY(add_hidden(place, names, changes));
  return {};
}

}  // namespace

Result<> diff_upper(FdRef upper, const std::string& lower, const std::string& target,
                    std::vector<Change>& changes) {
  Place place{upper, {}, is_opaque(upper), target};
  auto below = sys::openat(sys::kCwd, lower.c_str(), O_RDONLY | O_DIRECTORY);
  if (below) place.lower = std::move(*below);
  TRY_CTX(walk(place, 0, changes), "compare ", target, " with what it was");
  return {};
}

}  // namespace caisson::container
