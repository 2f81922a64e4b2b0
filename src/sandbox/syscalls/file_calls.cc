// The table of calls on open files.
#include <sys/syscall.h>

#include "sandbox/syscalls/file_families.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr Entry kEntries[] = {
    {__NR_read, "read", sys_read},
    {__NR_write, "write", sys_write},
    {__NR_pread64, "pread64", sys_pread64},
    {__NR_pwrite64, "pwrite64", sys_pwrite64},
    {__NR_readv, "readv", sys_readv},
    {__NR_writev, "writev", sys_writev},
    {__NR_preadv, "preadv", sys_preadv},
    {__NR_pwritev, "pwritev", sys_pwritev},
    {__NR_preadv2, "preadv2", sys_preadv2},
    {__NR_pwritev2, "pwritev2", sys_pwritev2},
    {__NR_lseek, "lseek", sys_lseek},
    {__NR_openat, "openat", sys_openat},
    {__NR_openat2, "openat2", sys_openat2},
    {__NR_close, "close", sys_close},
    {__NR_close_range, "close_range", sys_close_range},
    {__NR_dup, "dup", sys_dup},
    {__NR_dup3, "dup3", sys_dup3},
    {__NR_fcntl, "fcntl", sys_fcntl, Level::kPartial,
     "no leases, no F_NOTIFY, no F_SETOWN; no EDEADLK"},
    {__NR_flock, "flock", sys_flock},
    {__NR_ioctl, "ioctl", sys_ioctl},
    {__NR_sendfile, "sendfile", sys_sendfile},
    {__NR_copy_file_range, "copy_file_range", sys_copy_file_range},
    {__NR_splice, "splice", sys_splice},
    {__NR_tee, "tee", sys_tee},
    {__NR_vmsplice, "vmsplice", sys_vmsplice},
#ifdef __NR_open  // the older ones, which newer architectures lack
    {__NR_open, "open", sys_open},
    {__NR_creat, "creat", sys_creat},
    {__NR_dup2, "dup2", sys_dup2},
#endif
};

}  // namespace

std::span<const Entry> file_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
