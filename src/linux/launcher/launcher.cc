// The launcher: the last stage before a container's program, a few kilobytes without a libc.
//
// The process that builds a container runs our own executable, which must never be reachable from
// inside (CVE-2019-5736). So it ends by executing this program from a sealed memfd: from then on
// /proc/PID/exe names an anonymous file that nobody can change, and a container that waits for its
// start costs a few pages instead of the whole runtime.
//
// Called as: argv[0] = number of the descriptor of the launch block, argv[1] = path of the program
// or
// "#" and the number of its descriptor, argv[2...] = the program's own argv. The environment is the
// program's.
//
// Steps: read the block, make the process, wait for `start`, run startContainer hooks, set the LSM
// label, restore the signal mask, load the seccomp filter, execve. A failure is reported as one
// LaunchReport.
//
// Hooks run as the program will: with its label, its signal mask and under its filter, which each
// of them loads for itself. A filter with a listener can be loaded once only, and then before them.
//
// A filter without no_new_privs needs CAP_SYS_ADMIN. The process that executed us put it into the
// ambient and inheritable sets, so that we have it; the program does not, because we take it out of
// these again and execve(2) computes the others anew (capabilities(7)).

#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "linux/launch_data.h"
#include "sys/raw.h"

// The compiler may call these for plain loops and copies, libc or not.
extern "C" void* memset(void* to, int value, std::size_t size) {
  auto* bytes = static_cast<volatile char*>(to);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(value);
  return to;
}
extern "C" void* memcpy(void* to, const void* from, std::size_t size) {
  auto* target = static_cast<volatile char*>(to);
  auto* source = static_cast<const char*>(from);
  for (std::size_t i = 0; i < size; ++i) target[i] = source[i];
  return to;
}

namespace caisson::linux {
namespace {

using sys::raw;

constexpr int kMaxHookStrings = 256;

struct Launcher {
  const LaunchHeader* header = nullptr;
  const char* block = nullptr;
  int report_fd = -1;
  const char* path = nullptr;
  char** argv = nullptr;
  char** envp = nullptr;
};

bool failed(long result) { return result < 0 && result >= -4095; }

[[noreturn]] void leave(int status) {
  for (;;) raw(SYS_exit_group, status);
}

void send(int fd, const LaunchReport& report) {
  if (fd >= 0) raw(SYS_sendto, fd, &report, sizeof report, MSG_NOSIGNAL, nullptr, 0);
}

long send_with(int fd, const LaunchReport& report, int passed) {
  iovec part{const_cast<LaunchReport*>(&report), sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  auto* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &passed, sizeof passed);
  return raw(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

void copy_text(char* to, std::size_t size, const char* from, std::size_t length) {
  std::size_t i = 0;
  for (; i + 1 < size && i < length && from[i] != '\0'; ++i) to[i] = from[i];
  to[i] = '\0';
}

[[noreturn]] void give_up(const Launcher& launcher, LaunchReport report) {
  report.what = LaunchWhat::kFailed;
  copy_text(report.program, sizeof report.program, launcher.argv[0], sizeof report.program);
  send(launcher.report_fd, report);
  leave(127);
}

[[noreturn]] void give_up(const Launcher& launcher, LaunchStep step, long error) {
  LaunchReport report;
  report.step = step;
  report.error = static_cast<std::int32_t>(error < 0 ? -error : error);
  give_up(launcher, report);
}

int parse_descriptor(const char* text) {
  int value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

std::size_t length_of(const char* text) {
  std::size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

Launcher read_block(char** stack_argv, char** envp) {
  Launcher launcher;
  launcher.path = stack_argv[1];
  launcher.argv = stack_argv + 2;
  launcher.envp = envp;
  int fd = parse_descriptor(stack_argv[0]);
  LaunchHeader header;
  long got = raw(SYS_pread64, fd, &header, sizeof header, 0);
  if (got != static_cast<long>(sizeof header) || header.magic != kLaunchMagic) leave(126);
  long block = raw(SYS_mmap, nullptr, header.size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (failed(block)) leave(126);
  raw(SYS_close, fd);
  launcher.block = reinterpret_cast<const char*>(block);
  launcher.header = reinterpret_cast<const LaunchHeader*>(block);
  launcher.report_fd = header.report_fd;
  return launcher;
}

// Whoever makes a process in the pid namespace of a running container must have nothing to lose:
// others in there see it at once. We are all that is left of the program that wanted it.
void make_process(const Launcher& launcher) {
  if (launcher.header->clone == 0) return;
  long pid = raw(SYS_clone, CLONE_PARENT | 17 /* SIGCHLD */, nullptr, nullptr, nullptr, nullptr);
  if (failed(pid)) give_up(launcher, LaunchStep::kClone, pid);
  if (pid != 0) {
    LaunchReport made;
    made.what = LaunchWhat::kMade;
    made.error = static_cast<std::int32_t>(pid);
    send(launcher.report_fd, made);
    leave(0);
  }
  // The death of the one that wants us ends us: the conversation ends.
  char word = 0;
  long got;
  do {
    got = raw(SYS_read, launcher.report_fd, &word, 1);
  } while (got == -EINTR);
  if (got != 1 || word != 'G') leave(126);
  if (launcher.header->new_session != 0) raw(SYS_setsid);
  if (launcher.header->terminal == 0) return;
  long taken = raw(SYS_ioctl, 0, TIOCSCTTY, 0);
  if (failed(taken)) give_up(launcher, LaunchStep::kTerminal, taken);
}

// The first process of a pid namespace does not get signals that it has no handler for: without
// one, a container that waits for its start could be ended by SIGKILL only. The execve(2) takes the
// handlers away.
[[noreturn]] void end_by_signal(int signal) { leave(128 + signal); }

void listen_to_signals() {
  constexpr int kDeadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM};
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    std::uint64_t mask;
  } action{end_by_signal, 0, nullptr, 0};
#if defined(__x86_64__)
  // The kernel wants a way back, although there is none.
  action.flags = 0x04000000;  // SA_RESTORER
  action.restorer = [] { leave(126); };
#endif
  for (int signal : kDeadly) raw(SYS_rt_sigaction, signal, &action, nullptr, 8);
}

// Blocks until `start` connects; from then on failures are reported to it. The socket goes away
// with the first connection, so that of two racing starts one fails.
void wait_for_start(Launcher& launcher) {
  int listener = launcher.header->start_fd;
  if (listener < 0) return;
  listen_to_signals();
  LaunchReport waiting;
  waiting.what = LaunchWhat::kWaiting;
  send(launcher.report_fd, waiting);
  raw(SYS_close, launcher.report_fd);
  launcher.report_fd = -1;
  long connection;
  do {
    connection = raw(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC);
  } while (connection == -EINTR || connection == -ECONNABORTED);
  if (failed(connection)) leave(126);
  raw(SYS_close, listener);
  launcher.report_fd = static_cast<int>(connection);
}

// Takes CAP_SYS_ADMIN out of what the next program inherits. The permitted and effective sets keep
// it until the execve(2).
long leave_admin_behind(const Launcher& launcher) {
  const auto& header = *launcher.header;
  if (header.admin_ambient != 0) {
    long done = raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_SYS_ADMIN, 0, 0);
    if (failed(done)) return done;
  }
  if (header.admin_inheritable == 0) return 0;
  __user_cap_header_struct version{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  long done = raw(SYS_capget, &version, sets);
  if (failed(done)) return done;
  sets[0].inheritable &= ~(1U << CAP_SYS_ADMIN);
  return raw(SYS_capset, &version, sets);
}

// --- LSM label and seccomp
// -------------------------------------------------------------------------

long open_confined(long directory, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  return raw(SYS_openat2, directory, path, &how, sizeof how);
}

// The root of a procfs, whatever the image or another container has put in its place: EXDEV when it
// is something else.
long open_procfs() {
  constexpr std::uint64_t kRootInode = 1;  // PROC_ROOT_INO
  long fd = open_confined(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (failed(fd)) return fd;
  struct statfs filesystem{};
  struct stat info{};
  long looked = raw(SYS_fstatfs, fd, &filesystem);
  if (!failed(looked)) looked = raw(SYS_fstat, fd, &info);
  if (failed(looked)) return looked;
  bool genuine = filesystem.f_type == PROC_SUPER_MAGIC && info.st_ino == kRootInode;
  return genuine ? fd : -EXDEV;
}

// A label that is written into a file of somebody else's choice is none (CVE-2019-16884,
// CVE-2019-19921, CVE-2025-52881): nothing may be mounted between the root of the procfs and it.
long open_label_file() {
  long procfs = open_procfs();
  if (failed(procfs)) return procfs;
  long fd = open_confined(procfs, "thread-self/attr/exec", O_WRONLY,
                          RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
  raw(SYS_close, procfs);
  return fd;
}

long set_label(const Launcher& launcher) {
  if (launcher.header->exec_label == 0) return 0;
  const char* label = launcher.block + launcher.header->exec_label;
  long fd = open_label_file();
  if (failed(fd)) return fd;
  long done = raw(SYS_write, fd, label, length_of(label));
  raw(SYS_close, fd);
  return done;
}

void set_label_or_give_up(const Launcher& launcher) {
  long done = set_label(launcher);
  if (!failed(done)) return;
  const char* label = launcher.block + launcher.header->exec_label;
  LaunchReport report;
  report.step = LaunchStep::kLabel;
  report.error = static_cast<std::int32_t>(-done);
  copy_text(report.detail, sizeof report.detail, label, sizeof report.detail);
  give_up(launcher, report);
}

std::uint64_t ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  std::uint64_t value;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#endif
}

void pause_a_little() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

// A page that the process which started us can read, or null when nobody asks for the listener.
ListenerPage* announce_listener(const Launcher& launcher) {
  if ((launcher.header->seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) return nullptr;
  auto check = [&](long result) {
    if (failed(result)) give_up(launcher, LaunchStep::kSeccomp, result);
    return result;
  };
  long file = check(raw(SYS_memfd_create, "listener", 1 /* MFD_CLOEXEC */));
  check(raw(SYS_ftruncate, file, sizeof(ListenerPage)));
  long page = check(
      raw(SYS_mmap, nullptr, sizeof(ListenerPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  LaunchReport report;
  report.what = LaunchWhat::kListener;
  check(send_with(launcher.report_fd, report, static_cast<int>(file)));
  raw(SYS_close, file);
  return reinterpret_cast<ListenerPage*>(page);
}

// Without a single system call: any of them may wait for the listener that we are about to hand
// over. The other side needs microseconds; should it have died, we end after about a minute, by a
// trap, which needs no call either.
void hand_over(ListenerPage& page, long listener) {
  constexpr std::uint64_t kPatience = std::uint64_t{1} << 37;  // ticks
  __atomic_store_n(&page.listener, static_cast<std::int32_t>(listener) + 1, __ATOMIC_RELEASE);
  std::uint64_t begin = ticks();
  for (;;) {
    std::int32_t taken = __atomic_load_n(&page.taken, __ATOMIC_ACQUIRE);
    if (taken == 1) return;
    if (taken != 0 || ticks() - begin > kPatience) __builtin_trap();
    pause_a_little();
  }
}

bool has_filter(const Launcher& launcher) { return launcher.header->seccomp_length != 0; }
bool has_listener(const Launcher& launcher) {
  return (launcher.header->seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

// The listener, where it has one.
long load_filter(const Launcher& launcher) {
  const auto& header = *launcher.header;
  sock_fprog program{};
  program.len = static_cast<unsigned short>(header.seccomp_length);
  program.filter = const_cast<sock_filter*>(
      reinterpret_cast<const sock_filter*>(launcher.block + header.seccomp));
  return raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, header.seccomp_flags, &program);
}

void load_seccomp(const Launcher& launcher) {
  if (!has_filter(launcher)) return;
  long ready = leave_admin_behind(launcher);
  if (failed(ready)) give_up(launcher, LaunchStep::kSeccomp, ready);
  ListenerPage* page = announce_listener(launcher);
  long done = load_filter(launcher);
  if (failed(done)) give_up(launcher, LaunchStep::kSeccomp, done);
  if (page != nullptr) hand_over(*page, done);
}

void restore_signal_mask(const Launcher& launcher) {
  raw(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &launcher.header->signal_mask, nullptr, 8);
}

// --- startContainer hooks
// --------------------------------------------------------------------------

void collect(const char* strings, std::uint32_t count, const char** out) {
  for (std::uint32_t i = 0; i < count; ++i) {
    out[i] = strings;
    strings += length_of(strings) + 1;
  }
  out[count] = nullptr;
}

int state_file(const Launcher& launcher) {
  long fd = raw(SYS_memfd_create, "state", 1 /* MFD_CLOEXEC */);
  if (failed(fd)) {
    return static_cast<int>(raw(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC));
  }
  raw(SYS_write, fd, launcher.block + launcher.header->hook_state,
      launcher.header->hook_state_length);
  raw(SYS_lseek, fd, 0, SEEK_SET);
  return static_cast<int>(fd);
}

struct HookRun {
  long pid = 0;
  int pidfd = -1;
  int output = -1;  // reading end
};

[[noreturn]] void hook_child(const Launcher& launcher, const LaunchHook& hook, int output) {
  const auto& header = *launcher.header;
  const char* args[kMaxHookStrings + 1];
  const char* env[kMaxHookStrings + 1];
  collect(launcher.block + hook.args, hook.arg_count, args);
  collect(launcher.block + hook.env, hook.env_count, env);
  raw(SYS_setpgid, 0, 0);
  if (failed(leave_admin_behind(launcher))) leave(126);
  raw(SYS_dup3, state_file(launcher), 0, 0);
  raw(SYS_dup3, header.hook_out >= 0 ? header.hook_out : output, 1, 0);
  raw(SYS_dup3, header.hook_err >= 0 ? header.hook_err : output, 2, 0);
  if (failed(set_label(launcher))) leave(126);
  restore_signal_mask(launcher);
  if (has_filter(launcher) && !has_listener(launcher) && failed(load_filter(launcher))) leave(126);
  raw(SYS_execve, launcher.block + hook.path, args, hook.inherits_env != 0 ? launcher.envp : env);
  leave(127);
}

// Takes what there is to read, as much of it as `report` has room for; false: there will be no
// more.
bool take_output(int fd, LaunchReport& report, std::size_t& used) {
  char buffer[256];
  long got = raw(SYS_read, fd, buffer, sizeof buffer);
  if (got == -EINTR || got == -EAGAIN) return true;
  if (got <= 0) return false;
  for (long i = 0; i < got && used + 1 < sizeof report.detail; ++i)
    report.detail[used++] = buffer[i];
  return true;
}

std::int64_t now_ms() {
  timespec now{};
  raw(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits for the hook, at most its timeout; kills its group when that passes. Returns the wait
// status. Whoever else holds its output is not waited for.
int wait_for_hook(HookRun run, std::uint32_t timeout_s, LaunchReport& report) {
  std::int64_t deadline = now_ms() + std::int64_t{timeout_s} * 1000;
  std::size_t used = 0;
  pollfd entries[2] = {{run.pidfd, POLLIN, 0}, {run.output, POLLIN, 0}};
  while (run.pidfd >= 0 || entries[1].fd >= 0) {
    std::int64_t left = deadline - now_ms();
    if (left < 0) left = 0;
    timespec limit{left / 1000, left % 1000 * 1000000};
    long ready = raw(SYS_ppoll, entries, 2, timeout_s != 0 ? &limit : nullptr, nullptr, 8);
    if (ready == -EINTR) continue;
    if (ready == 0) raw(SYS_kill, -run.pid, 9);
    if (failed(ready)) break;
    if (entries[1].revents != 0 && !take_output(run.output, report, used)) entries[1].fd = -1;
    if (ready == 0 || (entries[0].revents != 0 && entries[1].revents == 0)) break;
    if (entries[0].revents != 0 && entries[1].fd < 0) break;
  }
  int status = 0;
  while (raw(SYS_wait4, run.pid, &status, 0, nullptr) == -EINTR) {
  }
  return status;
}

HookRun start_hook(const Launcher& launcher, const LaunchHook& hook, LaunchReport& report) {
  auto check = [&](long result) {
    if (!failed(result)) return result;
    report.error = static_cast<std::int32_t>(-result);
    give_up(launcher, report);
  };
  if (hook.arg_count > kMaxHookStrings || hook.env_count > kMaxHookStrings) check(-E2BIG);
  int pipe[2];
  check(raw(SYS_pipe2, pipe, O_CLOEXEC | O_NONBLOCK));
  // The writing end is the hook's, which expects no such thing.
  check(raw(SYS_fcntl, pipe[1], F_SETFL, 0));
  HookRun run;
  run.output = pipe[0];
  run.pid = check(raw(SYS_clone, 17 /* SIGCHLD */, nullptr, nullptr, nullptr, nullptr));
  if (run.pid == 0) hook_child(launcher, hook, pipe[1]);
  raw(SYS_close, pipe[1]);
  long pidfd = raw(SYS_pidfd_open, run.pid, 0);
  if (!failed(pidfd)) run.pidfd = static_cast<int>(pidfd);
  return run;
}

void run_hooks(const Launcher& launcher) {
  auto* hooks = reinterpret_cast<const LaunchHook*>(launcher.block + launcher.header->hooks);
  for (std::uint32_t i = 0; i < launcher.header->hook_count; ++i) {
    LaunchReport report;
    report.step = LaunchStep::kHook;
    report.hook = static_cast<std::int32_t>(i);
    HookRun run = start_hook(launcher, hooks[i], report);
    int status = wait_for_hook(run, hooks[i].timeout_s, report);
    if (run.pidfd >= 0) raw(SYS_close, run.pidfd);
    raw(SYS_close, run.output);
    if (status != 0) {
      report.error = -status - 1;  // negative: a wait status, not an errno
      give_up(launcher, report);
    }
  }
}

long execute(const Launcher& launcher) {
  if (launcher.path[0] != '#') return raw(SYS_execve, launcher.path, launcher.argv, launcher.envp);
  int program = parse_descriptor(launcher.path + 1);
  raw(SYS_fcntl, program, F_SETFD, FD_CLOEXEC);
  return raw(SYS_execveat, program, "", launcher.argv, launcher.envp, AT_EMPTY_PATH);
}

// --- why execve failed
// -----------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr std::uint16_t kNativeMachine = EM_X86_64;
constexpr std::uint16_t kCompatMachine = EM_386;
#else
constexpr std::uint16_t kNativeMachine = EM_AARCH64;
constexpr std::uint16_t kCompatMachine = EM_ARM;
#endif

bool exists(const char* path) { return !failed(raw(SYS_faccessat, AT_FDCWD, path, 0)); }

void diagnose_script(const char* text, std::size_t size, LaunchReport& report) {
  std::size_t at = 2;
  while (at < size && (text[at] == ' ' || text[at] == '\t')) ++at;
  std::size_t end = at;
  while (end < size && text[end] != ' ' && text[end] != '\t' && text[end] != '\n' &&
         text[end] != '\0') {
    ++end;
  }
  bool carriage_return = end > at && text[end - 1] == '\r';
  if (carriage_return) --end;
  copy_text(report.detail, sizeof report.detail, text + at, end - at);
  if (carriage_return) {
    report.diagnosis = ExecDiagnosis::kCarriageReturn;
  } else if (!exists(report.detail)) {
    report.diagnosis = ExecDiagnosis::kMissingInterpreter;
  }
}

void diagnose_elf(int fd, const char* text, LaunchReport& report) {
  Elf64_Ehdr header;
  memcpy(&header, text, sizeof header);
  if (header.e_machine != kNativeMachine && header.e_machine != kCompatMachine) {
    report.diagnosis = ExecDiagnosis::kWrongArchitecture;
    report.machine = header.e_machine;
    return;
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return;
  for (int i = 0; i < header.e_phnum && i < 64; ++i) {
    Elf64_Phdr segment;
    long at = static_cast<long>(header.e_phoff) + i * static_cast<long>(sizeof segment);
    if (raw(SYS_pread64, fd, &segment, sizeof segment, at) != static_cast<long>(sizeof segment))
      return;
    if (segment.p_type != PT_INTERP) continue;
    std::size_t size =
        segment.p_filesz < sizeof report.detail ? segment.p_filesz : sizeof report.detail - 1;
    raw(SYS_pread64, fd, report.detail, size, segment.p_offset);
    report.detail[sizeof report.detail - 1] = '\0';
    if (!exists(report.detail)) report.diagnosis = ExecDiagnosis::kMissingInterpreter;
    return;
  }
}

void diagnose_content(const char* path, LaunchReport& report) {
  long fd = raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (failed(fd)) return;
  alignas(8) char text[256] = {};
  long got = raw(SYS_pread64, fd, text, sizeof text - 1, 0);
  auto size = static_cast<std::size_t>(got > 0 ? got : 0);
  if (got == 0) {
    report.diagnosis = ExecDiagnosis::kEmptyFile;
  } else if (size >= 2 && text[0] == '#' && text[1] == '!') {
    diagnose_script(text, size, report);
  } else if (size >= sizeof(Elf64_Ehdr) && text[0] == 0x7f && text[1] == 'E' && text[2] == 'L' &&
             text[3] == 'F') {
    diagnose_elf(static_cast<int>(fd), text, report);
  } else if (report.error == ENOEXEC) {
    report.diagnosis = ExecDiagnosis::kUnknownFormat;
  }
}

void diagnose(const char* path, LaunchReport& report) {
  struct stat info;
  long found = raw(SYS_newfstatat, AT_FDCWD, path, &info, 0);
  if (failed(found)) {
    if (found == -ENOENT || found == -ENOTDIR) report.diagnosis = ExecDiagnosis::kMissing;
  } else if (S_ISDIR(info.st_mode)) {
    report.diagnosis = ExecDiagnosis::kIsDirectory;
  } else if (report.error == EACCES || report.error == EPERM) {
    report.diagnosis = ExecDiagnosis::kNotExecutable;
  } else {
    diagnose_content(path, report);
  }
}

void keep_from_program(int fd) {
  if (fd >= 0) raw(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

[[noreturn]] void run(char** stack_argv, char** envp) {
  raw(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  Launcher launcher = read_block(stack_argv, envp);
  keep_from_program(launcher.report_fd);
  make_process(launcher);
  wait_for_start(launcher);
  keep_from_program(launcher.header->hook_out);
  keep_from_program(launcher.header->hook_err);
  if (!has_listener(launcher)) run_hooks(launcher);
  set_label_or_give_up(launcher);
  restore_signal_mask(launcher);
  load_seccomp(launcher);
  if (has_listener(launcher)) run_hooks(launcher);
  long error = execute(launcher);
  LaunchReport report;
  report.step = LaunchStep::kExec;
  report.error = static_cast<std::int32_t>(-error);
  diagnose(launcher.path, report);
  give_up(launcher, report);
}

}  // namespace
}  // namespace caisson::linux

// The kernel's entry: argc at the stack pointer, then argv, a null, the environment, a null.
extern "C" [[noreturn]] void caisson_launcher_main(long* stack) {
  long argc = stack[0];
  auto** argv = reinterpret_cast<char**>(stack + 1);
  if (argc < 3) caisson::linux::leave(126);
  caisson::linux::run(argv, argv + argc + 1);
}

#if defined(__x86_64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call caisson_launcher_main\n"
    "  hlt\n");
#elif defined(__aarch64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x0, sp\n"
    "  bl caisson_launcher_main\n");
#endif
