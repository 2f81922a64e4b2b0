// uname(2), sysinfo(2), random numbers, names of the host, and what only a real machine could do.
#include <linux/capability.h>
#include <linux/reboot.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstring>

#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/filter_calls.h"
#include "sandbox/syscalls/release.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/syscalls/task_settings.h"
#include "sandbox/syscalls/trace_calls.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kNameLength = 64;  // __NEW_UTS_LEN

void put_name(std::span<char> field, std::string_view text) {
  std::size_t length = std::min(text.size(), field.size() - 1);
  std::copy_n(text.begin(), length, field.begin());
}

Value uname(Task& task, const Arguments& arguments) {
  struct utsname names{};
  put_name(names.sysname, "Linux");
  put_name(names.nodename, task.uts().host_name());
  put_name(names.domainname, task.uts().domain_name());
  put_name(names.release, kRelease);
  put_name(names.version, kVersion);
  put_name(names.machine, kMachine);
  TRY(store(task, arguments.u64(0), names));
  return 0;
}

ErrnoOr<std::string> load_name(Task& task, const Arguments& arguments) {
  if (!task.credentials().has(CAP_SYS_ADMIN)) return fail(EPERM);
  std::int32_t length = arguments.i32(1);
  if (length < 0 || length > static_cast<std::int32_t>(kNameLength)) return fail(EINVAL);
  std::string name(static_cast<std::size_t>(length), '\0');
  TRY(arguments.pointer<char>(0).load(task.memory(), std::span<char>(name)));
  name.resize(std::strlen(name.c_str()));
  return name;
}

Value sethostname(Task& task, const Arguments& arguments) {
  task.uts().set_host_name(TRY(load_name(task, arguments)));
  return 0;
}

Value setdomainname(Task& task, const Arguments& arguments) {
  task.uts().set_domain_name(TRY(load_name(task, arguments)));
  return 0;
}

Value sysinfo(Task& task, const Arguments& arguments) {
  struct ::sysinfo host{};
  if (::sysinfo(&host) != 0) return fail(errno);
  kernel::Kernel& kernel = task.kernel();
  struct ::sysinfo told{};
  told.uptime = kernel.boottime_ns() / kNanosecond;
  std::copy(std::begin(host.loads), std::end(host.loads), std::begin(told.loads));
  told.mem_unit = 1;
  told.totalram = task.group().container.limits->memory_of(kernel.machine().memory_bytes);
  told.freeram = std::min<unsigned long>(host.freeram * host.mem_unit, told.totalram);
  told.bufferram = 0;
  Locked tree(kernel.task_lock());
  told.procs = static_cast<unsigned short>(
      std::min<std::size_t>(task.group().pid_namespace->tasks.size(), 0xffff));
  tree.unlock();
  TRY(store(task, arguments.u64(0), told));
  return 0;
}

Value getrandom(Task& task, const Arguments& arguments) {
  constexpr std::uint64_t kMost = 33554431;  // as much as Linux gives at once
  std::uint32_t flags = arguments.u32(2);
  if ((flags & ~std::uint32_t{GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE}) != 0 ||
      (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
    return fail(EINVAL);
  std::uint64_t wanted = std::min(arguments.u64(1), kMost), given = 0;
  std::array<std::byte, 1024> bytes;
  while (given < wanted) {
    std::size_t part = std::min<std::uint64_t>(bytes.size(), wanted - given);
    ssize_t filled = ::getrandom(bytes.data(), part, 0);
    if (filled < 0) return fail(errno);
    auto written = task.memory().write(arguments.u64(0) + given,
                                       std::span(bytes).first(static_cast<std::size_t>(filled)));
    if (!written) return given != 0 ? Value(static_cast<std::int64_t>(given)) : fail(EFAULT);
    given += *written;
    if (*written < static_cast<std::size_t>(filled)) break;
    if (task.interrupted()) break;
  }
  return static_cast<std::int64_t>(given);
}

Value personality(Task& task, const Arguments& arguments) {
  constexpr std::uint32_t kQuery = 0xffffffff;
  std::uint32_t before = task.personality;
  if (arguments.u32(0) != kQuery) task.personality = arguments.u32(0);
  return before;
}

// The kernel's log of a sandbox is empty (syslog(2)).
Value syslog(Task& task, const Arguments& arguments) {
  constexpr int kRead = 2, kReadAll = 3, kReadClear = 4, kLast = 10;
  int action = arguments.i32(0);
  if (action < 0 || action > kLast) return fail(EINVAL);
  bool reads = action >= kRead && action <= kReadClear;
  if (reads && (arguments.u64(1) == 0 || arguments.i32(2) < 0)) return fail(EINVAL);
  if (action != kReadAll && action != kLast && !task.credentials().has(CAP_SYSLOG))
    return fail(EPERM);
  return 0;
}

// A machine that could be rebooted or given modules is not the guest's: as without the capability.
Value not_permitted(Task&, const Arguments&) { return fail(EPERM); }

// What Linux can be built without, as if it were: programs have another way.
Value not_built_in(Task&, const Arguments&) { return fail(ENOSYS); }

constexpr Entry kEntries[] = {
    {__NR_uname, "uname", uname},
    {__NR_sethostname, "sethostname", sethostname},
    {__NR_setdomainname, "setdomainname", setdomainname},
    {__NR_sysinfo, "sysinfo", sysinfo},
    {__NR_getrandom, "getrandom", getrandom},
    {__NR_personality, "personality", personality, Level::kPartial,
     "of its flags, the loader and mmap know some"},
    {__NR_syslog, "syslog", syslog, Level::kPartial, "the log is empty"},
    {__NR_prctl, "prctl", prctl, Level::kPartial,
     "no seccomp, PR_SET_MM, PR_SCHED_CORE; PR_SET_PDEATHSIG follows the process"},
#if defined(__x86_64__)
    {__NR_arch_prctl, "arch_prctl", arch_prctl, Level::kPartial,
     "bases of fs and gs, CPUID on; no other state"},
    {__NR_iopl, "iopl", not_permitted, Level::kError, "EPERM"},
    {__NR_ioperm, "ioperm", not_permitted, Level::kError, "EPERM"},
#endif
    {__NR_reboot, "reboot", not_permitted, Level::kError, "EPERM"},
    {__NR_acct, "acct", not_permitted, Level::kError, "EPERM"},
    {__NR_swapon, "swapon", not_permitted, Level::kError, "EPERM"},
    {__NR_swapoff, "swapoff", not_permitted, Level::kError, "EPERM"},
    {__NR_init_module, "init_module", not_permitted, Level::kError, "EPERM"},
    {__NR_finit_module, "finit_module", not_permitted, Level::kError, "EPERM"},
    {__NR_delete_module, "delete_module", not_permitted, Level::kError, "EPERM"},
    {__NR_kexec_load, "kexec_load", not_permitted, Level::kError, "EPERM"},
    {__NR_quotactl, "quotactl", not_permitted, Level::kError, "EPERM"},
    {__NR_vhangup, "vhangup", not_permitted, Level::kError, "EPERM"},
    {__NR_perf_event_open, "perf_event_open", not_permitted, Level::kError, "EPERM"},
    {__NR_bpf, "bpf", not_permitted, Level::kError, "EPERM"},
    {__NR_kexec_file_load, "kexec_file_load", not_permitted, Level::kError, "EPERM"},
    {__NR_rseq, "rseq", not_built_in, Level::kError, "ENOSYS"},
    {__NR_seccomp, "seccomp", call_seccomp, Level::kPartial, "without listeners"},
    {__NR_ptrace, "ptrace", call_ptrace, Level::kPartial, "without debug registers"},
    {__NR_add_key, "add_key", not_built_in, Level::kError, "ENOSYS"},
    {__NR_request_key, "request_key", not_built_in, Level::kError, "ENOSYS"},
    {__NR_keyctl, "keyctl", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_uring_setup, "io_uring_setup", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_uring_enter, "io_uring_enter", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_uring_register, "io_uring_register", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_setup, "io_setup", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_destroy, "io_destroy", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_submit, "io_submit", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_cancel, "io_cancel", not_built_in, Level::kError, "ENOSYS"},
    {__NR_io_getevents, "io_getevents", not_built_in, Level::kError, "ENOSYS"},
    {__NR_userfaultfd, "userfaultfd", not_built_in, Level::kError, "ENOSYS"},
    {__NR_fanotify_init, "fanotify_init", not_built_in, Level::kError, "ENOSYS"},
    {__NR_fanotify_mark, "fanotify_mark", not_built_in, Level::kError, "ENOSYS"},
    {__NR_lookup_dcookie, "lookup_dcookie", not_built_in, Level::kError, "ENOSYS"},
    {__NR_get_mempolicy, "get_mempolicy", not_built_in, Level::kError, "ENOSYS"},
    {__NR_set_mempolicy, "set_mempolicy", not_built_in, Level::kError, "ENOSYS"},
    {__NR_mbind, "mbind", not_built_in, Level::kError, "ENOSYS"},
    {__NR_migrate_pages, "migrate_pages", not_built_in, Level::kError, "ENOSYS"},
    {__NR_move_pages, "move_pages", not_built_in, Level::kError, "ENOSYS"},
    {__NR_landlock_create_ruleset, "landlock_create_ruleset", not_built_in, Level::kError,
     "ENOSYS"},
    {__NR_landlock_add_rule, "landlock_add_rule", not_built_in, Level::kError, "ENOSYS"},
    {__NR_landlock_restrict_self, "landlock_restrict_self", not_built_in, Level::kError, "ENOSYS"},
    {__NR_memfd_secret, "memfd_secret", not_built_in, Level::kError, "ENOSYS"},
#if defined(__x86_64__)
    {__NR_modify_ldt, "modify_ldt", not_built_in, Level::kError, "ENOSYS"},
    {__NR_uselib, "uselib", not_built_in, Level::kError, "ENOSYS"},
    {__NR_set_thread_area, "set_thread_area", not_built_in, Level::kError, "ENOSYS"},
    {__NR_get_thread_area, "get_thread_area", not_built_in, Level::kError, "ENOSYS"},
#endif
};

}  // namespace

std::span<const Entry> system_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
