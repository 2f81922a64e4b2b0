#include "sandbox/vfs/inode.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <atomic>
#include <cerrno>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/file_locks.h"
#include "sandbox/vfs/mount.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

// Device numbers of file systems without a device have major number 0, as in Linux.
std::uint64_t next_device() {
  static constinit std::atomic<unsigned> next{1};
  return makedev(0, next.fetch_add(1, std::memory_order_relaxed));
}

std::unexpected<Errno> no_names(const Inode& inode, int errno_value = EPERM) {
  return std::unexpected(Errno{inode.is_directory() ? errno_value : ENOTDIR});
}
std::unexpected<Errno> no_attributes() { return std::unexpected(Errno{ENOTSUP}); }

}  // namespace

Timestamp Timestamp::now() {
  timespec time{};
  (void)::clock_gettime(CLOCK_REALTIME_COARSE, &time);  // cannot fail
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

Filesystem::Filesystem(std::string type)
    : type_(std::move(type)),
      device_(next_device()),
      names_(std::make_unique<DentryCache>()),
      watches_(std::make_unique<Watches>()) {}
Filesystem::~Filesystem() = default;

ErrnoOr<> Filesystem::remount(std::string_view, bool) { return {}; }

bool OpenFlags::readable() const {
  return (flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == O_RDWR;
}
bool OpenFlags::writable() const {
  return (flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR;
}

Inode::~Inode() { delete known_locks(); }

FileLocks& Inode::locks() {
  if (FileLocks* known = known_locks()) return *known;
  auto made = std::make_unique<FileLocks>();
  FileLocks* expected = nullptr;
  if (!locks_.compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel))
    return *expected;
  return *made.release();
}

namespace {

// One more of a kind, unless there are some of the other, which count the other way.
bool count_one(std::atomic<int>& count, int step) {
  int now = count.load(std::memory_order_relaxed);
  do {
    if (now * step < 0) return false;
  } while (!count.compare_exchange_weak(now, now + step, std::memory_order_acq_rel));
  return true;
}

}  // namespace

ErrnoOr<> Inode::begin_writing() {
  if (!count_one(writers_, 1)) return std::unexpected(Errno{ETXTBSY});
  return {};
}
void Inode::end_writing() { writers_.fetch_sub(1, std::memory_order_acq_rel); }
ErrnoOr<> Inode::begin_running() {
  if (!count_one(writers_, -1)) return std::unexpected(Errno{ETXTBSY});
  return {};
}
void Inode::end_running() { writers_.fetch_add(1, std::memory_order_acq_rel); }

ErrnoOr<Ownership> Inode::ownership() {
  Attributes all = TRY(attributes());
  return Ownership{all.mode, all.uid, all.gid};
}

ErrnoOr<Ref<Inode>> Inode::lookup(std::string_view) { return no_names(*this, ENOENT); }
ErrnoOr<Ref<Inode>> Inode::create(std::string_view, const Creation&) { return no_names(*this); }
ErrnoOr<Ref<Inode>> Inode::make_directory(std::string_view, const Creation&) {
  return no_names(*this);
}
ErrnoOr<Ref<Inode>> Inode::make_node(std::string_view, const Creation&, std::uint64_t) {
  return no_names(*this);
}
ErrnoOr<Ref<Inode>> Inode::make_symlink(std::string_view, std::string_view, const Creation&) {
  return no_names(*this);
}
ErrnoOr<> Inode::link(std::string_view, Inode&) { return no_names(*this); }
ErrnoOr<> Inode::unlink(std::string_view, Inode&) { return no_names(*this); }
ErrnoOr<> Inode::remove_directory(std::string_view, Inode&) { return no_names(*this); }
ErrnoOr<> Inode::rename(std::string_view, Inode&, Inode&, std::string_view, Inode*, std::uint32_t) {
  return no_names(*this);
}
ErrnoOr<Ref<Inode>> Inode::make_mount_point(std::string_view name, std::uint32_t type) {
  if (type == S_IFDIR) return make_directory(name, {S_IFDIR | 0755, 0, 0});
  return create(name, {S_IFREG | 0644, 0, 0});
}
ErrnoOr<Ref<Inode>> Inode::create_unnamed(const Creation&) { return no_names(*this, EOPNOTSUPP); }

bool Inode::still_named(std::string_view name, Inode& target) {
  auto found = lookup(name);
  return found && found->get() == &target;
}

ErrnoOr<std::string> Inode::read_link(Caller*) { return std::unexpected(Errno{EINVAL}); }
ErrnoOr<Path> Inode::magic_link(Caller&) { return Path{}; }

ErrnoOr<std::string> Inode::get_attribute(std::string_view) { return no_attributes(); }
ErrnoOr<> Inode::set_attribute(std::string_view, std::string_view, int) { return no_attributes(); }
ErrnoOr<std::vector<std::string>> Inode::list_attributes() { return no_attributes(); }
ErrnoOr<> Inode::remove_attribute(std::string_view) { return no_attributes(); }

ErrnoOr<> Inode::may_access(const Credentials&, int) { return {}; }

}  // namespace caisson::sandbox::vfs
