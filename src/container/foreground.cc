#include "container/foreground.h"

#include <sys/signalfd.h>

#include <array>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "container/process.h"
#include "container/terminal.h"
#include "sys/event.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

// Faults of our own stay deadly.
constexpr int kNotCaught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

bool is_passed_on(int signal) { return signal != SIGCHLD && signal != SIGURG && signal != SIGPIPE; }

// How often, and how long, a signal is watched that the program has not taken yet.
constexpr int kHeldBackPauseMs = 5;
constexpr int kHeldBackLimitMs = 10'000;

// Passes signals on. The init of a pid namespace does not get what it takes no care of: where any
// other program would have ended by the signal, this one is ended too.
class Forwarder {
 public:
  Forwarder(const plan::ProcessHandle& process, const DropsSignal& drops)
      : process_(process), drops_(drops) {}

  void pass_on(int signal) {
    if (drops_) {
      if (drops_(signal)) return end_by(signal);
      (void)sys::pidfd_send_signal(process_.pidfd, signal);
      return;
    }
    auto fate = signal_fate(process_.pid, signal);
    if (fate == SignalFate::kDropped) return end_by(signal);
    (void)sys::pidfd_send_signal(process_.pidfd, signal);
    if (fate == SignalFate::kHandled) fate = signal_fate(process_.pid, signal);
    hold(signal, fate);
  }
  // The kernel passes this one on, now or in a moment.
  void was_sent(int signal) {
    if (drops_) {
      if (drops_(signal)) end_by(signal);
      return;
    }
    auto fate = signal_fate(process_.pid, signal);
    if (fate == SignalFate::kDropped) return end_by(signal);
    hold(signal, fate);
  }
  // Milliseconds until look_again() has something to see; -1 for never.
  int pause_ms() const { return held_back_ != 0 ? kHeldBackPauseMs : -1; }
  // A shell holds signals back for a moment now and then, and loses its handlers when it makes
  // place for another program: what came in such a moment is dropped later.
  void look_again() {
    if (held_back_ == 0) return;
    auto fate = signal_fate(process_.pid, held_back_);
    bool waits = fate == SignalFate::kPending || fate == SignalFate::kAwaited;
    if (waits && !deadline_.passed()) return;
    int signal = std::exchange(held_back_, 0);
    // Once handled, a program may well put the default back before it ends.
    bool handled = stack_ != 0 && stack() == stack_;
    if (fate == SignalFate::kDropped && !handled) end_by(signal);
  }
  Exit collect() const {
    Exit exit = collect_exit(process_.pidfd, process_.pid);
    if (exit.signal == SIGKILL && ended_by_ != 0) exit.signal = ended_by_;
    return exit;
  }

 private:
  void end_by(int signal) {
    (void)sys::pidfd_send_signal(process_.pidfd, SIGKILL);
    if (ended_by_ == 0) ended_by_ = signal;
  }
  void hold(int signal, SignalFate fate) {
    if (fate == SignalFate::kHandled || fate == SignalFate::kDropped) return;
    held_back_ = signal;
    deadline_ = Deadline::in_ms(kHeldBackLimitMs);
    stack_ = fate == SignalFate::kAwaited ? stack() : 0;
  }
  std::uint64_t stack() const { return sys::process_stack(process_.pid).value_or(0); }

  const plan::ProcessHandle& process_;
  const DropsSignal& drops_;
  int ended_by_ = 0;
  int held_back_ = 0;
  std::uint64_t stack_ = 0;  // of the program that has a handler for it
  Deadline deadline_ = Deadline::in_ms(0);
};

void handle_signals(FdRef signals, Forwarder& program, std::optional<TerminalProxy>& terminal) {
  signalfd_siginfo info;
  while (auto got = sys::read(signals, &info, sizeof info)) {
    if (*got != sizeof info) return;
    int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH && terminal) {
      terminal->copy_window_size();
    } else if (is_passed_on(signal)) {
      program.pass_on(signal);
    }
  }
}

FdRef chosen(int given, int own) { return FdRef(given >= 0 ? given : own); }

}  // namespace

Result<ForegroundSignals> ForegroundSignals::block() {
  auto caught = sys::SignalSet::all();
  for (int signal : kNotCaught) caught.remove(signal);
  Fd fd = TRY_CTX(sys::signalfd(caught), "make a signalfd");
  auto old_mask = TRY_CTX(sys::signal_mask(SIG_BLOCK, caught), "block signals");
  return ForegroundSignals(std::move(fd), old_mask);
}

ForegroundSignals::~ForegroundSignals() {
  if (fd_.valid()) (void)sys::signal_mask(SIG_SETMASK, old_mask_);
}

Result<Exit> wait_in_foreground(const plan::ProcessHandle& process,
                                const ForegroundSignals& signals, FdRef console,
                                const plan::Stdio& stdio, NotifyProxy& notify,
                                const DropsSignal& drops) {
  std::optional<TerminalProxy> terminal;
  if (console.number() >= 0) {
    terminal.emplace(
        TRY(TerminalProxy::create(console, chosen(stdio.in, 0), chosen(stdio.out, 1))));
  }
  Forwarder program(process, drops);
  std::array<pollfd, 3 + TerminalProxy::kPolls> fds;
  for (;;) {
    fds.fill(pollfd{-1, 0, 0});
    fds[0] = {process.pidfd.number(), POLLIN, 0};
    fds[1] = {signals.fd().number(), POLLIN, 0};
    if (notify) fds[2] = {notify.socket().number(), POLLIN, 0};
    auto terminal_fds = std::span(fds).last<TerminalProxy::kPolls>();
    if (terminal) terminal->fill(terminal_fds);
    TRY_CTX(sys::poll(fds, program.pause_ms()), "wait for the program");
    program.look_again();
    if (fds[1].revents != 0) handle_signals(signals.fd(), program, terminal);
    if (fds[2].revents != 0) (void)notify.handle(process.pid);
    if (terminal) {
      terminal->handle(terminal_fds);
      if (int signal = terminal->take_typed_signal(process.pid)) program.was_sent(signal);
    }
    if (fds[0].revents != 0) break;
  }
  if (terminal) terminal->drain();
  return program.collect();
}

}  // namespace caisson::container
