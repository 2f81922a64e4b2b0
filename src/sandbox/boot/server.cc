#include "sandbox/boot/server.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>
#include <vector>

#include "plan/wire.h"
#include "sandbox/boot/guest_processes.h"
#include "sandbox/boot/server_parts.h"
#include "sandbox/boot/show.h"
#include "sys/event.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "sys/tty.h"

namespace caisson::sandbox::boot {

using control::Answer;
using control::receive_control;
using control::Request;
using control::send_control;

namespace {

constexpr std::size_t kMostConnections = 256;
constexpr std::chrono::milliseconds kStopTimeout{5000};

bool has_ended(const kernel::ThreadGroup& group, int& status) {
  Locked lock(group.kernel.task_lock());
  if (!group.zombie) return false;
  Locked signal_lock(group.signal_mutex);
  status = group.exit_status;
  return true;
}

kernel::SignalInfo from_outside(int signal) {
  kernel::SignalInfo info;
  info.signal = signal;
  info.code = SI_USER;
  return info;
}

}  // namespace

void refuse(FdRef socket, std::int64_t code, std::string_view text) {
  (void)send_control(socket, Answer::kFailed, code, text);
}

void done(FdRef socket, std::int64_t value) { (void)send_control(socket, Answer::kDone, value); }

void send_text(FdRef socket, const std::string& text) {
  constexpr std::size_t kPart = 32 * 1024;
  for (std::string_view rest = text; !rest.empty();) {
    auto part = rest.substr(0, kPart);
    if (!send_control(socket, Answer::kText, 0, part)) return;
    rest.remove_prefix(part.size());
  }
  done(socket);
}

Server::Server(const SharedParts& shared, std::unique_ptr<GuestContainer> first)
    : shared_(shared),
      kernel_(shared.kernel),
      first_(std::move(first)),
      container_(first_->container) {}

Server::~Server() {
  if (end_waiter_) container_->end.remove(*end_waiter_);
}

Result<std::unique_ptr<Server>> Server::create(const SharedParts& shared,
                                               std::unique_ptr<GuestContainer> first, Fd listener) {
  std::unique_ptr<Server> server(new Server(shared, std::move(first)));
  server->listener_ = std::move(listener);
  // All are blocked in every thread (kernel_main.cc).
  server->signals_ = TRY_CTX(sys::signalfd(sys::SignalSet::all()), "make a descriptor for signals");
  server->event_ = TRY_CTX(sys::eventfd(), "make an event");
  TRY_CTX(sys::set_nonblocking(server->event_, true), "set an event up");
  server->end_waiter_ = std::make_unique<EventWaiter>(server->event_);
  server->container_->end.add(*server->end_waiter_);
  return server;
}

bool Server::container_ended(int& status) {
  Locked lock(kernel_.task_lock());
  status = container_->exit_status;
  return container_->ended;
}

void Server::take_signals() {
  signalfd_siginfo info{};
  for (;;) {
    long got = sys::raw(SYS_read, signals_.number(), &info, sizeof info);
    if (got != static_cast<long>(sizeof info)) return;
    int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) continue;  // stubs are the platform's
    if (number == SIGWINCH && init_.terminal) {
      init_.terminal->take_size();
      continue;
    }
    if (init_.group) (void)kernel_.signal_group(*init_.group, from_outside(number));
  }
}

void Server::accept_connection() {
  auto accepted = sys::accept(listener_);
  if (!accepted || connections_.size() >= kMostConnections) return;
  connections_.push_back(std::make_unique<Connection>(std::move(*accepted), container_));
}

void Server::execute(Connection& connection, ControlMessage& message) {
  FdRef socket = connection.socket;
  if (message.descriptors.size() != 3 || connection.process.group)
    return refuse(socket, EINVAL, "an exec comes with three descriptors, once");
  plan::ProcessPlan process;
  if (auto read = plan::decode(message.text, process); !read || process.args.empty())
    return refuse(socket, EINVAL, "not a process");
  std::array<Fd, 3> stdio;
  std::ranges::move(message.descriptors, stdio.begin());
  auto started = start_process(kernel_, connection.container, process, std::move(stdio));
  if (!started) return refuse(socket, started.error().errno_value(), started.error().cause());
  watch(connection, std::move(*started));
  (void)send_control(connection.socket, Answer::kStarted, connection.process.group->id());
}

void Server::signal(Connection& connection, std::int64_t number) {
  if (!connection.process.group || number < 1 || number > kernel::kSignalCount) return;
  if (number == SIGWINCH && connection.process.terminal)
    return connection.process.terminal->take_size();
  (void)kernel_.signal_group(*connection.process.group, from_outside(static_cast<int>(number)));
}

void Server::resize(Connection& connection) {
  if (connection.process.terminal) connection.process.terminal->take_size();
}

void Server::choose_container(Connection& connection, const std::string& id) {
  kernel::Container* container = find_container(id);
  if (container == nullptr)
    return refuse(connection.socket, ESRCH, "the container does not run in this sandbox");
  connection.container = Ref<kernel::Container>::share(container);
  done(connection.socket);
}

void Server::set_limits(Connection& connection, std::string_view text) {
  plan::GuestLimits limits;
  if (!plan::decode(text, limits)) return refuse(connection.socket, EINVAL, "not limits");
  tell_limits(*connection.container, limits);
  done(connection.socket);
}

void Server::tell_changes(Connection& connection) {
  auto changes = changes_of(*guest_of(*connection.container));
  if (!changes) {
    return refuse(connection.socket, changes.error().value,
                  changes.error().value == EOPNOTSUPP ? "its changes are not kept apart"
                                                      : "its changes cannot be read");
  }
  send_text(connection.socket, plan::encode(*changes));
}

void Server::stop(Connection& connection) {
  if (!stopped_ && !kernel_.try_stop_all(kStopTimeout))
    return refuse(connection.socket, ETIMEDOUT, "some calls of the host did not come to an end");
  stopped_ = true;
  done(connection.socket);
}

// What this connection's checkpoint stopped; else what kStop did.
void Server::resume(Connection& connection) {
  bool& stopped = connection.holds_still ? connection.holds_still : stopped_;
  if (std::exchange(stopped, false)) kernel_.resume_all();
}

// What a checkpoint cannot have in it is soon over.
Result<> Server::save(const ImageFiles& files) {
  constexpr int kTries = 50;
  constexpr std::int64_t kPauseMs = 4;
  for (int tried = 1;; ++tried) {
    kernel_.stop_all();
    auto saved = save_image(kernel_, *container_, proc_, files);
    if (saved) return saved;
    kernel_.resume_all();
    if (!saved.error().is(EAGAIN) || tried == kTries) return saved;
    (void)sys::poll({}, kPauseMs);
    TRY(empty_again(files));
  }
}

void Server::checkpoint(Connection& connection, ControlMessage& message) {
  FdRef socket = connection.socket;
  if (message.descriptors.size() != 2 || connection.holds_still || !proc_)
    return refuse(socket, EINVAL, "a checkpoint comes with two files, once");
  if (!members_.empty()) return refuse(socket, EOPNOTSUPP, "several containers run in the sandbox");
  auto saved = save({message.descriptors[0], message.descriptors[1]});
  if (!saved) return refuse(socket, saved.error().errno_value(), saved.error().message());
  connection.holds_still = true;
  done(socket);
}

void Server::handle(Connection& connection, ControlMessage message) {
  auto& container = *connection.container;
  FdRef socket = connection.socket;
  if (guest_of(container) == nullptr) return refuse(socket, ESRCH, "the container has ended");
  switch (static_cast<Request>(message.kind)) {
    case Request::kExec: return execute(connection, message);
    case Request::kSignal: return signal(connection, message.value);
    case Request::kResize: return resize(connection);
    case Request::kShow: return send_text(socket, show_text(kernel_, container, message.text));
    case Request::kStop: return stop(connection);
    case Request::kResume: resume(connection); return done(socket);
    case Request::kCheckpoint: return checkpoint(connection, message);
    case Request::kReady: return done(socket);
    case Request::kContainer: return choose_container(connection, message.text);
    case Request::kLimits: return set_limits(connection, message.text);
    case Request::kChanges: return tell_changes(connection);
    case Request::kPlace: return add_place(connection, message);
    case Request::kJoin: return join(connection, message);
    case Request::kProcesses:
      return send_text(socket, plan::encode(guest_processes(kernel_, container)));
    case Request::kInitDrops:
      return done(socket, init_drops(kernel_, container, static_cast<int>(message.value)) ? 1 : 0);
    default: return refuse(socket, EINVAL, "unknown request");
  }
}

void Server::serve(Connection& connection) {
  auto message = receive_control(connection.socket);
  if (message) return handle(connection, std::move(*message));
  connection.closed = true;
  if (connection.holds_still) resume(connection);
  // Whoever wanted it is gone.
  if (connection.joined) return end_member(connection);
  if (connection.process.group)
    (void)kernel_.signal_group(*connection.process.group, from_outside(SIGHUP));
}

void Server::tell_ends() {
  for (auto& connection : connections_) {
    int status = 0;
    if (!connection->process.group || connection->closed) continue;
    if (!has_ended(*connection->process.group, status)) continue;
    connection->process.terminal.reset();  // what it wrote last
    (void)send_control(connection->socket, Answer::kExited, status);
    connection->closed = true;
    if (connection->joined) end_member(*connection);
  }
  connections_.remove_if([](const auto& connection) { return connection->closed; });
  forget_ended();
}

int Server::run(StartedProcess init) {
  init_ = std::move(init);
  int status = 0;
  while (!container_ended(status)) {
    std::vector<pollfd> ready = {{signals_.number(), POLLIN, 0},
                                 {event_.number(), POLLIN, 0},
                                 {listener_.number(), POLLIN, 0}};
    std::vector<Connection*> polled;
    for (auto& connection : connections_) {
      ready.push_back({connection->socket.number(), POLLIN, 0});
      polled.push_back(connection.get());
    }
    (void)sys::poll(ready, -1);
    std::uint64_t count = 0;
    if (ready[1].revents != 0) (void)sys::read(event_, &count, sizeof count);
    if (ready[0].revents != 0) take_signals();
    for (std::size_t i = 0; i < polled.size(); ++i)
      if (ready[i + 3].revents != 0) serve(*polled[i]);
    if (ready[2].revents != 0) accept_connection();
    tell_ends();
  }
  tell_ends();
  init_.terminal.reset();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace caisson::sandbox::boot
