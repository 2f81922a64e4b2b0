// Waiting for a program in the foreground: signals are passed on to it, its terminal is proxied.
#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"
#include "container/notify_proxy.h"
#include "container/state.h"
#include "plan/executor.h"
#include "sys/event.h"

namespace caisson::container {

// Signals that are kept for the program from block() on; destroyed, they are ours again.
class ForegroundSignals {
 public:
  static Result<ForegroundSignals> block();
  ForegroundSignals(ForegroundSignals&&) = default;
  ForegroundSignals& operator=(ForegroundSignals&&) = delete;
  ~ForegroundSignals();
  FdRef fd() const { return fd_; }

 private:
  ForegroundSignals(Fd fd, const sys::SignalSet& old_mask)
      : fd_(std::move(fd)), old_mask_(old_mask) {}
  Fd fd_;  // signalfd(2)
  sys::SignalSet old_mask_;
};

// Whether the program would never notice a signal. Only its sandbox's kernel can tell where there
// is one; empty: the process's own signals tell.
using DropsSignal = std::function<bool(int signal)>;

// Waits for the end of `process`, a child of ours. Every signal that we can catch goes to it
// meanwhile, but SIGCHLD, SIGURG and SIGPIPE, and SIGWINCH when there is a terminal to resize.
// `console`: receives the pty master; -1: the program has our own descriptors. `stdio` as for the
// start. `notify`, when it is open, is served.
Result<Exit> wait_in_foreground(const plan::ProcessHandle& process,
                                const ForegroundSignals& signals, FdRef console,
                                const plan::Stdio& stdio, NotifyProxy& notify,
                                const DropsSignal& drops = {});

}  // namespace caisson::container
