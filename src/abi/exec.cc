// caisson_exec, caisson_wait_process.
#include "abi/call.h"
#include "container/process.h"
#include "spec/oci_config.h"
#include "spec/validate.h"
#include "sys/process.h"

namespace caisson::abi {
namespace {

constexpr std::uint32_t kFlags =
    CAISSON_NO_NEW_KEYRING | CAISSON_NO_NEW_PRIVILEGES | CAISSON_TERMINAL | CAISSON_IGNORE_PAUSED;

Result<> read_process(const char* text, container::ExecOptions& out) {
  if (text == nullptr) return {};
  out.process = TRY(spec::read_oci_process(text, "process"));
  return spec::validate_process(*out.process, "process");
}

Result<container::ExecOptions> read_options(const caisson_exec_options* options) {
  auto given = TRY(read_structure(options, caisson_exec_options CAISSON_EXEC_OPTIONS_INIT));
  TRY(check_flags(given.flags, kFlags));
  container::ExecOptions out;
  TRY(read_process(given.process, out));
  out.args = strings(given.args);
  if (out.args.empty() && !out.process) {
    return std::unexpected(bad_argument("args", "names no program"));
  }
  out.env = TRY(variables(given.env));
  out.cwd = optional_text(given.cwd);
  out.user = optional_text(given.user);
  if ((given.flags & CAISSON_TERMINAL) != 0) out.terminal = true;
  // The container's own process may have one; one more has it when it is asked for.
  else if (!out.process)
    out.terminal = false;
  if ((given.flags & CAISSON_NO_NEW_PRIVILEGES) != 0) out.no_new_privileges = true;
  out.detach = true;
  out.ignore_paused = (given.flags & CAISSON_IGNORE_PAUSED) != 0;
  out.no_new_keyring = (given.flags & CAISSON_NO_NEW_KEYRING) != 0;
  out.pid_file = optional_text(given.pid_file);
  out.console_socket = optional_text(given.console_socket);
  out.pidfd_socket = optional_text(given.pidfd_socket);
  out.seccomp_receiver = optional_text(given.seccomp_receiver);
  if (given.preserve_fds < 0) return std::unexpected(bad_argument("preserve_fds", "is negative"));
  out.preserve_fds = given.preserve_fds;
  out.stdio = {given.stdin_fd, given.stdout_fd, given.stderr_fd};
  return out;
}

Result<> exec(const caisson_runtime* runtime, const char* id, const caisson_exec_options* options,
              caisson_process* process) {
  Call call(*runtime);
  std::string name = TRY(required(id, "id"));
  auto wanted = TRY(read_options(options));
  auto started = TRY(container::exec(call.context(), name, wanted));
  return give_process(process, started.pid, std::move(started.pidfd));
}

Result<> wait_process(const caisson_process* process, int timeout_ms, caisson_exit* exit) {
  auto given = TRY(read_structure(process, caisson_process CAISSON_PROCESS_INIT));
  FdRef pidfd(given.pidfd);
  if (!TRY_CTX(sys::wait_readable(pidfd, timeout_ms), "wait for pid ", given.pid)) {
    return std::unexpected(
        Error::with_cause(ETIMEDOUT, "the process still runs").doing("wait for pid ", given.pid));
  }
  return write_structure(exit, exit_of(container::collect_exit(pidfd, given.pid)));
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_exec(const caisson_runtime* runtime, const char* id,
                 const caisson_exec_options* options, caisson_process* process,
                 caisson_error** error) {
  return caisson::abi::finish(caisson::abi::exec(runtime, id, options, process), error);
}
int caisson_wait_process(const caisson_process* process, int timeout_ms, caisson_exit* exit,
                         caisson_error** error) {
  return caisson::abi::finish(caisson::abi::wait_process(process, timeout_ms, exit), error);
}
}
