// The table of calls by path, and of those that change what files are.
#include <sys/syscall.h>

#include "sandbox/syscalls/file_families.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr Entry kEntries[] = {
    {__NR_fstat, "fstat", sys_fstat},
    {__NR_newfstatat, "newfstatat", sys_newfstatat},
    {__NR_statx, "statx", sys_statx},
    {__NR_faccessat, "faccessat", sys_faccessat},
    {__NR_faccessat2, "faccessat2", sys_faccessat2},
    {__NR_statfs, "statfs", sys_statfs},
    {__NR_fstatfs, "fstatfs", sys_fstatfs},
    {__NR_readlinkat, "readlinkat", sys_readlinkat},
    {__NR_getdents64, "getdents64", sys_getdents64},
    {__NR_getcwd, "getcwd", sys_getcwd},
    {__NR_chdir, "chdir", sys_chdir},
    {__NR_fchdir, "fchdir", sys_fchdir},
    {__NR_chroot, "chroot", sys_chroot},
    {__NR_umask, "umask", sys_umask},
    {__NR_fchmod, "fchmod", sys_fchmod},
    {__NR_fchmodat, "fchmodat", sys_fchmodat},
    {452 /* newer than the headers */, "fchmodat2", sys_fchmodat2},
    {__NR_fchown, "fchown", sys_fchown},
    {__NR_fchownat, "fchownat", sys_fchownat},
    {__NR_utimensat, "utimensat", sys_utimensat},
    {__NR_truncate, "truncate", sys_truncate},
    {__NR_ftruncate, "ftruncate", sys_ftruncate},
    {__NR_fallocate, "fallocate", sys_fallocate},
    {__NR_fsync, "fsync", sys_fsync},
    {__NR_fdatasync, "fdatasync", sys_fdatasync},
    {__NR_sync, "sync", sys_sync},
    {__NR_syncfs, "syncfs", sys_syncfs},
    {__NR_sync_file_range, "sync_file_range", sys_sync_file_range},
    {__NR_fadvise64, "fadvise64", sys_fadvise64, Level::kPartial, "advice is ignored"},
    {__NR_readahead, "readahead", sys_readahead, Level::kPartial, "nothing is read ahead"},
    {__NR_mkdirat, "mkdirat", sys_mkdirat},
    {__NR_mknodat, "mknodat", sys_mknodat},
    {__NR_unlinkat, "unlinkat", sys_unlinkat},
    {__NR_renameat, "renameat", sys_renameat},
    {__NR_renameat2, "renameat2", sys_renameat2},
    {__NR_linkat, "linkat", sys_linkat},
    {__NR_symlinkat, "symlinkat", sys_symlinkat},
    {__NR_getxattr, "getxattr", sys_getxattr},
    {__NR_lgetxattr, "lgetxattr", sys_lgetxattr},
    {__NR_fgetxattr, "fgetxattr", sys_fgetxattr},
    {__NR_setxattr, "setxattr", sys_setxattr},
    {__NR_lsetxattr, "lsetxattr", sys_lsetxattr},
    {__NR_fsetxattr, "fsetxattr", sys_fsetxattr},
    {__NR_listxattr, "listxattr", sys_listxattr},
    {__NR_llistxattr, "llistxattr", sys_llistxattr},
    {__NR_flistxattr, "flistxattr", sys_flistxattr},
    {__NR_removexattr, "removexattr", sys_removexattr},
    {__NR_lremovexattr, "lremovexattr", sys_lremovexattr},
    {__NR_fremovexattr, "fremovexattr", sys_fremovexattr},
    {__NR_mount, "mount", sys_mount, Level::kPartial,
     "MS_SHARED is refused: there is no propagation"},
    {__NR_umount2, "umount2", sys_umount2},
    {__NR_pivot_root, "pivot_root", sys_pivot_root},
    {__NR_mount_setattr, "mount_setattr", sys_mount_setattr, Level::kPartial,
     "no id maps, no propagation"},
    {__NR_memfd_create, "memfd_create", sys_memfd_create, Level::kPartial, "no huge pages"},
#ifdef __NR_open  // the older ones, which newer architectures lack
    {__NR_stat, "stat", sys_stat},
    {__NR_lstat, "lstat", sys_lstat},
    {__NR_access, "access", sys_access},
    {__NR_readlink, "readlink", sys_readlink},
    {__NR_getdents, "getdents", sys_getdents},
    {__NR_chmod, "chmod", sys_chmod},
    {__NR_chown, "chown", sys_chown},
    {__NR_lchown, "lchown", sys_lchown},
    {__NR_futimesat, "futimesat", sys_futimesat},
    {__NR_utimes, "utimes", sys_utimes},
    {__NR_utime, "utime", sys_utime},
    {__NR_mkdir, "mkdir", sys_mkdir},
    {__NR_mknod, "mknod", sys_mknod},
    {__NR_rmdir, "rmdir", sys_rmdir},
    {__NR_unlink, "unlink", sys_unlink},
    {__NR_rename, "rename", sys_rename},
    {__NR_link, "link", sys_link},
    {__NR_symlink, "symlink", sys_symlink},
#endif
};

}  // namespace

std::span<const Entry> path_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
