#include "container/monitor.h"

#include <sys/signalfd.h>

#include "container/errors.h"
#include "container/journal.h"
#include "container/process.h"
#include "container/repair.h"
#include "container/supervisor.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "sys/tty.h"

namespace caisson::container {
namespace {

constexpr std::size_t kMaxClients = 64;
constexpr int kRetryMs = 20;          // for a lock that another command holds
constexpr int kIdleMs = 1000;         // after which memory is given back
constexpr int kHoldCheckMs = 60'000;  // whether the container whose layers we hold is still there
// Places in the array of poll(2), before the clients.
enum Slot : std::size_t { kInit, kSignals, kOut, kErr, kTerminal, kControl, kSlots };

constexpr int kNoEvents = 0;
constexpr int kWakeOnRead = POLLIN;

pollfd entry(const Fd& fd, int events = kWakeOnRead) {
  return {fd.number(), static_cast<short>(events), 0};
}

}  // namespace

Result<Monitor> Monitor::create(Context& context, Watched watched) {
  TRY_CTX(sys::signal_mask(SIG_BLOCK, sys::SignalSet::all()), "block signals");
  Fd signals = TRY_CTX(sys::signalfd({SIGTERM}), "make a signalfd");
  return Monitor(context, std::move(watched), std::move(signals));
}

void Monitor::run() {
  for (;;) {
    wait_for_events();
    handle_events();
    if (exit_ && released_) return;
    if (exit_ && !cleaned_ && try_to_finish()) return answer_latecomers();
    if (cleaned_ && !watched_.layers.valid()) return;
    if (cleaned_ && !still_linked(watched_.folder)) return;
  }
}

void Monitor::wait_for_events() {
  fds_.clear();
  fds_.resize(kSlots);
  fds_[kInit] = exit_ ? pollfd{-1, kNoEvents, 0} : entry(watched_.init_pidfd);
  fds_[kSignals] = entry(signals_);
  fds_[kOut] = entry(watched_.out);
  fds_[kErr] = entry(watched_.err);
  fds_[kTerminal] = entry(watched_.terminal);
  fds_[kControl] = entry(watched_.control);
  for (const auto& client : clients_) fds_.push_back(entry(client.socket));
  int timeout_ms = exit_ && !cleaned_ ? kRetryMs : !trimmed_ ? kIdleMs : exit_ ? kHoldCheckMs : -1;
  auto ready = sys::poll(fds_, timeout_ms);
  bool idle = ready && *ready == 0 && (!exit_ || cleaned_);
  if (idle && !trimmed_) trim_memory();
  trimmed_ = idle;
}

void Monitor::handle_events() {
  // First the end: who asks now shall hear of it.
  if (fds_[kInit].revents != 0) publish_exit();
  if (fds_[kSignals].revents != 0) pass_signals_on();
  if (fds_[kOut].revents != 0) read_output(watched_.out, "stdout");
  if (fds_[kErr].revents != 0) read_output(watched_.err, "stderr");
  if (fds_[kTerminal].revents != 0) read_output(watched_.terminal, "stdout");
  std::size_t served = fds_.size() - kSlots;
  for (std::size_t i = 0; i < served; ++i) {
    if (fds_[kSlots + i].revents != 0) serve(clients_[i]);
  }
  std::erase_if(clients_, [](const Client& client) { return !client.socket.valid(); });
  if (fds_[kControl].revents != 0) accept_client();
}

// Takes what is there now. An end of file (a FIFO whose last writer is gone) or error ends the
// source.
void Monitor::read_output(Fd& source, std::string_view stream) {
  char buffer[4096];
  // A bound, so that a container that writes without end can't keep us from the rest.
  for (int round = 0; source.valid() && round < 64; ++round) {
    auto got = sys::read(source, buffer, sizeof buffer);
    if (!got && got.error().value == EAGAIN) return;
    if (!got || *got == 0) {
      source.reset();
    } else if (watched_.log) {
      watched_.log->write(stream, std::string_view(buffer, *got));
    }
  }
}

void Monitor::pass_signals_on() {
  signalfd_siginfo info;
  while (auto got = sys::read(signals_, &info, sizeof info)) {
    if (*got != sizeof info) return;
    (void)sys::pidfd_send_signal(watched_.init_pidfd, static_cast<int>(info.ssi_signo));
  }
}

bool Monitor::accept_client() {
  auto socket = sys::accept(watched_.control, SOCK_NONBLOCK);
  bool welcome = socket && clients_.size() < kMaxClients;
  if (welcome) clients_.push_back({std::move(*socket), false});
  return welcome;
}

// Those who asked while the container was taken away; nobody could tell them afterwards.
void Monitor::answer_latecomers() {
  while (sys::wait_readable(watched_.control, 0).value_or(false) && accept_client()) {
  }
  for (auto& client : clients_) serve(client);
}

void Monitor::serve(Client& client) {
  auto message = sys::receive_message(client.socket, kControlMessageLimit);
  if (!message && message.error().value == EAGAIN) return;
  if (!message || message->data.empty()) {
    client.socket.reset();
    return;
  }
  auto request = parse_request(message->data);
  auto text = request ? answer(*request, client) : error_answer(request.error().message());
  if (!text.empty() && !sys::send_message(client.socket, text)) client.socket.reset();
}

std::string Monitor::answer(const ControlRequest& request, Client& client) {
  switch (request.op) {
    case ControlRequest::Op::kWait:
      if (exit_) return exit_answer(*exit_);
      client.waits = true;
      return {};
    case ControlRequest::Op::kStatus:
      return exit_ ? std::string(R"({"status":"stopped","pid":0})")
                   : cat(R"({"status":"running","pid":)", watched_.init.pid, "}");
    case ControlRequest::Op::kResize: {
      struct winsize size{};
      size.ws_row = static_cast<unsigned short>(request.rows);
      size.ws_col = static_cast<unsigned short>(request.columns);
      if (!watched_.terminal.valid()) return error_answer("the container has no terminal");
      auto resized = sys::set_window_size(watched_.terminal, size);
      if (!resized) return error_answer(errno_text(resized.error().value));
      break;
    }
    case ControlRequest::Op::kRelease:
      if (!exit_) return error_answer("the program still runs");
      released_ = true;
      break;
  }
  return R"({"ok":true})";
}

// Everything that init wrote is in the FIFOs by now: it is logged before the end is told. So is
// what the cgroup knows, because the cgroup goes away after it.
void Monitor::publish_exit() {
  read_output(watched_.out, "stdout");
  read_output(watched_.err, "stderr");
  read_output(watched_.terminal, "stdout");
  Exit exit = collect_exit(watched_.init_pidfd, watched_.init.pid);
  exit.oom = context_.executor.oom_kills(watched_.cgroups) > 0;
  auto saved = save_exit(watched_.folder, exit);
  // A folder that was removed under our hands needs no note; a full disk leaves the answers below.
  (void)saved;
  exit_ = exit;
  for (auto& client : clients_) {
    if (client.waits) (void)sys::send_message(client.socket, exit_answer(exit));
    client.waits = false;
  }
}

// What follows the end, under the lock. False: later, another command is at work.
bool Monitor::try_to_finish() {
  Container container;
  auto folder = copy(watched_.folder);
  if (!folder) return false;
  container.folder = std::move(*folder);
  auto lock = try_lock_folder(context_, container.folder);
  if (!lock) return true;  // removed meanwhile
  if (!lock->held()) return false;
  container.lock = std::move(*lock);
  return finish_locked(container);
}

bool Monitor::finish_locked(Container& container) {
  if (!refresh(context_, container)) return true;
  if (watched_.remove_on_exit) {
    // What can't be taken back now stays in the journal for the next command.
    (void)discard(context_, container);
    return true;
  }
  (void)undo_journal(context_.executor, container.lock.file());
  cleaned_ = true;
  return false;
}

}  // namespace caisson::container
