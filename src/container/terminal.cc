#include "container/terminal.h"

#include <signal.h>

#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr std::size_t kBufferLimit = 64 * 1024;
// Written at once to the user's descriptor, which is blocking because others share it.
constexpr std::size_t kUserChunk = 4096;
constexpr char kEndOfTransmission = 4;
constexpr int kReceiveTimeoutMs = 10'000;

// Removes what could be written; false when the descriptor is of no use any more.
bool write_some(FdRef fd, std::string& data, std::size_t limit) {
  auto done = sys::write(fd, data.data(), std::min(data.size(), limit));
  if (!done) return done.error().value == EAGAIN;
  data.erase(0, *done);
  return true;
}

}  // namespace

void take_window_size(const plan::Stdio& stdio, plan::ProcessPlan& process) {
  // Who reads a file or a pipe wants lines as the program wrote them.
  process.console_keeps_newlines = !sys::is_terminal(FdRef(stdio.out >= 0 ? stdio.out : 1));
  if (process.console_rows != 0 || process.console_columns != 0) return;
  for (int number : {stdio.in >= 0 ? stdio.in : 0, stdio.out >= 0 ? stdio.out : 1}) {
    auto size = sys::window_size(FdRef(number));
    if (!size) continue;
    process.console_rows = size->ws_row;
    process.console_columns = size->ws_col;
    return;
  }
}

Result<TerminalProxy> TerminalProxy::create(FdRef console, FdRef in, FdRef out) {
  if (!TRY_CTX(sys::wait_readable(console, kReceiveTimeoutMs), "wait for the terminal")) {
    return std::unexpected(Error(Errno{ETIMEDOUT}).doing("wait for the container's terminal"));
  }
  auto message = TRY_CTX(sys::receive_message(console), "receive the container's terminal");
  if (message.fds.empty()) {
    return std::unexpected(
        Error::with_cause(EPROTO, "no descriptor came").doing("receive the container's terminal"));
  }
  TRY_CTX(sys::set_nonblocking(message.fds[0], true), "change the container's terminal");
  TerminalProxy proxy(std::move(message.fds[0]), in, out);
  proxy.copy_window_size();
  proxy.enter_raw_mode();
  return proxy;
}

TerminalProxy::TerminalProxy(TerminalProxy&& other) noexcept
    : master_(std::move(other.master_)),
      in_(other.in_),
      out_(other.out_),
      saved_mode_(std::exchange(other.saved_mode_, std::nullopt)),
      user_ended_(other.user_ended_),
      typed_signal_(other.typed_signal_),
      to_master_(std::move(other.to_master_)),
      to_user_(std::move(other.to_user_)) {}

TerminalProxy::~TerminalProxy() {
  if (saved_mode_) (void)sys::set_terminal_mode(in_, *saved_mode_, true);
}

void TerminalProxy::enter_raw_mode() {
  auto mode = sys::terminal_mode(in_);
  if (!mode) return;  // no terminal
  if (sys::set_terminal_mode(in_, sys::raw_mode(*mode), true)) saved_mode_ = *mode;
}

void TerminalProxy::copy_window_size() {
  auto size = sys::window_size(in_);
  if (!size) size = sys::window_size(out_);
  if (size) (void)sys::set_window_size(master_, *size);
}

void TerminalProxy::fill(std::span<pollfd, kPolls> fds) const {
  bool room_for_user = to_user_.size() < kBufferLimit;
  bool room_for_master = to_master_.size() < kBufferLimit;
  short master_events =
      static_cast<short>((room_for_user ? POLLIN : 0) | (to_master_.empty() ? 0 : POLLOUT));
  bool read_in = !user_ended_ && room_for_master;
  fds[0] = {read_in ? in_.number() : -1, POLLIN, 0};
  fds[1] = {to_user_.empty() ? -1 : out_.number(), POLLOUT, 0};
  fds[2] = {master_.number(), master_events, 0};
}

void TerminalProxy::handle(std::span<const pollfd, kPolls> fds) {
  if (fds[0].revents != 0) read_user();
  if (fds[2].revents != 0) read_master();
  if (!to_master_.empty()) write_master();
  if (fds[1].revents != 0) write_user();
}

void TerminalProxy::read_user() {
  char buffer[4096];
  auto got = sys::read(in_, buffer, sizeof buffer);
  if (got && *got > 0) {
    to_master_.append(buffer, *got);
    note_signal_keys({buffer, *got});
    return;
  }
  user_ended_ = true;
  // A terminal that is gone says nothing; the end of a file or pipe is what ^D stands for.
  if (got && !saved_mode_) to_master_ += kEndOfTransmission;
}

void TerminalProxy::note_signal_keys(std::string_view typed) {
  auto mode = sys::terminal_mode(master_);
  if (!mode || (mode->local & ISIG) == 0) return;
  for (char c : typed) {
    auto key = static_cast<std::uint8_t>(c);
    if (key == mode->characters[VINTR]) typed_signal_ = SIGINT;
    if (key == mode->characters[VQUIT]) typed_signal_ = SIGQUIT;
  }
}

int TerminalProxy::take_typed_signal(int group) {
  // Not before the terminal has it.
  if (typed_signal_ == 0 || !to_master_.empty()) return 0;
  int signal = std::exchange(typed_signal_, 0);
  sys::settle_pty_input(master_);
  auto foreground = sys::foreground_group(master_);
  return foreground && *foreground == group ? signal : 0;
}

void TerminalProxy::read_master() {
  char buffer[4096];
  auto got = sys::read(master_, buffer, sizeof buffer);
  if (got && *got > 0) {
    to_user_.append(buffer, *got);
  } else if (got || got.error().value != EAGAIN) {
    master_.reset();  // EIO: nobody has the slave open
  }
}

void TerminalProxy::write_user() {
  if (!write_some(out_, to_user_, kUserChunk)) to_user_.clear();
}

void TerminalProxy::write_master() {
  if (!master_.valid() || !write_some(master_, to_master_, kBufferLimit)) to_master_.clear();
}

void TerminalProxy::drain() {
  while (master_.valid() && sys::wait_readable(master_, 0).value_or(false)) {
    read_master();
    while (!to_user_.empty()) write_user();
  }
  while (!to_user_.empty()) write_user();
}

}  // namespace caisson::container
