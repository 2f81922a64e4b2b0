#include "sys/process.h"

#include <linux/capability.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/file.h"

namespace caisson::sys {
namespace {

// struct pidfd_info of <linux/pidfd.h> as of Linux 6.15; Debian 12's headers do not have it.
struct PidfdInfo {
  std::uint64_t mask, cgroup_id;
  std::uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  std::int32_t exit_code;
};
constexpr std::uint64_t kPidfdInfoExit = 1 << 3;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFFU, 11U, PidfdInfo);

ErrnoOr<WaitStatus> wait_id(int kind, int id, int options) {
  siginfo_t info{};
  WaitStatus result;
  TRY(call_retry(SYS_waitid, kind, id, &info, options | WEXITED, &result.usage));
  result.pid = info.si_pid;
  result.code = info.si_code;
  result.status = info.si_status;
  return result;
}

WaitStatus from_wait_word(std::int32_t word) {
  WaitStatus result;
  int signal = word & 0x7f;
  result.code = signal == 0 ? CLD_EXITED : ((word & 0x80) != 0 ? CLD_DUMPED : CLD_KILLED);
  result.status = signal == 0 ? (word >> 8) & 0xff : signal;
  return result;
}

// The part of /proc/PID/stat after the command name, which may hold blanks and parentheses.
ErrnoOr<std::string> stat_tail(int pid) {
  std::string text = TRY(read_file(kCwd, cat("/proc/", pid, "/stat").c_str()));
  auto end = text.rfind(") ");
  if (end == std::string::npos) return std::unexpected(Errno{EPROTO});
  return text.substr(end + 2);
}

// `field` is numbered as in proc_pid_stat(5).
ErrnoOr<std::uint64_t> stat_number(int pid, std::size_t field) {
  std::string tail = TRY(stat_tail(pid));
  auto fields = split(tail, ' ');
  field -= 3;  // the tail begins with field 3
  if (fields.size() <= field) return std::unexpected(Errno{EPROTO});
  auto value = parse_number<std::uint64_t>(fields[field]);
  if (!value) return std::unexpected(Errno{EPROTO});
  return *value;
}

}  // namespace

ErrnoOr<int> spawn_program(std::vector<std::string> argv, FdRef out) {
  std::vector<char*> words;
  for (auto& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out.number(), STDOUT_FILENO);
  pid_t pid = 0;
  int error = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Errno{error});
  return pid;
}

ErrnoOr<WaitStatus> wait_pidfd(FdRef pidfd, int options) {
  return wait_id(3 /* P_PIDFD */, pidfd.number(), options);
}
ErrnoOr<WaitStatus> wait_pid(int pid, int options) { return wait_id(1 /* P_PID */, pid, options); }
ErrnoOr<WaitStatus> wait_any(int options) { return wait_id(0 /* P_ALL */, 0, options); }

ErrnoOr<int> poll(std::span<pollfd> fds, int timeout_ms) {
  timespec timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
  const timespec* bound = timeout_ms < 0 ? nullptr : &timeout;
  return static_cast<int>(TRY(call_retry(SYS_ppoll, fds.data(), fds.size(), bound, nullptr, 8)));
}

ErrnoOr<bool> wait_readable(FdRef fd, int timeout_ms) {
  pollfd entry{fd.number(), POLLIN, 0};
  return TRY(poll(std::span(&entry, 1), timeout_ms)) > 0;
}

ErrnoOr<std::uint64_t> process_start_time(int pid) { return stat_number(pid, 22); }
ErrnoOr<int> process_parent(int pid) { return static_cast<int>(TRY(stat_number(pid, 4))); }
ErrnoOr<std::uint64_t> process_stack(int pid) { return stat_number(pid, 28); }

ErrnoOr<char> process_state(int pid) {
  std::string tail = TRY(stat_tail(pid));
  if (tail.empty()) return std::unexpected(Errno{EPROTO});
  return tail[0];
}

ErrnoOr<std::string> boot_id() {
  std::string text = TRY(read_file(kCwd, "/proc/sys/kernel/random/boot_id"));
  return std::string(trim(text));
}

ErrnoOr<std::vector<std::uint32_t>> getgroups() {
  std::vector<std::uint32_t> groups(static_cast<std::size_t>(TRY(call(SYS_getgroups, 0, nullptr))));
  long count = TRY(call(SYS_getgroups, groups.size(), groups.data()));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

bool has_effective_capability(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (!call_void(SYS_capget, &header, data)) return false;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

ErrnoOr<std::optional<WaitStatus>> pidfd_exit_status(FdRef pidfd) {
  PidfdInfo info{};
  info.mask = kPidfdInfoExit;
  TRY(call_void(SYS_ioctl, pidfd.number(), kPidfdGetInfo, &info));
  if ((info.mask & kPidfdInfoExit) != 0) return from_wait_word(info.exit_code);
  if (TRY(wait_readable(pidfd, 0))) return std::unexpected(Errno{ENODATA});
  return std::nullopt;
}

}  // namespace caisson::sys
