#include "sandbox/syscalls/strace.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>

#include "base/text.h"
#include "sandbox/kernel/block.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kStringLimit = 256;
constexpr std::size_t kBufferLimit = 32;
constexpr std::size_t kHighestLogged = 512;

// How the arguments of a call are shown, a letter each:
//   d number   x hexadecimal   p address   s string   D descriptor of a directory   f descriptor
//   o flags of open   m mode   g signal   P protection   M flags of mmap   b bytes, their number
//   being the next argument
struct Form {
  std::uint64_t number;
  std::string_view arguments;
};
constexpr Form kForms[] = {
    {SYS_read, "fpd"},
    {SYS_write, "fbd"},
    {SYS_close, "f"},
    {SYS_fstat, "fp"},
    {SYS_lseek, "fdd"},
    {SYS_mmap, "pdPMfx"},
    {SYS_mprotect, "pdP"},
    {SYS_munmap, "pd"},
    {SYS_brk, "p"},
    {SYS_rt_sigaction, "gppd"},
    {SYS_rt_sigprocmask, "dppd"},
    {SYS_ioctl, "fxp"},
    {SYS_pread64, "fpdd"},
    {SYS_pwrite64, "fbdd"},
    {SYS_readv, "fpd"},
    {SYS_writev, "fpd"},
    {SYS_sched_yield, ""},
    {SYS_mremap, "pddxp"},
    {SYS_madvise, "pdd"},
    {SYS_dup, "f"},
    {SYS_nanosleep, "pp"},
    {SYS_getpid, ""},
    {SYS_socket, "ddd"},
    {SYS_connect, "fpd"},
    {SYS_accept, "fpp"},
    {SYS_sendto, "fbdxpd"},
    {SYS_recvfrom, "fpdxpp"},
    {SYS_sendmsg, "fpx"},
    {SYS_recvmsg, "fpx"},
    {SYS_shutdown, "fd"},
    {SYS_bind, "fpd"},
    {SYS_listen, "fd"},
    {SYS_socketpair, "dddp"},
    {SYS_clone, "xpppp"},
    {SYS_execve, "spp"},
    {SYS_exit, "d"},
    {SYS_wait4, "dpdp"},
    {SYS_kill, "dg"},
    {SYS_uname, "p"},
    {SYS_fcntl, "fdx"},
    {SYS_flock, "fd"},
    {SYS_fsync, "f"},
    {SYS_fdatasync, "f"},
    {SYS_truncate, "sd"},
    {SYS_ftruncate, "fd"},
    {SYS_getcwd, "pd"},
    {SYS_chdir, "s"},
    {SYS_fchdir, "f"},
    {SYS_fchmod, "fm"},
    {SYS_fchown, "fdd"},
    {SYS_umask, "m"},
    {SYS_getuid, ""},
    {SYS_getgid, ""},
    {SYS_geteuid, ""},
    {SYS_getegid, ""},
    {SYS_setpgid, "dd"},
    {SYS_getppid, ""},
    {SYS_setsid, ""},
    {SYS_prctl, "dxxxx"},
    {SYS_chroot, "s"},
    {SYS_mount, "sssxp"},
    {SYS_umount2, "sd"},
    {SYS_gettid, ""},
    {SYS_futex, "pddppd"},
    {SYS_getdents64, "fpd"},
    {SYS_set_tid_address, "p"},
    {SYS_clock_gettime, "dp"},
    {SYS_clock_nanosleep, "ddpp"},
    {SYS_exit_group, "d"},
    {SYS_epoll_ctl, "fdfp"},
    {SYS_tgkill, "ddg"},
    {SYS_waitid, "ddpdp"},
    {SYS_openat, "Dsom"},
    {SYS_mkdirat, "Dsm"},
    {SYS_mknodat, "Dsmx"},
    {SYS_fchownat, "Dsddx"},
    {SYS_newfstatat, "Dspx"},
    {SYS_unlinkat, "Dsx"},
    {SYS_linkat, "DsDsx"},
    {SYS_symlinkat, "sDs"},
    {SYS_readlinkat, "Dspd"},
    {SYS_fchmodat, "Dsm"},
    {SYS_faccessat, "Dsd"},
    {SYS_ppoll, "pdppd"},
    {SYS_set_robust_list, "pd"},
    {SYS_utimensat, "Dspx"},
    {SYS_epoll_pwait, "fpddpd"},
    {SYS_fallocate, "fddd"},
    {SYS_accept4, "fppx"},
    {SYS_eventfd2, "dx"},
    {SYS_epoll_create1, "x"},
    {SYS_dup3, "ffx"},
    {SYS_pipe2, "px"},
    {SYS_prlimit64, "ddpp"},
    {SYS_renameat2, "DsDsx"},
    {SYS_getrandom, "pdx"},
    {SYS_memfd_create, "sx"},
    {SYS_execveat, "Dsppx"},
    {SYS_statx, "Dsxxp"},
    {SYS_openat2, "Dspd"},
    {SYS_faccessat2, "Dsdx"},
    {SYS_clone3, "pd"},
#if defined(__x86_64__)
    {SYS_open, "som"},
    {SYS_stat, "sp"},
    {SYS_lstat, "sp"},
    {SYS_poll, "pdd"},
    {SYS_access, "sd"},
    {SYS_pipe, "p"},
    {SYS_dup2, "ff"},
    {SYS_fork, ""},
    {SYS_vfork, ""},
    {SYS_rename, "ss"},
    {SYS_mkdir, "sm"},
    {SYS_rmdir, "s"},
    {SYS_creat, "sm"},
    {SYS_link, "ss"},
    {SYS_unlink, "s"},
    {SYS_symlink, "ss"},
    {SYS_readlink, "spd"},
    {SYS_chmod, "sm"},
    {SYS_chown, "sdd"},
    {SYS_arch_prctl, "xp"},
    {SYS_epoll_wait, "fpdd"},
#endif
};

std::string_view form_of(std::uint64_t number) {
  for (const auto& form : kForms)
    if (form.number == number) return form.arguments;
  return "xxxxxx";
}

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 20> digits;
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return cat("0x",
             std::string_view(digits.data(), static_cast<std::size_t>(end.ptr - digits.data())));
}

std::string octal(std::uint64_t value) {
  std::array<char, 24> digits;
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 8);
  return cat("0",
             std::string_view(digits.data(), static_cast<std::size_t>(end.ptr - digits.data())));
}

struct Name {
  std::uint64_t bit;
  std::string_view name;
};
constexpr Name kOpenFlags[] = {
    {O_CREAT, "O_CREAT"},         {O_EXCL, "O_EXCL"},         {O_NOCTTY, "O_NOCTTY"},
    {O_TRUNC, "O_TRUNC"},         {O_APPEND, "O_APPEND"},     {O_NONBLOCK, "O_NONBLOCK"},
    {O_DIRECTORY, "O_DIRECTORY"}, {O_NOFOLLOW, "O_NOFOLLOW"}, {O_CLOEXEC, "O_CLOEXEC"},
    {O_PATH, "O_PATH"},
};
constexpr Name kProtections[] = {
    {PROT_READ, "PROT_READ"}, {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}};
constexpr Name kMapFlags[] = {{MAP_SHARED, "MAP_SHARED"}, {MAP_PRIVATE, "MAP_PRIVATE"},
                              {MAP_FIXED, "MAP_FIXED"},   {MAP_ANONYMOUS, "MAP_ANONYMOUS"},
                              {MAP_STACK, "MAP_STACK"},   {MAP_NORESERVE, "MAP_NORESERVE"}};

std::string names_of(std::uint64_t value, std::span<const Name> names, std::string text) {
  for (const auto& name : names) {
    if ((value & name.bit) != name.bit) continue;
    append(text, text.empty() ? "" : "|", name.name);
    value &= ~name.bit;
  }
  if (value != 0) append(text, text.empty() ? "" : "|", hexadecimal(value));
  return text.empty() ? "0" : text;
}

std::string open_flags(std::uint64_t value) {
  constexpr std::string_view kModes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  return names_of(value & ~std::uint64_t{O_ACCMODE}, kOpenFlags,
                  std::string(kModes[value & O_ACCMODE]));
}

std::string escaped(std::string_view bytes, bool cut) {
  std::string out = "\"";
  for (char each : bytes) {
    auto c = static_cast<unsigned char>(each);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      append(out, "\\", static_cast<unsigned>(c));
    }
  }
  return out + (cut ? "\"..." : "\"");
}

std::string string_at(kernel::Task& task, std::uint64_t address) {
  if (address == 0) return "NULL";
  auto text = task.memory().read_string(address, kStringLimit);
  if (text) return escaped(*text, false);
  return hexadecimal(address);
}

std::string bytes_at(kernel::Task& task, std::uint64_t address, std::uint64_t length) {
  std::array<std::byte, kBufferLimit> bytes;
  auto wanted = std::span(bytes).first(std::min<std::size_t>(length, bytes.size()));
  auto got = task.memory().read(address, wanted);
  if (!got) return hexadecimal(address);
  return escaped({reinterpret_cast<const char*>(bytes.data()), *got}, length > *got);
}

std::string argument_text(kernel::Task& task, const Arguments& arguments, int index, char form) {
  std::uint64_t value = arguments.u64(index);
  switch (form) {
    case 'd': return cat(static_cast<std::int64_t>(arguments.i64(index)));
    case 'f': return cat(arguments.i32(index));
    case 'D': return arguments.i32(index) == AT_FDCWD ? "AT_FDCWD" : cat(arguments.i32(index));
    case 's': return string_at(task, value);
    case 'b': return bytes_at(task, value, arguments.u64(index + 1));
    case 'o': return open_flags(arguments.u32(index));
    case 'm': return octal(arguments.u32(index));
    case 'P': return names_of(value, kProtections, {});
    case 'M': return names_of(value, kMapFlags, {});
    case 'g': {
      const char* name = ::sigabbrev_np(arguments.i32(index));
      return name == nullptr ? cat(arguments.i32(index)) : cat("SIG", name);
    }
    case 'p': return value == 0 ? "NULL" : hexadecimal(value);
    default: return hexadecimal(value);
  }
}

bool is_restart(std::int64_t result) {
  return result == -kernel::kRestart.value || result == -kernel::kRestartAlways.value ||
         result == -kernel::kRestartIfNoHandler.value || result == -kernel::kRestartWithState.value;
}

std::string result_text(std::int64_t result) {
  if (is_restart(result)) return "? (interrupted)";
  if (result < 0 && result >= -4095) return cat("-1 ", errno_name(static_cast<int>(-result)));
  return result > 0xffff ? hexadecimal(static_cast<std::uint64_t>(result)) : cat(result);
}

std::string name_of(std::uint64_t number) {
  auto known = name(number);
  return known.empty() ? cat("call_", number) : std::string(known);
}

}  // namespace

Result<std::unique_ptr<SyscallLog>> SyscallLog::create(Fd file,
                                                       std::span<const std::string> calls) {
  std::unique_ptr<SyscallLog> log(new SyscallLog(std::move(file)));
  if (calls.empty()) return log;
  log->logged_.assign(kHighestLogged, false);
  for (const auto& wanted : calls) {
    bool found = false;
    for (std::uint64_t number = 0; number < kHighestLogged; ++number) {
      if (name(number) != wanted) continue;
      log->logged_[static_cast<std::size_t>(number)] = found = true;
    }
    if (!found)
      return std::unexpected(
          Error::invalid(cat(quoted(wanted), " is no system call")).doing("choose what to log"));
  }
  return log;
}

std::string SyscallLog::arguments_text(kernel::Task& task, std::uint64_t number) {
  Arguments arguments(task.registers());
  std::string out;
  auto form = form_of(number);
  for (std::size_t i = 0; i < form.size(); ++i)
    append(out, i == 0 ? "" : ", ", argument_text(task, arguments, static_cast<int>(i), form[i]));
  return out;
}

void SyscallLog::write(kernel::Task& task, std::uint64_t number, const std::string& arguments,
                       std::int64_t result, std::int64_t duration_ns) {
  std::string line = cat(task.id(), " ", task.name(), " ", name_of(number), "(", arguments,
                         ") = ", result_text(result), " <", duration_ns / 1000, "us>\n");
  // A log that cannot be written is no concern of the guest's.
  if (::write(file_.number(), line.data(), line.size()) < 0) return;
}

}  // namespace caisson::sandbox::syscalls
