#include "container/process.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr int kCollectTimeoutMs = 2000;
constexpr useconds_t kCollectPauseUs = 5000;

Exit from_status(const sys::WaitStatus& status) {
  Exit exit;
  exit.known = true;
  (status.code == CLD_EXITED ? exit.code : exit.signal) = status.status;
  return exit;
}

Exit from_wait_word(int word) {
  Exit exit;
  exit.known = true;
  exit.signal = word & 0x7f;
  if (exit.signal == 0) exit.code = (word >> 8) & 0xff;
  return exit;
}

// Field 52 of /proc/PID/stat of a zombie. The kernel shows 0 to those who may not look, hence the
// question to a link that has the same condition (PTRACE_MODE_READ_FSCREDS).
std::optional<Exit> zombie_exit(int pid) {
  auto text = sys::read_file(sys::kCwd, cat("/proc/", pid, "/stat").c_str());
  if (!text) return std::nullopt;
  auto name_end = text->rfind(") ");
  if (name_end == text->npos) return std::nullopt;
  auto fields = split(trim(std::string_view(*text).substr(name_end + 2)), ' ');
  constexpr std::size_t kExitCode = 52 - 3;
  if (fields.size() <= kExitCode || fields[0] != "Z") return std::nullopt;
  auto word = parse_number<int>(fields[kExitCode]);
  if (!word) return std::nullopt;
  if (*word == 0 && !sys::readlink(sys::kCwd, cat("/proc/", pid, "/ns/user").c_str())) {
    return std::nullopt;
  }
  return from_wait_word(*word);
}

std::optional<Exit> try_collect(FdRef pidfd, int pid) {
  if (auto waited = sys::wait_pidfd(pidfd, WNOHANG); waited && waited->pid != 0) {
    return from_status(*waited);
  }
  if (auto told = sys::pidfd_exit_status(pidfd); told && told->has_value()) {
    return from_status(**told);
  }
  return zombie_exit(pid);
}

}  // namespace

Result<ProcessId> own_process() {
  ProcessId own;
  own.pid = sys::getpid();
  own.start_time = TRY_CTX(sys::process_start_time(own.pid), "read /proc/self/stat");
  return own;
}

std::optional<Fd> find_process(const ProcessId& process, const std::string& boot_id) {
  if (process.pid <= 0) return std::nullopt;
  auto boot = sys::boot_id();
  if (boot && *boot != boot_id) return std::nullopt;
  auto pidfd = sys::pidfd_open(process.pid);
  if (!pidfd) return std::nullopt;
  auto start_time = sys::process_start_time(process.pid);
  if (!start_time || *start_time != process.start_time) return std::nullopt;
  if (sys::wait_readable(*pidfd, 0).value_or(false)) return std::nullopt;
  return std::move(*pidfd);
}

namespace {

bool names_a_namespace_init(std::string_view nspid) {
  return nspid.find('\t') != nspid.npos && nspid.ends_with("\t1");
}

}  // namespace

bool is_namespace_init(int pid) {
  auto text = sys::read_file(sys::kCwd, cat("/proc/", pid, "/status").c_str());
  if (!text) return true;
  for (auto line : split(*text, '\n')) {
    auto [name, rest] = split_once(line, ':');
    if (name == "NSpid") return names_a_namespace_init(trim(rest));
  }
  return true;
}

SignalFate signal_fate(int pid, int signal) {
  switch (signal) {
    case SIGHUP:
    case SIGINT:
    case SIGQUIT:
    case SIGTERM:
    case SIGUSR1:
    case SIGUSR2:
    case SIGALRM: break;
    default: return SignalFate::kHandled;
  }
  auto text = sys::read_file(sys::kCwd, cat("/proc/", pid, "/status").c_str());
  if (!text) return SignalFate::kHandled;
  bool init = false, handled = false, blocked = false, pending = false;
  for (auto line : split(*text, '\n')) {
    auto [name, rest] = split_once(line, ':');
    auto value = trim(rest);
    if (name == "NSpid") init = names_a_namespace_init(value);
    if (!name.starts_with("Sig") && name != "ShdPnd") continue;
    bool has = (parse_number<std::uint64_t>(value, 16).value_or(0) >> (signal - 1) & 1) != 0;
    if (name == "SigIgn" || name == "SigCgt") handled |= has;
    if (name == "SigBlk") blocked = has;
    if (name == "SigPnd" || name == "ShdPnd") pending |= has;
  }
  if (!init) return SignalFate::kHandled;
  if (handled) return pending ? SignalFate::kAwaited : SignalFate::kHandled;
  if (pending) return SignalFate::kPending;
  return blocked ? SignalFate::kBlocked : SignalFate::kDropped;
}

bool init_drops(int pid, int signal) { return signal_fate(pid, signal) == SignalFate::kDropped; }

Exit collect_exit(FdRef pidfd, int pid) {
  auto deadline = Deadline::in_ms(kCollectTimeoutMs);
  Exit exit;
  for (;;) {
    // Read before the attempt: a process that is gone now may have been collected during it.
    bool gone = !sys::pidfd_send_signal(pidfd, 0);
    if (auto collected = try_collect(pidfd, pid)) {
      exit = *collected;
      break;
    }
    if (gone || deadline.passed()) break;
    ::usleep(kCollectPauseUs);
  }
  exit.at = realtime_ns();
  return exit;
}

namespace {

// Living or not. Invalid: there is no such process any more.
Fd open_identified(const ProcessId& process, const std::string& boot_id) {
  if (process.pid <= 0) return {};
  auto boot = sys::boot_id();
  auto pidfd = sys::pidfd_open(process.pid);
  if (!boot || *boot != boot_id || !pidfd) return {};
  auto start_time = sys::process_start_time(process.pid);
  if (!start_time || *start_time != process.start_time) return {};
  return std::move(*pidfd);
}

}  // namespace

Exit exit_of_ended(const ProcessId& process, const std::string& boot_id) {
  if (Fd pidfd = open_identified(process, boot_id)) return collect_exit(pidfd, process.pid);
  Exit lost;
  lost.at = realtime_ns();
  return lost;
}

void reap_ended(const ProcessId& process, const std::string& boot_id) {
  if (Fd pidfd = open_identified(process, boot_id)) (void)sys::wait_pidfd(pidfd, WNOHANG);
}

}  // namespace caisson::container
