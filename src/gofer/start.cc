#include "gofer/start.h"

#include <cstring>

#include "gofer/server.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::gofer {
namespace {

constexpr int kStartTimeoutMs = 10'000;

// First message of the child.
struct Ready {
  std::int32_t step;         // -1: it answers from now on
  std::int32_t errno_value;  // of the step
};

ErrnoOr<> send(FdRef socket, const Ready& ready) {
  return sys::send_message(socket, {reinterpret_cast<const char*>(&ready), sizeof ready});
}

[[noreturn]] void run_child(FdRef socket, const std::vector<Mount>& mounts, const Files& files) {
  auto confined = confine(socket, mounts);
  if (!confined) {
    (void)send(socket, {static_cast<int>(confined.error().step), confined.error().errno_value});
    sys::exit_process(1);
  }
  bool well = send(socket, {-1, 0}) && serve(socket, files);
  sys::exit_process(well ? 0 : 1);
}

Result<> wait_ready(FdRef socket) {
  auto readable = TRY(sys::wait_readable(socket, kStartTimeoutMs));
  if (!readable) return std::unexpected(Error::with_cause(ETIMEDOUT, "it does not answer"));
  auto message = TRY(sys::receive_message(socket));
  Ready ready{};
  if (message.data.size() != sizeof ready)
    return std::unexpected(Error::with_cause(EPIPE, "it ended before it was ready"));
  std::memcpy(&ready, message.data.data(), sizeof ready);
  if (ready.step < 0) return {};
  return std::unexpected(
      Error(Errno{ready.errno_value}).step(step_name(static_cast<Step>(ready.step))));
}

}  // namespace

Result<Started> start(std::vector<Mount> mounts) {
  auto sockets = TRY_CTX(sys::socket_pair(), "make the gofer's socket");
  Files files(std::move(mounts));
  std::uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  auto forked = TRY_CTX(sys::fork_with_pidfd(flags), "start the gofer");
  if (forked.pid == 0) run_child(sockets.second, files.mounts(), files);
  sockets.second.reset();
  auto ready = wait_ready(sockets.first);
  if (ready) return Started{forked.pid, std::move(forked.pidfd), std::move(sockets.first)};
  (void)sys::pidfd_send_signal(forked.pidfd, SIGKILL);  // it may have ended already
  (void)sys::wait_pidfd(forked.pidfd);
  return std::unexpected(std::move(ready).error().doing("start the gofer"));
}

}  // namespace caisson::gofer
