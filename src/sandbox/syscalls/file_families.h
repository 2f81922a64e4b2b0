// The handlers behind the tables of file_calls() and path_calls().
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

// read_write_calls.cc
Value sys_read(Task& task, const Arguments& arguments);
Value sys_write(Task& task, const Arguments& arguments);
Value sys_pread64(Task& task, const Arguments& arguments);
Value sys_pwrite64(Task& task, const Arguments& arguments);
Value sys_readv(Task& task, const Arguments& arguments);
Value sys_writev(Task& task, const Arguments& arguments);
Value sys_preadv(Task& task, const Arguments& arguments);
Value sys_pwritev(Task& task, const Arguments& arguments);
Value sys_preadv2(Task& task, const Arguments& arguments);
Value sys_pwritev2(Task& task, const Arguments& arguments);
Value sys_lseek(Task& task, const Arguments& arguments);

// open_calls.cc
Value sys_open(Task& task, const Arguments& arguments);
Value sys_openat(Task& task, const Arguments& arguments);
Value sys_creat(Task& task, const Arguments& arguments);
Value sys_openat2(Task& task, const Arguments& arguments);
Value sys_close(Task& task, const Arguments& arguments);
Value sys_close_range(Task& task, const Arguments& arguments);
Value sys_dup(Task& task, const Arguments& arguments);
Value sys_dup2(Task& task, const Arguments& arguments);
Value sys_dup3(Task& task, const Arguments& arguments);

// control_calls.cc
Value sys_fcntl(Task& task, const Arguments& arguments);
Value sys_flock(Task& task, const Arguments& arguments);
Value sys_ioctl(Task& task, const Arguments& arguments);

// transfer_calls.cc
Value sys_sendfile(Task& task, const Arguments& arguments);
Value sys_copy_file_range(Task& task, const Arguments& arguments);
Value sys_splice(Task& task, const Arguments& arguments);
Value sys_tee(Task& task, const Arguments& arguments);
Value sys_vmsplice(Task& task, const Arguments& arguments);

// stat_calls.cc
Value sys_stat(Task& task, const Arguments& arguments);
Value sys_lstat(Task& task, const Arguments& arguments);
Value sys_fstat(Task& task, const Arguments& arguments);
Value sys_newfstatat(Task& task, const Arguments& arguments);
Value sys_statx(Task& task, const Arguments& arguments);
Value sys_access(Task& task, const Arguments& arguments);
Value sys_faccessat(Task& task, const Arguments& arguments);
Value sys_faccessat2(Task& task, const Arguments& arguments);
Value sys_statfs(Task& task, const Arguments& arguments);
Value sys_fstatfs(Task& task, const Arguments& arguments);
Value sys_readlink(Task& task, const Arguments& arguments);
Value sys_readlinkat(Task& task, const Arguments& arguments);

// directory_calls.cc
Value sys_getdents(Task& task, const Arguments& arguments);
Value sys_getdents64(Task& task, const Arguments& arguments);
Value sys_getcwd(Task& task, const Arguments& arguments);
Value sys_chdir(Task& task, const Arguments& arguments);
Value sys_fchdir(Task& task, const Arguments& arguments);
Value sys_chroot(Task& task, const Arguments& arguments);
Value sys_umask(Task& task, const Arguments& arguments);

// change_calls.cc
Value sys_chmod(Task& task, const Arguments& arguments);
Value sys_fchmod(Task& task, const Arguments& arguments);
Value sys_fchmodat(Task& task, const Arguments& arguments);
Value sys_fchmodat2(Task& task, const Arguments& arguments);
Value sys_chown(Task& task, const Arguments& arguments);
Value sys_lchown(Task& task, const Arguments& arguments);
Value sys_fchown(Task& task, const Arguments& arguments);
Value sys_fchownat(Task& task, const Arguments& arguments);
Value sys_utimensat(Task& task, const Arguments& arguments);
Value sys_futimesat(Task& task, const Arguments& arguments);
Value sys_utimes(Task& task, const Arguments& arguments);
Value sys_utime(Task& task, const Arguments& arguments);
Value sys_truncate(Task& task, const Arguments& arguments);
Value sys_ftruncate(Task& task, const Arguments& arguments);
Value sys_fallocate(Task& task, const Arguments& arguments);
Value sys_fsync(Task& task, const Arguments& arguments);
Value sys_fdatasync(Task& task, const Arguments& arguments);
Value sys_sync(Task& task, const Arguments& arguments);
Value sys_syncfs(Task& task, const Arguments& arguments);
Value sys_sync_file_range(Task& task, const Arguments& arguments);
Value sys_fadvise64(Task& task, const Arguments& arguments);
Value sys_readahead(Task& task, const Arguments& arguments);

// name_calls.cc
Value sys_mkdir(Task& task, const Arguments& arguments);
Value sys_mkdirat(Task& task, const Arguments& arguments);
Value sys_mknod(Task& task, const Arguments& arguments);
Value sys_mknodat(Task& task, const Arguments& arguments);
Value sys_rmdir(Task& task, const Arguments& arguments);
Value sys_unlink(Task& task, const Arguments& arguments);
Value sys_unlinkat(Task& task, const Arguments& arguments);
Value sys_rename(Task& task, const Arguments& arguments);
Value sys_renameat(Task& task, const Arguments& arguments);
Value sys_renameat2(Task& task, const Arguments& arguments);
Value sys_link(Task& task, const Arguments& arguments);
Value sys_linkat(Task& task, const Arguments& arguments);
Value sys_symlink(Task& task, const Arguments& arguments);
Value sys_symlinkat(Task& task, const Arguments& arguments);

// xattr_calls.cc
Value sys_getxattr(Task& task, const Arguments& arguments);
Value sys_lgetxattr(Task& task, const Arguments& arguments);
Value sys_fgetxattr(Task& task, const Arguments& arguments);
Value sys_setxattr(Task& task, const Arguments& arguments);
Value sys_lsetxattr(Task& task, const Arguments& arguments);
Value sys_fsetxattr(Task& task, const Arguments& arguments);
Value sys_listxattr(Task& task, const Arguments& arguments);
Value sys_llistxattr(Task& task, const Arguments& arguments);
Value sys_flistxattr(Task& task, const Arguments& arguments);
Value sys_removexattr(Task& task, const Arguments& arguments);
Value sys_lremovexattr(Task& task, const Arguments& arguments);
Value sys_fremovexattr(Task& task, const Arguments& arguments);

// mount_calls.cc
Value sys_mount(Task& task, const Arguments& arguments);
Value sys_umount2(Task& task, const Arguments& arguments);
Value sys_pivot_root(Task& task, const Arguments& arguments);
Value sys_mount_setattr(Task& task, const Arguments& arguments);
Value sys_memfd_create(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
