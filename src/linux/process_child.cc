// Turns the process that built a container (or joined one) into the container's process: limits,
// scheduling, working directory, credentials, and at last the launcher.

#include <linux/capability.h>
#include <linux/keyctl.h>

#include <charconv>
#include <cstring>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::ProcessPlan;

ErrnoOr<> drop_bounding(std::uint64_t keep) {
  for (unsigned capability = 0; capability < 64; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    auto dropped = sys::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (dropped) continue;
    if (dropped.error().value == EINVAL) return {};  // beyond the last capability of this kernel
    return std::unexpected(dropped.error());
  }
  return {};
}

constexpr std::uint32_t kAdmin = 1U << CAP_SYS_ADMIN;

// The launcher loads the filter. Without no_new_privs it must hold CAP_SYS_ADMIN for that, and
// takes it away from the program (launcher.cc).
bool filter_needs_admin(const ProcessPlan& process) {
  return !process.no_new_privileges && !process.seccomp.program.empty();
}

ErrnoOr<> set_capabilities(const plan::CapabilityPlan& plan, bool keep_admin) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<std::uint32_t>(plan.effective >> (32 * half));
    data[half].permitted = static_cast<std::uint32_t>(plan.permitted >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(plan.inheritable >> (32 * half));
  }
  if (keep_admin) {
    for (auto* set : {&data[0].effective, &data[0].permitted, &data[0].inheritable}) *set |= kAdmin;
  }
  TRY(sys::call_void(SYS_capset, &header, data));
  if (keep_admin) TRY(sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
  if (plan.ambient == 0) return {};
  for (unsigned capability = 0; capability < 64; ++capability) {
    if ((plan.ambient >> capability & 1) == 0) continue;
    TRY(sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0));
  }
  return {};
}

ErrnoOr<> change_directory(ChildContext& context, const char* path) {
  note(context, Operation::kNone, path);
  TRY(sys::chdir(path));
  // CVE-2024-21626: a working directory outside of the root shows as an unreachable path.
  TRY(sys::call(SYS_getcwd, context.scratch, sizeof context.scratch));
  if (context.scratch[0] != '/') return std::unexpected(Errno{ENOENT});
  return {};
}

bool denied(Errno error) { return error.value == EACCES || error.value == EPERM; }

// --- finding the program
// ----------------------------------------------------------------------------

ErrnoOr<> check_executable(const char* path) {
  auto info = TRY(sys::fstatat(sys::kCwd, path));
  if (S_ISDIR(info.st_mode)) return std::unexpected(Errno{EISDIR});
  return sys::faccessat(sys::kCwd, path, 1 /* X_OK */, AT_EACCESS);
}

std::string_view path_variable(const ProcessPlan& process) {
  std::string_view value;
  for (const auto& entry : process.env) {
    if (entry.starts_with("PATH=")) value = std::string_view(entry).substr(5);
  }
  return value;
}

ErrnoOr<> search_path(ChildContext& context, std::string_view name) {
  std::string_view rest = path_variable(*context.process);
  int best = ENOENT;
  while (!rest.empty()) {
    auto [directory, others] = split_once(rest, ':');
    rest = others;
    if (directory.empty()) directory = ".";
    if (directory.size() + name.size() + 2 > sizeof context.program) continue;
    char* at = context.program;
    std::memcpy(at, directory.data(), directory.size());
    at += directory.size();
    *at++ = '/';
    std::memcpy(at, name.data(), name.size());
    at[name.size()] = '\0';
    auto usable = check_executable(context.program);
    if (usable) return {};
    // A directory that this user may not search holds nothing for him.
    if (usable.error().value == EACCES && sys::fstatat(sys::kCwd, context.program)) best = EACCES;
  }
  return std::unexpected(Errno{best});
}

// --- HOME
// -------------------------------------------------------------------------------------------

// The n-th field of a line of passwd(5).
std::string_view field(std::string_view line, int n) {
  for (; n > 0; --n) line = split_once(line, ':').second;
  return split_once(line, ':').first;
}

std::string_view home_in_line(std::string_view line, std::uint32_t uid) {
  auto number = parse_number<std::uint32_t>(field(line, 2));
  return number && *number == uid ? field(line, 5) : std::string_view();
}

// Scans the container's /etc/passwd with a buffer of fixed size; longer lines are passed over.
void fill_home(ChildContext& context) {
  std::string_view home;
  char buffer[8192];
  std::size_t used = 0;
  // A link to /proc/self/fd would lead to what we have open.
  auto file = sys::openat2(sys::kCwd, "/etc/passwd", O_RDONLY | O_NONBLOCK, RESOLVE_NO_MAGICLINKS);
  while (file && home.empty()) {
    auto got = sys::read(*file, buffer + used, sizeof buffer - used);
    std::size_t size = used + (got ? *got : 0);
    std::string_view text(buffer, size);
    bool end = !got || *got == 0;
    std::size_t newline;
    while (home.empty() && (newline = text.find('\n')) != std::string_view::npos) {
      home = home_in_line(text.substr(0, newline), context.process->uid);
      text.remove_prefix(newline + 1);
    }
    if (end) {
      if (home.empty()) home = home_in_line(text, context.process->uid);
      break;
    }
    if (!home.empty()) break;
    used = text.size() == sizeof buffer ? 0 : text.size();
    std::memmove(buffer, text.data(), used);
  }
  if (home.empty() || home.size() + 6 > sizeof context.home) home = "/";
  std::memcpy(context.home, "HOME=", 5);
  std::memmove(context.home + 5, home.data(), home.size());
  context.home[5 + home.size()] = '\0';
}

// All processors of the cgroup's cpuset, whatever the caller restricted itself to: a restriction
// that is inherited would outlive every later change of that set.
void use_all_cpus() {
  std::uint64_t cpus[16];
  std::memset(cpus, 0xff, sizeof cpus);
  (void)sys::call_void(SYS_sched_setaffinity, 0, sizeof cpus, cpus);
}

}  // namespace

ErrnoOr<> apply_limits(ChildContext& context) {
  for (std::size_t i = 0; i < context.process->rlimits.size(); ++i) {
    const auto& limit = context.process->rlimits[i];
    note(context, Operation::kNone, limit.name, static_cast<int>(i));
    rlimit64 value{limit.soft, limit.hard};
    TRY(sys::prlimit(limit.resource, value));
  }
  return {};
}

ErrnoOr<> apply_scheduling(ChildContext& context) {
  const auto& process = *context.process;
  if (process.cpus_initial.empty() && process.cpus_final.empty()) use_all_cpus();
  if (process.scheduler) {
    struct {
      std::uint32_t size, policy;
      std::uint64_t flags;
      std::int32_t nice;
      std::uint32_t priority;
      std::uint64_t runtime, deadline, period;
    } attributes{};
    attributes.size = sizeof attributes;
    attributes.policy = process.scheduler->policy;
    attributes.flags = process.scheduler->flags;
    attributes.nice = process.scheduler->nice;
    attributes.priority = process.scheduler->priority;
    attributes.runtime = process.scheduler->runtime;
    attributes.deadline = process.scheduler->deadline;
    attributes.period = process.scheduler->period;
    note(context, Operation::kNone, "process.scheduler");
    TRY(sys::call_void(SYS_sched_setattr, 0, &attributes, 0));
  }
  if (process.io_priority) {
    note(context, Operation::kNone, "process.ioPriority");
    TRY(sys::call_void(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, *process.io_priority));
  }
  if (process.memory_policy) {
    const auto& policy = *process.memory_policy;
    note(context, Operation::kNone, "linux.memoryPolicy");
    TRY(sys::call_void(SYS_set_mempolicy, policy.mode, policy.nodes.data(),
                       policy.nodes.empty() ? 0 : policy.nodes.size() * 64 + 1));
  }
  if (process.personality) {
    note(context, Operation::kNone, "linux.personality");
    TRY(sys::call(SYS_personality, *process.personality));
  }
  return {};
}

ErrnoOr<> set_affinity(const std::vector<std::uint64_t>& cpus) {
  return sys::call_void(SYS_sched_setaffinity, 0, cpus.size() * sizeof cpus[0], cpus.data());
}

ErrnoOr<> enter_working_directory(ChildContext& context) {
  auto entered = change_directory(context, context.process->cwd.c_str());
  // The user may see what root can't (FUSE, root-squashed NFS): tried again after the change of
  // user.
  if (!entered && denied(entered.error())) return {};
  return entered;
}

ErrnoOr<> join_session_keyring(ChildContext& context) {
  const auto& process = *context.process;
  if (!process.new_session_keyring) return {};
  note(context, Operation::kNone, process.keyring_name);
  const char* name = process.keyring_name.empty() ? nullptr : process.keyring_name.c_str();
  auto joined = sys::call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
  // Kernels without keyrings, and outer containers that forbid them, have none to leak either.
  if (!joined && joined.error().value != ENOSYS && joined.error().value != EPERM) {
    return std::unexpected(joined.error());
  }
  return {};
}

// Before the bounding set shrinks: nothing can become inheritable that is not in it.
ErrnoOr<> prepare_seccomp(ChildContext& context) {
  if (!filter_needs_admin(*context.process)) return {};
  note(context, Operation::kNone, "linux.seccomp");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  TRY(sys::call_void(SYS_capget, &header, data));
  data[0].inheritable |= kAdmin;
  return sys::call_void(SYS_capset, &header, data);
}

// Programs log to /dev/stdout, which opens the pipe or socket anew: it must be the user's. Devices
// and files of the host's keep their owner. What may not be changed stays as it is.
void own_streams(std::uint32_t uid) {
  if (uid == 0) return;
  for (int number = 0; number < 3; ++number) {
    auto info = sys::fstat(FdRef(number));
    if (!info || info->st_uid == uid) continue;
    if (!S_ISFIFO(info->st_mode) && !S_ISSOCK(info->st_mode)) continue;
    (void)sys::fchownat(FdRef(number), "", uid, static_cast<std::uint32_t>(-1), AT_EMPTY_PATH);
  }
}

ErrnoOr<> become_user(ChildContext& context) {
  const auto& process = *context.process;
  own_streams(process.uid);
  sys::raw(SYS_umask, process.umask.value_or(022));
  if (process.capabilities.apply) {
    note(context, Operation::kNone, "process.capabilities.bounding");
    TRY(drop_bounding(process.capabilities.bounding));
  }
  if (process.set_groups) {
    note(context, Operation::kNone, "process.user.additionalGids");
    TRY(sys::setgroups(process.additional_gids));
  }
  TRY(sys::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  note(context, Operation::kNone, "process.user.gid");
  TRY(sys::setresgid(process.gid));
  note(context, Operation::kNone, "process.user.uid");
  TRY(sys::setresuid(process.uid));
  TRY(sys::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
  TRY(change_directory(context, process.cwd.c_str()));
  if (process.capabilities.apply) {
    note(context, Operation::kNone, "process.capabilities");
    TRY(set_capabilities(process.capabilities, filter_needs_admin(process)));
  }
  if (process.no_new_privileges) {
    note(context, Operation::kNone, "process.noNewPrivileges");
    TRY(sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  }
  return {};
}

ErrnoOr<> find_program(ChildContext& context) {
  const std::string& name = context.process->args[0];
  note(context, Operation::kNone, name);
  if (context.program_fd >= 0) {
    char* at = context.program;
    *at++ = '#';
    *std::to_chars(at, context.program + sizeof context.program - 1, context.program_fd).ptr = '\0';
    return {};
  }
  if (context.process->set_home) fill_home(context);
  if (name.find('/') == std::string::npos) return search_path(context, name);
  if (name.size() >= sizeof context.program) return std::unexpected(Errno{ENAMETOOLONG});
  std::memcpy(context.program, name.c_str(), name.size() + 1);
  return check_executable(context.program);
}

ErrnoOr<> start_launcher(ChildContext& context) {
  note(context, Operation::kNone, "launcher");
  // Whatever else is open, the caller's leaks included, ends with the next execve.
  auto first = static_cast<unsigned>(3 + context.preserve_fds);
  TRY(sys::close_range(first, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
  for (int number : {context.report_fd, context.start_fd, context.launch_data_fd, context.hook_out,
                     context.hook_err}) {
    if (number >= 0) TRY(sys::set_cloexec(FdRef(number), false));
  }
  // The program itself is closed by the launcher's execveat, for which it must be there.
  for (int number : context.keep_fds) TRY(sys::set_cloexec(FdRef(number), false));
  if (context.program_fd >= 0) TRY(sys::set_cloexec(FdRef(context.program_fd), false));
  return sys::call_void(SYS_execveat, context.launcher_fd, "", context.argv.data(),
                        context.envp.data(), AT_EMPTY_PATH);
}

}  // namespace caisson::linux
