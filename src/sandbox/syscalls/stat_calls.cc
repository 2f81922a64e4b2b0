// stat(2), statx(2), access(2), statfs(2), readlink(2) and their like.
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bit>
#include <cstring>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/permission.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr int kStatFlags =
    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;

timespec time_of(vfs::Timestamp time) {
  return {time.seconds, static_cast<long>(time.nanoseconds)};
}

Value store_stat(Task& task, std::uint64_t address, const vfs::Attributes& from) {
  struct stat to{};
  to.st_dev = from.device;
  to.st_ino = from.inode;
  to.st_nlink = static_cast<decltype(to.st_nlink)>(from.links);
  to.st_mode = from.mode;
  to.st_uid = from.uid;
  to.st_gid = from.gid;
  to.st_rdev = from.special_device;
  to.st_size = static_cast<off_t>(from.size);
  to.st_blksize = static_cast<decltype(to.st_blksize)>(from.block_size);
  to.st_blocks = static_cast<blkcnt_t>(from.blocks);
  to.st_atim = time_of(from.accessed);
  to.st_mtim = time_of(from.modified);
  to.st_ctim = time_of(from.changed);
  TRY(store(task, address, to));
  return 0;
}

Value stat_at(Task& task, int dirfd, std::uint64_t path, std::uint64_t to, int flags) {
  if ((flags & ~kStatFlags) != 0) return fail(EINVAL);
  flags &= AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  Target target = TRY(target_at(task, dirfd, path, flags));
  return store_stat(task, to, TRY(target.attributes()));
}

statx_timestamp statx_time(vfs::Timestamp time) {
  statx_timestamp to{};
  to.tv_sec = time.seconds;
  to.tv_nsec = time.nanoseconds;
  return to;
}

// struct statx up to the fields that the C library's header lacks.
struct GuestStatx {
  struct statx known;
  void set_mount(std::uint64_t id) {
    constexpr std::size_t kMountIdAt = 144;
    std::memcpy(std::bit_cast<char*>(&known) + kMountIdAt, &id, sizeof id);
  }
};
static_assert(sizeof(GuestStatx) == 256);

GuestStatx statx_of(const vfs::Attributes& from, const vfs::Mount* mount, bool mount_root) {
  constexpr std::uint32_t kMountId = 0x1000;    // STATX_MNT_ID
  constexpr std::uint64_t kMountRoot = 0x2000;  // STATX_ATTR_MOUNT_ROOT
  GuestStatx guest{};
  struct statx& to = guest.known;
  to.stx_mask = STATX_BASIC_STATS;
  to.stx_blksize = from.block_size;
  to.stx_attributes_mask = kMountRoot;
  to.stx_attributes = mount_root ? kMountRoot : 0;
  to.stx_nlink = static_cast<std::uint32_t>(from.links);
  to.stx_uid = from.uid;
  to.stx_gid = from.gid;
  to.stx_mode = static_cast<std::uint16_t>(from.mode);
  to.stx_ino = from.inode;
  to.stx_size = from.size;
  to.stx_blocks = from.blocks;
  to.stx_atime = statx_time(from.accessed);
  to.stx_mtime = statx_time(from.modified);
  to.stx_ctime = statx_time(from.changed);
  if (from.born) {
    to.stx_mask |= STATX_BTIME;
    to.stx_btime = statx_time(*from.born);
  }
  to.stx_rdev_major = major(from.special_device);
  to.stx_rdev_minor = minor(from.special_device);
  to.stx_dev_major = major(from.device);
  to.stx_dev_minor = minor(from.device);
  if (mount != nullptr) {
    to.stx_mask |= kMountId;
    guest.set_mount(mount->id());
  }
  return guest;
}

// --- access

// access(2) asks for the real ids, with the capabilities that a program of theirs would have.
Ref<vfs::Credentials> real_credentials(const vfs::Credentials& from) {
  constexpr std::uint32_t kNoSetuidFixup = 1U << 2;  // SECBIT_NO_SETUID_FIXUP
  Ref<vfs::Credentials> real = from.copy();
  real->fsuid = real->uid;
  real->fsgid = real->gid;
  if ((real->securebits & kNoSetuidFixup) == 0)
    real->effective = real->uid == 0 ? real->permitted : 0;
  return real;
}

ErrnoOr<> check_access(const Target& target, const vfs::Credentials& credentials, int mode) {
  vfs::Inode* inode = target.inode();
  if (inode == nullptr) return {};
  const vfs::Mount* mount = target.path.mount.get();
  bool regular = S_ISREG(inode->type());
  if ((mode & X_OK) != 0 && regular && mount != nullptr && (mount->flags() & MS_NOEXEC) != 0)
    return fail(EACCES);
  TRY(vfs::may_access(*inode, credentials, mode));
  bool plain = regular || inode->is_directory() || inode->is_symlink();
  if ((mode & W_OK) != 0 && plain && mount != nullptr &&
      (mount->readonly() || mount->filesystem().is_readonly()))
    return fail(EROFS);
  return {};
}

Value access_at(Task& task, int dirfd, std::uint64_t address, int mode, int flags) {
  if ((mode & ~(R_OK | W_OK | X_OK)) != 0) return fail(EINVAL);
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return fail(EINVAL);
  Ref<vfs::Credentials> real;
  if ((flags & AT_EACCESS) == 0) real = real_credentials(task.credentials());
  const vfs::Credentials& used = real ? *real : task.credentials();
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  if (path.text.empty() && (flags & AT_EMPTY_PATH) != 0 && dirfd != AT_FDCWD) {
    Ref<vfs::File> file = TRY(task.file(dirfd));
    TRY(check_access({file->path(), file}, used, mode));
    return 0;
  }
  path.context.credentials = &used;
  vfs::WalkFlags walk_flags;
  walk_flags.follow_last = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  walk_flags.allow_empty = (flags & AT_EMPTY_PATH) != 0;
  TRY(check_access({TRY(vfs::walk(path.context, path.text, walk_flags)), nullptr}, used, mode));
  return 0;
}

// --- statfs

// Of files in a file system that nobody can mount.
std::int64_t magic_of(std::uint32_t mode) {
  constexpr std::int64_t kPipes = 0x50495045, kSockets = 0x534f434b;
  if (S_ISFIFO(mode)) return kPipes;
  return S_ISSOCK(mode) ? kSockets : ANON_INODE_FS_MAGIC;
}

Value store_status(Task& task, std::uint64_t address, const vfs::Path& path, vfs::Inode* inode,
                   std::uint32_t mode = 0) {
  vfs::FilesystemStatus from;
  from.type = magic_of(mode);
  struct statfs to{};
  if (inode != nullptr) {
    from = TRY(inode->filesystem().status());
    to.f_fsid.__val[0] = static_cast<int>(inode->filesystem().device());
  }
  to.f_type = from.type;
  to.f_bsize = to.f_frsize = static_cast<long>(from.block_size);
  to.f_blocks = from.blocks;
  to.f_bfree = from.free_blocks;
  to.f_bavail = from.available_blocks;
  to.f_files = from.files;
  to.f_ffree = from.free_files;
  to.f_namelen = static_cast<long>(from.name_length);
  constexpr long kValid = 0x20;  // ST_VALID: the flags mean something
  to.f_flags = kValid;
  std::uint64_t flags = path.mount ? path.mount->flags() : 0;
  struct FlagPair {
    std::uint64_t mount;
    long status;
  };
  constexpr FlagPair kPairs[] = {
      {MS_RDONLY, ST_RDONLY},     {MS_NOSUID, ST_NOSUID},
      {MS_NODEV, ST_NODEV},       {MS_NOEXEC, ST_NOEXEC},
      {MS_NOATIME, ST_NOATIME},   {MS_NODIRATIME, ST_NODIRATIME},
      {MS_RELATIME, ST_RELATIME}, {vfs::kNoSymlinkFollow, 0x2000 /* ST_NOSYMFOLLOW */}};
  for (const FlagPair& pair : kPairs)
    if ((flags & pair.mount) != 0) to.f_flags |= pair.status;
  if (inode != nullptr && inode->filesystem().is_readonly()) to.f_flags |= ST_RDONLY;
  TRY(store(task, address, to));
  return 0;
}

// --- readlink

Value read_link_at(Task& task, int dirfd, std::uint64_t address, std::uint64_t to,
                   std::int32_t size) {
  if (size <= 0) return fail(EINVAL);
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  vfs::Path place = TRY(
      vfs::walk(path.context, path.text, {.follow_last = false, .allow_empty = dirfd != AT_FDCWD}));
  if (place.inode() == nullptr || !place.inode()->is_symlink())
    return fail(path.text.empty() ? ENOENT : EINVAL);
  std::string text = TRY(place.inode()->read_link(&task));
  if (text.size() > static_cast<std::size_t>(size)) text.resize(static_cast<std::size_t>(size));
  TRY(UserPtr<char>(to).store(task.memory(), std::span<const char>(text)));
  return static_cast<std::int64_t>(text.size());
}

}  // namespace

Value sys_stat(Task& task, const Arguments& arguments) {
  return stat_at(task, AT_FDCWD, arguments.u64(0), arguments.u64(1), 0);
}
Value sys_lstat(Task& task, const Arguments& arguments) {
  return stat_at(task, AT_FDCWD, arguments.u64(0), arguments.u64(1), AT_SYMLINK_NOFOLLOW);
}
Value sys_fstat(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  return store_stat(task, arguments.u64(1), TRY(file->attributes()));
}
Value sys_newfstatat(Task& task, const Arguments& arguments) {
  return stat_at(task, arguments.i32(0), arguments.u64(1), arguments.u64(2), arguments.i32(3));
}

Value sys_statx(Task& task, const Arguments& arguments) {
  int flags = arguments.i32(2);
  std::uint32_t mask = arguments.u32(3);
  if ((mask & STATX__RESERVED) != 0 || (flags & ~kStatFlags) != 0) return fail(EINVAL);
  if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE) return fail(EINVAL);
  flags &= AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  Target target = TRY(target_at(task, arguments.i32(0), arguments.u64(1), flags));
  const vfs::Mount* mount = target.path.mount.get();
  bool mount_root = mount != nullptr && target.path.dentry == mount->root();
  TRY(store(task, arguments.u64(4), statx_of(TRY(target.attributes()), mount, mount_root)));
  return 0;
}

Value sys_access(Task& task, const Arguments& arguments) {
  return access_at(task, AT_FDCWD, arguments.u64(0), arguments.i32(1), 0);
}
Value sys_faccessat(Task& task, const Arguments& arguments) {
  return access_at(task, arguments.i32(0), arguments.u64(1), arguments.i32(2), 0);
}
Value sys_faccessat2(Task& task, const Arguments& arguments) {
  return access_at(task, arguments.i32(0), arguments.u64(1), arguments.i32(2), arguments.i32(3));
}

Value sys_statfs(Task& task, const Arguments& arguments) {
  vfs::Path path = TRY(walk_at(task, AT_FDCWD, arguments.u64(0), 0));
  return store_status(task, arguments.u64(1), path, path.inode());
}
Value sys_fstatfs(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  std::uint32_t mode = file->inode() == nullptr ? TRY(file->attributes()).mode : 0;
  return store_status(task, arguments.u64(1), file->path(), file->inode(), mode);
}

Value sys_readlink(Task& task, const Arguments& arguments) {
  return read_link_at(task, AT_FDCWD, arguments.u64(0), arguments.u64(1), arguments.i32(2));
}
Value sys_readlinkat(Task& task, const Arguments& arguments) {
  return read_link_at(task, arguments.i32(0), arguments.u64(1), arguments.u64(2), arguments.i32(3));
}

}  // namespace caisson::sandbox::syscalls
