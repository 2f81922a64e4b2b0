// Between the user's terminal and a container's pty: bytes both ways, window size, raw mode.
#pragma once

#include <poll.h>

#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"
#include "sys/tty.h"

namespace caisson::container {

// Gives the pty the size of the user's window from its first moment on, unless it has one already.
void take_window_size(const plan::Stdio& stdio, plan::ProcessPlan& process);

class TerminalProxy {
 public:
  static constexpr std::size_t kPolls = 3;

  // Receives the pty master from `console` (what the executor sent). `in` and `out` are the user's;
  // when `in` is a terminal it is in raw mode until the proxy goes away.
  static Result<TerminalProxy> create(FdRef console, FdRef in, FdRef out);
  TerminalProxy(TerminalProxy&& other) noexcept;
  TerminalProxy& operator=(TerminalProxy&&) = delete;
  ~TerminalProxy();

  // What poll(2) shall wait for, and what to do after it.
  void fill(std::span<pollfd, kPolls> fds) const;
  void handle(std::span<const pollfd, kPolls> fds);
  // The signal that a key just typed means to the process group `group` (^C: SIGINT), or 0.
  int take_typed_signal(int group);
  // Hands the size of the user's window to the pty.
  void copy_window_size();
  // Passes on what the container wrote before it ended.
  void drain();

 private:
  TerminalProxy(Fd master, FdRef in, FdRef out) : master_(std::move(master)), in_(in), out_(out) {}
  void enter_raw_mode();
  void read_user();
  void note_signal_keys(std::string_view typed);
  void read_master();
  void write_user();
  void write_master();

  Fd master_;
  FdRef in_, out_;
  std::optional<sys::KernelTermios> saved_mode_;
  bool user_ended_ = false;
  int typed_signal_ = 0;
  std::string to_master_, to_user_;  // read, not yet written
};

}  // namespace caisson::container
