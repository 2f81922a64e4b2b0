// What the launcher needs to know: one block in a memfd, written by the executor, read by the
// launcher. The launcher has no libc; this header uses nothing but fixed-size integers.
#pragma once

#include <cstdint>

namespace caisson::linux {

inline constexpr std::uint32_t kLaunchMagic = 0x63736e31;  // "csn1"

// A startContainer hook: offsets of NUL-terminated strings and of NUL-separated lists in the block.
struct LaunchHook {
  std::uint32_t path = 0;
  std::uint32_t args = 0, arg_count = 0;
  std::uint32_t env = 0, env_count = 0;
  std::uint32_t inherits_env = 0;  // 1: its environment is the program's
  std::uint32_t timeout_s = 0;     // 0: none
};

struct LaunchHeader {
  std::uint32_t magic = kLaunchMagic;
  std::uint32_t size = 0;       // of the whole block
  std::int32_t report_fd = -1;  // stream of LaunchReport; closed by the execve(2) that succeeds
  std::int32_t start_fd = -1;   // listening socket; -1: do not wait
  // 1: everything so far was done outside of the pid namespace. The launcher makes the process in
  // it, a child of our caller's; that one begins with a session of its own and takes descriptor 0
  // for its controlling terminal when these are 1.
  std::uint32_t clone = 0, new_session = 0, terminal = 0;
  std::uint32_t seccomp = 0;         // offset of the sock_filter array
  std::uint32_t seccomp_length = 0;  // instructions; 0: nothing to load here
  std::uint32_t seccomp_flags = 0;
  // CAP_SYS_ADMIN is held for the filter alone: from which sets it goes before that is loaded.
  std::uint32_t admin_inheritable = 0, admin_ambient = 0;
  std::uint32_t exec_label = 0;  // offset of a string for /proc/thread-self/attr/exec; 0: none
  std::uint32_t hooks = 0, hook_count = 0;              // offset of LaunchHook[hook_count]
  std::uint32_t hook_state = 0, hook_state_length = 0;  // state JSON for the hooks' stdin
  std::int32_t hook_out = -1, hook_err = -1;  // where their output goes; -1: into the report
  std::uint64_t signal_mask = 0;              // restored before the program
};

// Codes of LaunchReport::what.
enum class LaunchWhat : std::int32_t {
  kWaiting = 1,  // ready, waiting for start
  kFailed = 2,   // `step` failed with `error`
  // A filter with a listener is about to be loaded; a descriptor of a ListenerPage comes along.
  kListener = 3,
  kMade = 4,  // LaunchHeader::clone: the process's id is in `error`; it waits for 'G'
};

// How the listener of a filter reaches the process that started us, although the filter may hold up
// every call that we could make from then on: we write its number here and wait, without a call,
// until the other side has taken it. A memory file; the other side reads and writes it as a file.
struct ListenerPage {
  std::int32_t listener = 0;  // number of the descriptor in the launcher, plus one
  std::int32_t taken = 0;     // 1: go on; 2: end
};

enum class LaunchStep : std::int32_t {
  kRead = 1,
  kClone,
  kTerminal,
  kWait,
  kHook,
  kLabel,
  kSeccomp,
  kExec
};

// Why execve(2) failed, beyond its errno.
enum class ExecDiagnosis : std::int32_t {
  kNone = 0,
  kMissing,  // the file itself is not there
  kIsDirectory,
  kNotExecutable,       // no execute permission, or a noexec mount
  kWrongArchitecture,   // an ELF file for another machine
  kMissingInterpreter,  // its ELF interpreter or #! interpreter is not there: see detail
  kCarriageReturn,      // the #! line ends in CR LF
  kEmptyFile,
  kUnknownFormat,  // neither ELF nor #!
};

struct LaunchReport {
  LaunchWhat what{};
  LaunchStep step{};
  std::int32_t error = 0;
  std::int32_t hook = 0;  // index of the hook that failed; its wait status in `error` when negative
  ExecDiagnosis diagnosis{};
  std::uint32_t machine = 0;  // e_machine of a foreign ELF file
  char detail[512] = {};
  char program[256] = {};  // the program's argv[0], for the text
};

}  // namespace caisson::linux
