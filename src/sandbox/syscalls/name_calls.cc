// mkdir(2), unlink(2), rename(2), link(2), symlink(2), mknod(2) and their like.
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

Value make_directory_at(Task& task, int dirfd, std::uint64_t address, std::uint32_t mode) {
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  TRY(vfs::make_directory(path.context, path.text, mode & ~task.fs().umask()));
  return 0;
}

// The kernel's old encoding of device numbers, which mknod(2) takes.
std::uint64_t device_of(std::uint32_t number) {
  return makedev((number & 0xFFF00U) >> 8, (number & 0xFFU) | (number >> 12 & 0xFFF00U));
}

Value make_node_at(Task& task, int dirfd, std::uint64_t address, std::uint32_t mode,
                   std::uint32_t device) {
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  std::uint32_t permissions = mode & 07777U & ~task.fs().umask();
  TRY(vfs::make_node(path.context, path.text, (mode & S_IFMT) | permissions, device_of(device)));
  return 0;
}

Value remove_at(Task& task, int dirfd, std::uint64_t address, bool directory) {
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  if (directory)
    TRY(vfs::remove_directory(path.context, path.text));
  else
    TRY(vfs::unlink(path.context, path.text));
  return 0;
}

Value rename_at(Task& task, int old_dirfd, std::uint64_t old_address, int new_dirfd,
                std::uint64_t new_address, std::uint32_t flags) {
  PathArgument from = TRY(load_path_at(task, old_dirfd, old_address));
  PathArgument to = TRY(load_path_at(task, new_dirfd, new_address));
  TRY(vfs::rename(from.context, from.text, to.context, to.text, flags));
  return 0;
}

Value link_at(Task& task, int old_dirfd, std::uint64_t old_address, int new_dirfd,
              std::uint64_t new_address, int flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return fail(EINVAL);
  bool empty = (flags & AT_EMPTY_PATH) != 0;
  if (empty && !task.credentials().has(CAP_DAC_READ_SEARCH)) return fail(ENOENT);
  int walk_flags = (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW;
  vfs::Path target =
      TRY(walk_at(task, old_dirfd, old_address, walk_flags | (empty ? AT_EMPTY_PATH : 0)));
  if (!target.mount) return fail(EXDEV);
  PathArgument path = TRY(load_path_at(task, new_dirfd, new_address));
  TRY(vfs::link(path.context, target, path.text));
  return 0;
}

Value symlink_at(Task& task, std::uint64_t target_address, int dirfd, std::uint64_t address) {
  std::string target = TRY(load_path(task, target_address));
  if (target.empty()) return fail(ENOENT);
  PathArgument path = TRY(load_path_at(task, dirfd, address));
  TRY(vfs::make_symlink(path.context, target, path.text));
  return 0;
}

}  // namespace

Value sys_mkdir(Task& task, const Arguments& arguments) {
  return make_directory_at(task, AT_FDCWD, arguments.u64(0), arguments.u32(1));
}
Value sys_mkdirat(Task& task, const Arguments& arguments) {
  return make_directory_at(task, arguments.i32(0), arguments.u64(1), arguments.u32(2));
}
Value sys_mknod(Task& task, const Arguments& arguments) {
  return make_node_at(task, AT_FDCWD, arguments.u64(0), arguments.u32(1), arguments.u32(2));
}
Value sys_mknodat(Task& task, const Arguments& arguments) {
  return make_node_at(task, arguments.i32(0), arguments.u64(1), arguments.u32(2), arguments.u32(3));
}
Value sys_rmdir(Task& task, const Arguments& arguments) {
  return remove_at(task, AT_FDCWD, arguments.u64(0), true);
}
Value sys_unlink(Task& task, const Arguments& arguments) {
  return remove_at(task, AT_FDCWD, arguments.u64(0), false);
}
Value sys_unlinkat(Task& task, const Arguments& arguments) {
  int flags = arguments.i32(2);
  if ((flags & ~AT_REMOVEDIR) != 0) return fail(EINVAL);
  return remove_at(task, arguments.i32(0), arguments.u64(1), flags != 0);
}
Value sys_rename(Task& task, const Arguments& arguments) {
  return rename_at(task, AT_FDCWD, arguments.u64(0), AT_FDCWD, arguments.u64(1), 0);
}
Value sys_renameat(Task& task, const Arguments& arguments) {
  return rename_at(task, arguments.i32(0), arguments.u64(1), arguments.i32(2), arguments.u64(3), 0);
}
Value sys_renameat2(Task& task, const Arguments& arguments) {
  return rename_at(task, arguments.i32(0), arguments.u64(1), arguments.i32(2), arguments.u64(3),
                   arguments.u32(4));
}
Value sys_link(Task& task, const Arguments& arguments) {
  return link_at(task, AT_FDCWD, arguments.u64(0), AT_FDCWD, arguments.u64(1), 0);
}
Value sys_linkat(Task& task, const Arguments& arguments) {
  return link_at(task, arguments.i32(0), arguments.u64(1), arguments.i32(2), arguments.u64(3),
                 arguments.i32(4));
}
Value sys_symlink(Task& task, const Arguments& arguments) {
  return symlink_at(task, arguments.u64(0), AT_FDCWD, arguments.u64(1));
}
Value sys_symlinkat(Task& task, const Arguments& arguments) {
  return symlink_at(task, arguments.u64(0), arguments.i32(1), arguments.u64(2));
}

}  // namespace caisson::sandbox::syscalls
