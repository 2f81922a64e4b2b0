// chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2), fsync(2) and their like.
#include <linux/falloc.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include <array>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::int64_t kLargestOffset = 0x7FFFFFFFFFFFFFFF;

// Files without a place in a tree are asked themselves.
Value change_target(Task& task, const Target& target, const vfs::AttributeChange& change) {
  if (target.path.inode() == nullptr)
    TRY(target.file->change(change));
  else
    TRY(vfs::change(target.path, task.credentials(), change));
  return 0;
}

ErrnoOr<Target> descriptor(Task& task, int fd) {
  Ref<vfs::File> file = TRY(usable_file(task, fd));
  vfs::Path path = file->path();
  return Target{std::move(path), std::move(file)};
}

Value chmod_at(Task& task, int dirfd, std::uint64_t path, std::uint32_t mode, int flags) {
  Target target = TRY(target_at(task, dirfd, path, flags));
  // The mode of a symbolic link means nothing.
  if (target.inode() != nullptr && target.inode()->is_symlink()) return fail(EOPNOTSUPP);
  vfs::AttributeChange change;
  change.mode = mode & 07777U;
  return change_target(task, target, change);
}

Value chown_target(Task& task, const Target& target, std::uint32_t uid, std::uint32_t gid) {
  vfs::AttributeChange change;
  if (uid != ~0U) change.uid = uid;
  if (gid != ~0U) change.gid = gid;
  change.drops_set_ids = true;
  return change_target(task, target, change);
}

Value chown_at(Task& task, int dirfd, std::uint64_t path, std::uint32_t uid, std::uint32_t gid,
               int flags) {
  return chown_target(task, TRY(target_at(task, dirfd, path, flags)), uid, gid);
}

// --- times

using Times = std::array<timespec, 2>;

vfs::Timestamp timestamp_of(const timespec& time, vfs::Timestamp now) {
  if (time.tv_nsec == UTIME_NOW) return now;
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

bool is_valid(const timespec& time) {
  return time.tv_nsec == UTIME_NOW || time.tv_nsec == UTIME_OMIT ||
         (time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000);
}

Value set_times(Task& task, int dirfd, std::uint64_t path, const std::optional<Times>& times,
                int flags) {
  if (times && (!is_valid((*times)[0]) || !is_valid((*times)[1]))) return fail(EINVAL);
  if (times && (*times)[0].tv_nsec == UTIME_OMIT && (*times)[1].tv_nsec == UTIME_OMIT) return 0;
  Target target;
  if (path == 0 && dirfd != AT_FDCWD) {
    if (flags != 0) return fail(EINVAL);
    target = TRY(descriptor(task, dirfd));
  } else {
    target = TRY(target_at(task, dirfd, path, flags));
  }
  vfs::Timestamp now = vfs::Timestamp::now();
  constexpr timespec kNow{0, UTIME_NOW};
  Times given = times.value_or(Times{kNow, kNow});
  vfs::AttributeChange change;
  if (given[0].tv_nsec != UTIME_OMIT) change.accessed = timestamp_of(given[0], now);
  if (given[1].tv_nsec != UTIME_OMIT) change.modified = timestamp_of(given[1], now);
  change.times_are_now = given[0].tv_nsec == UTIME_NOW && given[1].tv_nsec == UTIME_NOW;
  return change_target(task, target, change);
}

ErrnoOr<std::optional<Times>> load_timevals(Task& task, std::uint64_t address) {
  if (address == 0) return std::optional<Times>();
  auto given = TRY((load<std::array<timeval, 2>>(task, address)));
  Times times;
  for (int i = 0; i < 2; ++i) {
    const timeval& from = given[static_cast<std::size_t>(i)];
    if (from.tv_usec < 0 || from.tv_usec >= 1'000'000) return fail(EINVAL);
    times[static_cast<std::size_t>(i)] = {from.tv_sec, from.tv_usec * 1000};
  }
  return std::optional<Times>(times);
}

}  // namespace

Value sys_chmod(Task& task, const Arguments& arguments) {
  return chmod_at(task, AT_FDCWD, arguments.u64(0), arguments.u32(1), 0);
}
Value sys_fchmod(Task& task, const Arguments& arguments) {
  vfs::AttributeChange change;
  change.mode = arguments.u32(1) & 07777U;
  return change_target(task, TRY(descriptor(task, arguments.i32(0))), change);
}
Value sys_fchmodat(Task& task, const Arguments& arguments) {
  return chmod_at(task, arguments.i32(0), arguments.u64(1), arguments.u32(2), 0);
}
Value sys_fchmodat2(Task& task, const Arguments& arguments) {
  return chmod_at(task, arguments.i32(0), arguments.u64(1), arguments.u32(2), arguments.i32(3));
}

Value sys_chown(Task& task, const Arguments& arguments) {
  return chown_at(task, AT_FDCWD, arguments.u64(0), arguments.u32(1), arguments.u32(2), 0);
}
Value sys_lchown(Task& task, const Arguments& arguments) {
  return chown_at(task, AT_FDCWD, arguments.u64(0), arguments.u32(1), arguments.u32(2),
                  AT_SYMLINK_NOFOLLOW);
}
Value sys_fchown(Task& task, const Arguments& arguments) {
  return chown_target(task, TRY(descriptor(task, arguments.i32(0))), arguments.u32(1),
                      arguments.u32(2));
}
Value sys_fchownat(Task& task, const Arguments& arguments) {
  return chown_at(task, arguments.i32(0), arguments.u64(1), arguments.u32(2), arguments.u32(3),
                  arguments.i32(4));
}

Value sys_utimensat(Task& task, const Arguments& arguments) {
  std::optional<Times> times;
  if (arguments.u64(2) != 0) times = TRY(load<Times>(task, arguments.u64(2)));
  return set_times(task, arguments.i32(0), arguments.u64(1), times, arguments.i32(3));
}
Value sys_futimesat(Task& task, const Arguments& arguments) {
  auto times = TRY(load_timevals(task, arguments.u64(2)));
  return set_times(task, arguments.i32(0), arguments.u64(1), times, 0);
}
Value sys_utimes(Task& task, const Arguments& arguments) {
  auto times = TRY(load_timevals(task, arguments.u64(1)));
  return set_times(task, AT_FDCWD, arguments.u64(0), times, 0);
}
Value sys_utime(Task& task, const Arguments& arguments) {
  std::optional<Times> times;
  if (arguments.u64(1) != 0) {
    auto given = TRY(load<utimbuf>(task, arguments.u64(1)));
    times = Times{timespec{given.actime, 0}, timespec{given.modtime, 0}};
  }
  return set_times(task, AT_FDCWD, arguments.u64(0), times, 0);
}

Value sys_truncate(Task& task, const Arguments& arguments) {
  if (arguments.i64(1) < 0) return fail(EINVAL);
  vfs::Path path = TRY(walk_at(task, AT_FDCWD, arguments.u64(0), 0));
  if (S_ISREG(path.inode()->type())) TRY(check_file_size(task, arguments.u64(1)));
  TRY(vfs::truncate(path, task.credentials(), arguments.u64(1)));
  return 0;
}

Value sys_ftruncate(Task& task, const Arguments& arguments) {
  if (arguments.i64(1) < 0) return fail(EINVAL);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  bool of_kernel = file->inode() == nullptr;  // shared memory without an inode
  if (!file->writable()) return fail(EINVAL);
  if (!of_kernel && !S_ISREG(file->inode()->type())) return fail(EINVAL);
  TRY(check_file_size(task, arguments.u64(1)));
  if (!of_kernel) {
    TRY(vfs::truncate_opened(*file->inode(), task.credentials(), arguments.u64(1)));
    vfs::tell_of(*file, IN_MODIFY);
    return 0;
  }
  vfs::AttributeChange change;
  change.size = arguments.u64(1);
  TRY(file->change(change));
  return 0;
}

Value sys_fallocate(Task& task, const Arguments& arguments) {
  int mode = arguments.i32(1);
  std::int64_t offset = arguments.i64(2), length = arguments.i64(3);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (offset < 0 || length <= 0) return fail(EINVAL);
  bool punches = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  if (punches && (mode & FALLOC_FL_KEEP_SIZE) == 0) return fail(EOPNOTSUPP);
  if (!file->writable()) return fail(EBADF);
  if (offset > kLargestOffset - length) return fail(EFBIG);
  vfs::Inode* inode = file->inode();
  if (inode != nullptr && S_ISREG(inode->type())) {
    bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0;
    auto end = static_cast<std::uint64_t>(offset + length);
    if (grows && end > TRY(file->size())) TRY(check_file_size(task, end));
    TRY(vfs::drop_set_ids(*inode, task.credentials()));
  }
  TRY(file->allocate(mode, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length)));
  vfs::tell_of(*file, IN_MODIFY);
  return 0;
}

Value sys_fsync(Task& task, const Arguments& arguments) {
  TRY(TRY(usable_file(task, arguments.i32(0)))->sync(false));
  return 0;
}
Value sys_fdatasync(Task& task, const Arguments& arguments) {
  TRY(TRY(usable_file(task, arguments.i32(0)))->sync(true));
  return 0;
}
Value sys_sync(Task& task, const Arguments&) {
  for (const Ref<vfs::Mount>& mount : task.mounts().mounts())
    (void)mount->filesystem().sync();  // sync(2) cannot fail
  return 0;
}
Value sys_syncfs(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (file->inode() != nullptr) TRY(file->inode()->filesystem().sync());
  return 0;
}

Value sys_sync_file_range(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  std::int64_t offset = arguments.i64(1), length = arguments.i64(2), end = 0;
  constexpr std::uint32_t kKnown = 7;
  if ((arguments.u32(3) & ~kKnown) != 0 || offset < 0 || length < 0 ||
      __builtin_add_overflow(offset, length, &end))
    return fail(EINVAL);
  vfs::Inode* inode = file->inode();
  if (inode == nullptr || !(S_ISREG(inode->type()) || inode->is_directory())) return fail(ESPIPE);
  if (arguments.u32(3) != 0) TRY(file->sync(true));
  return 0;
}

Value sys_fadvise64(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (file->inode() == nullptr || file->inode()->type() == S_IFIFO) return fail(ESPIPE);
  if (arguments.i64(2) < 0 || arguments.u32(3) > POSIX_FADV_NOREUSE) return fail(EINVAL);
  return 0;
}

Value sys_readahead(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(file_to_read(task, arguments.i32(0)));
  if (file->inode() == nullptr || !S_ISREG(file->inode()->type())) return fail(EINVAL);
  return 0;
}

}  // namespace caisson::sandbox::syscalls
