#include "sandbox/boot/member_main.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "plan/wire.h"
#include "sandbox/boot/confine.h"
#include "sandbox/boot/inherited.h"
#include "sandbox/control/client.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::sandbox::boot {
namespace {

using control::Answer;
using control::Client;
using control::ControlMessage;
using control::receive_control;
using control::Request;
using control::send_control;

// Making its mounts may take the kernel a while.
constexpr int kJoinTimeoutMs = 60'000;
constexpr int kKilled = 128 + SIGKILL;

// Nothing is left to this process but its descriptors.
Result<> give_up() {
  TRY(restrict_paths({}));
  TRY(drop_capabilities());
  return give_up_calls({});
}

// One place a message: more than a message takes are no rarity.
Result<> send_places(FdRef socket, const std::vector<Fd>& places) {
  for (const auto& place : places) {
    std::vector<int> descriptors;
    if (place) descriptors.push_back(place.number());
    TRY_CTX(send_control(socket, Request::kPlace, 0, {}, descriptors), "hand a mount over");
  }
  return {};
}

Result<ControlMessage> join(Client& kernel, const Inherited& inherited, const Fd& gofer) {
  TRY(send_places(kernel.socket(), inherited.places));
  std::vector<int> descriptors = {0, 1, 2};
  if (gofer) descriptors.push_back(gofer.number());
  TRY_CTX(
      send_control(kernel.socket(), Request::kJoin, 0, plan::encode(inherited.plan), descriptors),
      "ask the sandbox's kernel to take the container in");
  return kernel.receive(kJoinTimeoutMs);
}

// What we would hold open, somebody waits for the end of.
void close_standard_files() {
  for (int number : {0, 1, 2}) sys::raw(SYS_close, number);
}

void pass_signals(FdRef signals, FdRef connection) {
  signalfd_siginfo info{};
  for (;;) {
    long got = sys::raw(SYS_read, signals.number(), &info, sizeof info);
    if (got != static_cast<long>(sizeof info)) return;
    if (info.ssi_signo == SIGCHLD) continue;  // the gofer
    (void)send_control(connection, Request::kSignal, info.ssi_signo, {});
  }
}

// The status of the container's first process; a connection that ends without one: its sandbox
// ended.
int wait_for_end(FdRef connection, FdRef signals) {
  for (;;) {
    std::array<pollfd, 2> ready = {pollfd{connection.number(), POLLIN, 0},
                                   pollfd{signals.number(), POLLIN, 0}};
    (void)sys::poll(ready, -1);
    if (ready[1].revents != 0) pass_signals(signals, connection);
    if (ready[0].revents == 0) continue;
    auto message = receive_control(connection);
    if (!message) return kKilled;
    if (message->kind != static_cast<std::uint8_t>(Answer::kExited)) continue;
    int status = static_cast<int>(message->value);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

Result<int> run(const std::vector<std::string_view>& arguments) {
  Inherited inherited = TRY(take_inherited(arguments));
  take_terminal(inherited.plan.process);
  Fd gofer = TRY(start_gofer(inherited.plan, inherited.places));
  Fd signals = TRY_CTX(sys::signalfd(sys::SignalSet::all()), "make a descriptor for signals");
  TRY(give_up());
  Client kernel = Client::of(std::move(inherited.control));
  auto answer = TRY(join(kernel, inherited, gofer));
  if (answer.kind == static_cast<std::uint8_t>(Answer::kStarted)) {
    close_standard_files();
    inherited.places.clear();
    gofer.reset();
    return wait_for_end(kernel.socket(), signals);
  }
  // The kernel's own words, whole, and the status that goes with them.
  (void)sys::write_all(FdRef(2), answer.text);
  return static_cast<int>(answer.value);
}

}  // namespace

int member_main(const std::vector<std::string_view>& arguments) {
  (void)sys::signal_mask(SIG_SETMASK, sys::SignalSet::all());
  auto status = run(arguments);
  if (status) sys::exit_process(*status);
  (void)sys::write_all(FdRef(2), report_of(status.error()));
  sys::exit_process(status_of(status.error()));
}

}  // namespace caisson::sandbox::boot
