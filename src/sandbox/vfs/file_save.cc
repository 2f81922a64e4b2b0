// Open files in a checkpoint, their locks, and credentials.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/text.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file_locks.h"
#include "sandbox/vfs/save.h"

namespace caisson::sandbox::vfs {
namespace {

// What tells a file of others from what stood there at the checkpoint.
struct Likeness {
  std::uint64_t inode = 0, size = 0;
  Timestamp modified;
  friend bool operator==(const Likeness&, const Likeness&) = default;
};
template <typename Stream>
void describe(Stream& stream, Likeness& likeness) {
  stream(likeness.inode, likeness.size, likeness.modified);
}

// Of those that the container itself writes to, only which one it is.
Likeness likeness_of(const Attributes& attributes, bool writable) {
  if (writable) return {attributes.inode, 0, {}};
  return {attributes.inode, attributes.size, attributes.modified};
}

bool is_compared(const Inode& inode) {
  return inode.type() == S_IFREG && inode.filesystem().may_change_meanwhile();
}

Result<> compare(state::Reader& from, const Path& path, bool writable) {
  auto then = from.value<Likeness>();
  TRY(from.check());
  auto now = path.inode()->attributes();
  if (!now) return std::unexpected(Error(now.error()).doing("look at ", place_text(path)));
  if (likeness_of(*now, writable) == then) return {};
  return std::unexpected(Error::with_cause(ESTALE, "it was changed since the checkpoint")
                             .doing("open ", place_text(path), " again")
                             .cure("restore on the files that were there at the checkpoint")
                             .code("restore.changed"));
}

struct SavedFile {
  std::uint32_t flags = 0;
  std::uint64_t position = 0;
};
template <typename Stream>
void describe(Stream& stream, SavedFile& file) {
  stream(file.flags, file.position);
}

// Terminals have more to be restored than a place: theirs are no such files.
Result<> check_device(Inode& inode) {
  constexpr unsigned kTtyMajor = 5, kPtyMajor = 136;
  if (inode.type() != S_IFCHR) return {};
  auto attributes = inode.attributes();
  unsigned number = attributes ? gnu_dev_major(attributes->special_device) : 0;
  if (number != kTtyMajor && number != kPtyMajor) return {};
  return std::unexpected(state::Reader::damaged("a terminal is restored as another file"));
}

// A removed name leads to its inode only where that is saved with it (tmpfs).
Result<> check_place(const Path& path, Inode& inode) {
  if (!path.dentry->is_removed() || inode.save_tag() != state::Tag::kNone) return {};
  return std::unexpected(Error::with_cause(EOPNOTSUPP, "it was removed while it is open")
                             .doing("save ", place_text(path))
                             .cure("close it before the checkpoint"));
}

}  // namespace

state::Tag File::save_tag() const {
  return path_.mount && inode_ ? state::Tag::kPlacedFile : state::Tag::kNone;
}

void File::save_place(state::Writer& to) {
  save_path(to, path_);
  Locked lock(position_mutex_);
  to(SavedFile{flags(), position_});
}

Result<> File::save(state::Writer& to) {
  TRY(check_place(path_, *inode_));
  save_place(to);
  if (is_compared(*inode_)) {
    auto attributes = inode_->attributes();
    if (!attributes)
      return std::unexpected(Error(attributes.error()).doing("look at ", place_text(path_)));
    to(likeness_of(*attributes, writable()));
  }
  save_locks(to, *inode_, this);
  return {};
}

Result<Ref<File>> restore_placed_file(state::Reader& from) {
  Path path = TRY(restore_path(from));
  auto saved = from.value<SavedFile>();
  TRY(from.check());
  if (!path.mount || path.inode() == nullptr)
    return std::unexpected(state::Reader::damaged("a file has no place"));
  OpenFlags flags{saved.flags & ~std::uint32_t{O_PATH | O_TRUNC}};
  if (is_compared(*path.inode())) TRY(compare(from, path, flags.writable()));
  TRY(check_device(*path.inode()));
  auto opened = path.inode()->open(path, flags, from.need<Caller>());
  if (!opened)
    return std::unexpected(Error(opened.error()).doing("open ", place_text(path), " again"));
  (*opened)->set_flags(saved.flags);
  (*opened)->position_ = saved.position;
  TRY(restore_locks(from, *path.inode(), opened->get()));
  return *std::move(opened);
}

Result<Ref<File>> restore_path_file(state::Reader& from) {
  Path path = TRY(restore_path(from));
  auto saved = from.value<SavedFile>();
  TRY(from.check());
  if (path.inode() == nullptr)
    return std::unexpected(state::Reader::damaged("a file has no place"));
  return make_path_file(path, saved.flags);
}

// --- locks

template <typename Stream>
void describe(Stream& stream, RangeLock& lock) {
  stream(lock.begin, lock.last, lock.exclusive, lock.process);
}

void save_locks(state::Writer& to, Inode& inode, const void* owner) {
  FileLocks* locks = inode.data_inode().known_locks();
  FileLocks::Held held;
  if (locks != nullptr) held = locks->held_by(owner);
  to(held.ranges, held.whole_exclusive);
}

Result<> restore_locks(state::Reader& from, Inode& inode, const void* owner) {
  auto ranges = from.value<std::vector<RangeLock>>();
  auto whole = from.value<std::optional<bool>>();
  TRY(from.check());
  if (ranges.empty() && !whole) return {};
  FileLocks& locks = inode.data_inode().locks();
  for (RangeLock& range : ranges) {
    range.owner = owner;
    if (!locks.lock(range)) return std::unexpected(state::Reader::damaged("locks overlap"));
  }
  if (whole && !locks.lock_whole(owner, *whole))
    return std::unexpected(state::Reader::damaged("locks overlap"));
  return {};
}

// --- Credentials

template <typename Stream>
void describe(Stream& stream, Credentials& c) {
  stream(c.uid, c.euid, c.suid, c.fsuid, c.gid, c.egid, c.sgid, c.fsgid, c.groups);
  stream(c.permitted, c.effective, c.inheritable, c.bounding, c.ambient, c.securebits);
  stream(c.keep_capabilities, c.no_new_privileges);
}

Result<> Credentials::save(state::Writer& to) {
  to(*this);
  return {};
}

Result<Ref<Credentials>> Credentials::restore(state::Reader& from) {
  auto credentials = make_ref<Credentials>();
  from(*credentials);
  return credentials;
}

}  // namespace caisson::sandbox::vfs
