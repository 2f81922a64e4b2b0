#include "sandbox/boot/exec_proxy.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>

#include "plan/wire.h"
#include "sandbox/boot/host_terminal.h"
#include "sandbox/control/client.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::boot {

using control::Answer;
using control::Client;
using control::ControlMessage;
using control::receive_control;
using control::Request;
using control::send_control;

namespace {

constexpr int kAnswerTimeoutMs = 30'000;

using SignalWord = std::uint64_t;
constexpr SignalWord kAllSignals = ~SignalWord{0};

void block_signals() {
  sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, &kAllSignals, nullptr, sizeof kAllSignals);
}

[[noreturn]] void end_like(int wait_status) {
  if (WIFEXITED(wait_status)) sys::exit_process(WEXITSTATUS(wait_status));
  int signal = WTERMSIG(wait_status);
  rlimit64 no_core{0, 0};
  (void)sys::prlimit(RLIMIT_CORE, no_core);
  struct {
    void (*handler)(int) = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    std::uint64_t mask = 0;
  } by_default;
  sys::raw(SYS_rt_sigaction, signal, &by_default, nullptr, sizeof(std::uint64_t));
  SignalWord none = 0;
  sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  sys::raw(SYS_kill, sys::getpid(), signal);
  sys::exit_process(128 + signal);
}

// Signals that come here are the program's. SIGCHLD is nobody's: this process has no children.
void pass_signals(FdRef signals, FdRef connection) {
  signalfd_siginfo info{};
  for (;;) {
    long got = sys::raw(SYS_read, signals.number(), &info, sizeof info);
    if (got != static_cast<long>(sizeof info)) return;
    if (info.ssi_signo == SIGCHLD) continue;
    (void)send_control(connection, Request::kSignal, info.ssi_signo, {});
  }
}

// The proxy's whole life. A connection that ends without a status: the sandbox was killed.
[[noreturn]] void run_proxy(FdRef connection) {
  block_signals();
  constexpr int kNonBlocking = SFD_NONBLOCK | SFD_CLOEXEC;
  auto signals = sys::call_fd(SYS_signalfd4, -1, &kAllSignals, sizeof kAllSignals, kNonBlocking);
  if (!signals) sys::exit_process(126);
  for (;;) {
    std::array<pollfd, 2> ready = {pollfd{connection.number(), POLLIN, 0},
                                   pollfd{signals->number(), POLLIN, 0}};
    (void)sys::poll(ready, -1);
    if (ready[1].revents != 0) pass_signals(*signals, connection);
    if (ready[0].revents == 0) continue;
    auto message = receive_control(connection);
    if (!message) end_like(SIGKILL);
    if (message->kind == static_cast<std::uint8_t>(Answer::kExited))
      end_like(static_cast<int>(message->value));
  }
}

Result<plan::ProcessHandle> start_proxy(FdRef connection) {
  auto child = TRY_CTX(sys::fork_with_pidfd(), "make a process for the exec");
  if (child.pid == 0) {
    // Nothing but the connection: whoever reads from what we would hold open waits for its end.
    int number = connection.number();
    if (number != 3) {
      (void)sys::dup3(connection, 3, O_CLOEXEC);
      number = 3;
    }
    sys::raw(SYS_close_range, 4U, ~0U, 0);
    for (int standard : {0, 1, 2}) sys::raw(SYS_close, standard);
    run_proxy(FdRef(number));
  }
  plan::ProcessHandle handle;
  handle.pid = child.pid;
  handle.pidfd = std::move(child.pidfd);
  handle.start_time = TRY_CTX(sys::process_start_time(child.pid), "look at the new process");
  return handle;
}

int or_own(int given, int own) { return given >= 0 ? given : own; }

Error refused(const ControlMessage& answer, const plan::ExecRequest& request) {
  int code = static_cast<int>(answer.value);
  Error error = answer.text.empty() ? Error(Errno{code}) : Error::with_cause(code, answer.text);
  error = std::move(error).doing("exec: ", quoted(request.process->args[0])).step("exec");
  if (code == ENOENT) return std::move(error).code("exec.missing");
  return std::move(error).code(code == EACCES ? "exec.denied" : "exec.failed");
}

}  // namespace

Result<plan::ProcessHandle> exec_in_sandbox(plan::ExecRequest& request) {
  Client kernel = TRY(Client::connect(request.sandbox.socket, request.sandbox.container));
  HostTerminal terminal;
  if (request.process->terminal) {
    terminal = TRY(HostTerminal::open(*request.process, FdRef(request.console_socket)));
  }
  std::vector<int> stdio = {or_own(request.stdio.in, 0), or_own(request.stdio.out, 1),
                            or_own(request.stdio.err, 2)};
  if (terminal) stdio.assign(3, terminal.slave().number());
  TRY_CTX(send_control(kernel.socket(), Request::kExec, 0, plan::encode(*request.process), stdio),
          "ask the sandbox's kernel for an exec");
  auto answer = TRY(kernel.receive(kAnswerTimeoutMs));
  if (answer.kind != static_cast<std::uint8_t>(Answer::kStarted))
    return std::unexpected(refused(answer, request));
  auto handle = TRY(start_proxy(kernel.socket()));
  TRY(terminal.hand_over());
  return handle;
}

}  // namespace caisson::sandbox::boot
