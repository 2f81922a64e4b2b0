#include "gofer/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "sys/file_at.h"
#include "sys/xattr.h"

namespace caisson::gofer {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

// A name in an open directory.
struct Place {
  Fd directory;
  std::string name;
  const char* path() const { return name.c_str(); }
};

ErrnoOr<Place> place_of(const Mount& mount, const std::string& path) {
  if (path.empty()) return failed(EBUSY);  // the root has no name here
  std::size_t slash = path.rfind('/');
  std::string above = slash == std::string::npos ? "." : path.substr(0, slash);
  Place place;
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  place.directory =
      TRY(sys::openat2(mount.root, above.c_str(), O_PATH | O_DIRECTORY, sys::kBeneath));
  return place;
}

// What stands there, itself, by a descriptor that opens nothing.
ErrnoOr<Fd> locate(const Mount& mount, const std::string& path) {
  struct stat root = TRY(sys::fstat(mount.root));
  if (path.empty() && !S_ISDIR(root.st_mode)) return sys::dup_cloexec(mount.root);
  const char* text = path.empty() ? "." : path.c_str();
  return sys::openat2(mount.root, text, O_PATH | O_NOFOLLOW, sys::kBeneath);
}

bool may_own(std::uint32_t id, const std::vector<IdRange>& ranges) {
  if (ranges.empty()) return true;
  for (const IdRange& range : ranges)
    if (id >= range.first && id - range.first < range.count) return true;
  return false;
}

bool may_give(const Mount& mount, std::uint32_t uid, std::uint32_t gid) {
  constexpr std::uint32_t kUnchanged = ~std::uint32_t{0};
  return (uid == kUnchanged || may_own(uid, mount.uids)) &&
         (gid == kUnchanged || may_own(gid, mount.gids));
}

ErrnoOr<> set_mode(FdRef file, std::uint32_t mode) {
  auto done = sys::fchmodat2(file, "", mode, AT_EMPTY_PATH);
  if (done || done.error().value != ENOSYS) return done;
  Fd directory = TRY(sys::openat2(file, ".", O_RDONLY | O_DIRECTORY, sys::kBeneath));
  return sys::fchmod(directory, mode);
}

// chown(2) takes set-id bits away: the mode comes last.
ErrnoOr<> settle(FdRef file, const Request& request) {
  TRY(sys::fchownat(file, "", request.uid, request.gid, AT_EMPTY_PATH));
  if ((request.mode & S_IFMT) == S_IFLNK) return {};
  return set_mode(file, request.mode & 07777);
}

// --- operations

// Regular files and directories; opening others has effects on the host.
ErrnoOr<Answer> open_file(const Mount& mount, const Request& request) {
  constexpr std::uint32_t kAllowed =
      O_ACCMODE | O_PATH | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  if ((request.flags & ~kAllowed) != 0) return failed(EINVAL);
  bool writes = (request.flags & O_ACCMODE) != O_RDONLY && (request.flags & O_PATH) == 0;
  if (writes && mount.readonly) return failed(EROFS);
  Fd place = TRY(locate(mount, request.path));
  struct stat before = TRY(sys::fstat(place));
  if (!S_ISREG(before.st_mode) && !S_ISDIR(before.st_mode)) return failed(ENXIO);
  Answer answer;
  if ((request.flags & O_PATH) != 0) {
    answer.fd = std::move(place);
    return answer;
  }
  const char* text = request.path.empty() ? "." : request.path.c_str();
  auto flags = static_cast<int>(request.flags) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  answer.fd = TRY(sys::openat2(mount.root, text, flags, sys::kBeneath));
  struct stat after = TRY(sys::fstat(answer.fd));
  if (after.st_dev != before.st_dev || after.st_ino != before.st_ino) return failed(ESTALE);
  return answer;
}

ErrnoOr<Answer> create_file(const Mount& mount, const Request& request) {
  if (!may_give(mount, request.uid, request.gid)) return failed(EPERM);
  Place place = TRY(place_of(mount, request.path));
  Answer answer;
  answer.fd = TRY(sys::openat2(place.directory, place.path(),
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, sys::kBeneath,
                               request.mode & 0777));
  auto settled = settle(answer.fd, request);
  if (settled) return answer;
  (void)sys::unlinkat(place.directory, place.path());  // it was not there before
  return std::unexpected(settled.error());
}

ErrnoOr<> make_at(const Place& place, const Request& request) {
  std::uint32_t type = request.mode & S_IFMT;
  std::uint32_t mode = request.mode & 0777;
  switch (type) {
    case S_IFDIR: return sys::mkdirat(place.directory, place.path(), mode);
    case S_IFLNK: return sys::symlinkat(request.second.c_str(), place.directory, place.path());
    case S_IFIFO:
    case S_IFSOCK: return sys::mknodat(place.directory, place.path(), type | mode, 0);
    case S_IFCHR:  // a whiteout; devices are not made
      if (request.number == 0) return sys::mknodat(place.directory, place.path(), type | mode, 0);
      [[fallthrough]];
    default: return failed(EPERM);
  }
}

ErrnoOr<Answer> make(const Mount& mount, const Request& request) {
  if (!may_give(mount, request.uid, request.gid)) return failed(EPERM);
  Place place = TRY(place_of(mount, request.path));
  TRY(make_at(place, request));
  Fd made = TRY(sys::openat2(place.directory, place.path(), O_PATH | O_NOFOLLOW, sys::kBeneath));
  struct stat info = TRY(sys::fstat(made));
  // Another has put something else there: it keeps its owner.
  if ((info.st_mode & S_IFMT) != (request.mode & S_IFMT)) return failed(ESTALE);
  auto settled = settle(made, request);
  if (settled) return Answer{};
  bool directory = S_ISDIR(request.mode);
  (void)sys::unlinkat(place.directory, place.path(), directory ? AT_REMOVEDIR : 0);
  return std::unexpected(settled.error());
}

ErrnoOr<Answer> make_symlink(const Mount& mount, Request request) {
  request.mode = S_IFLNK | 0777;
  return make(mount, request);
}

ErrnoOr<Answer> link(const Mount& mount, const Request& request) {
  Place from = TRY(place_of(mount, request.path));
  Place to = TRY(place_of(mount, request.second));
  TRY(sys::linkat(from.directory, from.path(), to.directory, to.path(), 0));
  return Answer{};
}

ErrnoOr<Answer> unlink(const Mount& mount, const Request& request) {
  if ((request.flags & ~std::uint32_t{AT_REMOVEDIR}) != 0) return failed(EINVAL);
  Place place = TRY(place_of(mount, request.path));
  TRY(sys::unlinkat(place.directory, place.path(), static_cast<int>(request.flags)));
  return Answer{};
}

ErrnoOr<Answer> rename(const Mount& mount, const Request& request) {
  constexpr std::uint32_t kAllowed = RENAME_NOREPLACE | RENAME_EXCHANGE;
  if ((request.flags & ~kAllowed) != 0) return failed(EINVAL);
  Place from = TRY(place_of(mount, request.path));
  Place to = TRY(place_of(mount, request.second));
  TRY(sys::renameat(from.directory, from.path(), to.directory, to.path(), request.flags));
  return Answer{};
}

ErrnoOr<Answer> stat(const Mount& mount, const Request& request) {
  Answer answer;
  answer.reply.info = TRY(sys::statx(TRY(locate(mount, request.path))));
  return answer;
}

ErrnoOr<Answer> read_link(const Mount& mount, const Request& request) {
  Place place = TRY(place_of(mount, request.path));
  Answer answer;
  answer.reply.text = TRY(sys::readlink(place.directory, place.path()));
  return answer;
}

ErrnoOr<Answer> set_mode(const Mount& mount, const Request& request) {
  Fd file = TRY(locate(mount, request.path));
  struct stat info = TRY(sys::fstat(file));
  if (S_ISLNK(info.st_mode)) return failed(EOPNOTSUPP);
  TRY(set_mode(file, request.mode & 07777));
  return Answer{};
}

ErrnoOr<Answer> set_owner(const Mount& mount, const Request& request) {
  if (!may_give(mount, request.uid, request.gid)) return failed(EPERM);
  Fd file = TRY(locate(mount, request.path));
  TRY(sys::fchownat(file, "", request.uid, request.gid, AT_EMPTY_PATH));
  return Answer{};
}

ErrnoOr<Answer> set_times(const Mount& mount, const Request& request) {
  Fd file = TRY(locate(mount, request.path));
  TRY(sys::utimensat(file, "", request.times, AT_EMPTY_PATH));
  return Answer{};
}

ErrnoOr<Answer> set_size(const Mount& mount, const Request& request) {
  Request open = request;
  open.flags = O_WRONLY;
  Answer opened = TRY(open_file(mount, open));
  TRY(sys::ftruncate(opened.fd, static_cast<std::int64_t>(request.number)));
  return Answer{};
}

// --- extended attributes: those of users; what the host says about rights is read only. Only
// regular files and directories have such (xattr(7)).

bool is_users(std::string_view name) { return name.starts_with("user."); }
bool is_readable(std::string_view name) { return is_users(name) || name.starts_with("security."); }

ErrnoOr<Fd> open_for_attributes(const Mount& mount, const std::string& path) {
  Request open;
  open.path = path;
  open.flags = O_RDONLY;
  auto opened = open_file(mount, open);
  if (!opened) return failed(opened.error().value == ENXIO ? ENOTSUP : opened.error().value);
  return std::move(opened->fd);
}

ErrnoOr<Answer> get_attribute(const Mount& mount, const Request& request) {
  if (!is_readable(request.second)) return failed(ENODATA);
  Fd file = TRY(open_for_attributes(mount, request.path));
  Answer answer;
  answer.reply.text.resize(XATTR_SIZE_MAX);
  std::size_t size =
      TRY(sys::fgetxattr(file, request.second.c_str(), std::span<char>(answer.reply.text)));
  answer.reply.text.resize(size);
  return answer;
}

ErrnoOr<Answer> set_attribute(const Mount& mount, const Request& request) {
  if (!is_users(request.second)) return failed(EPERM);
  Fd file = TRY(open_for_attributes(mount, request.path));
  TRY(sys::fsetxattr(file, request.second.c_str(), request.value, static_cast<int>(request.flags)));
  return Answer{};
}

ErrnoOr<Answer> list_attributes(const Mount& mount, const Request& request) {
  Fd file = TRY(open_for_attributes(mount, request.path));
  Answer answer;
  answer.reply.text.resize(XATTR_LIST_MAX);
  std::size_t size = TRY(sys::flistxattr(file, std::span<char>(answer.reply.text)));
  answer.reply.text.resize(size);
  return answer;
}

ErrnoOr<Answer> remove_attribute(const Mount& mount, const Request& request) {
  if (!is_users(request.second)) return failed(EPERM);
  Fd file = TRY(open_for_attributes(mount, request.path));
  TRY(sys::fremovexattr(file, request.second.c_str()));
  return Answer{};
}

bool only_reads(Operation operation) {
  return operation == Operation::kOpen || operation == Operation::kStat ||
         operation == Operation::kReadLink || operation == Operation::kGetAttribute ||
         operation == Operation::kListAttributes;
}

}  // namespace

ErrnoOr<Answer> Files::perform(const Mount& mount, const Request& request) const {
  if (mount.readonly && !only_reads(request.operation)) return failed(EROFS);
  switch (request.operation) {
    case Operation::kOpen: return open_file(mount, request);
    case Operation::kCreate: return create_file(mount, request);
    case Operation::kMake: return make(mount, request);
    case Operation::kMakeSymlink: return make_symlink(mount, request);
    case Operation::kLink: return link(mount, request);
    case Operation::kUnlink: return unlink(mount, request);
    case Operation::kRename: return rename(mount, request);
    case Operation::kStat: return stat(mount, request);
    case Operation::kReadLink: return read_link(mount, request);
    case Operation::kSetMode: return set_mode(mount, request);
    case Operation::kSetOwner: return set_owner(mount, request);
    case Operation::kSetTimes: return set_times(mount, request);
    case Operation::kSetSize: return set_size(mount, request);
    case Operation::kGetAttribute: return get_attribute(mount, request);
    case Operation::kSetAttribute: return set_attribute(mount, request);
    case Operation::kListAttributes: return list_attributes(mount, request);
    case Operation::kRemoveAttribute: return remove_attribute(mount, request);
  }
  return failed(EPROTO);
}

Answer Files::answer(const Request& request) const {
  ErrnoOr<Answer> done = failed(EBADF);
  if (request.mount < mounts_.size()) done = perform(mounts_[request.mount], request);
  if (done) return std::move(*done);
  Answer answer;
  answer.reply.errno_value = done.error().value;
  return answer;
}

}  // namespace caisson::gofer
