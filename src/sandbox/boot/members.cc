// Containers that join the sandbox of the first one, and leave it.
#include <algorithm>
#include <array>
#include <cerrno>

#include "plan/wire.h"
#include "sandbox/boot/inherited.h"
#include "sandbox/boot/server_parts.h"

namespace caisson::sandbox::boot {

using control::Answer;
using control::send_control;

namespace {

constexpr std::size_t kMostPlaces = 4096;
constexpr std::size_t kMostMembers = 1024;
constexpr int kCouldNotStart = 125;

}  // namespace

void Server::add_place(Connection& connection, ControlMessage& message) {
  if (connection.places.size() >= kMostPlaces || message.descriptors.size() > 1) {
    connection.closed = true;
    return;
  }
  connection.places.push_back(message.descriptors.empty() ? Fd()
                                                          : std::move(message.descriptors.front()));
}

Result<> Server::take_in(Connection& connection, ControlMessage& message) {
  plan::Plan plan;
  TRY(plan::decode(message.text, plan));
  bool complete = plan.sandbox && !plan.process.args.empty() && !connection.process.group &&
                  (message.descriptors.size() == 3 || message.descriptors.size() == 4);
  if (!complete) return std::unexpected(Error::invalid("is none").doing("take a container in"));
  if (members_.size() >= kMostMembers || find_container(plan.id) != nullptr) {
    return std::unexpected(Error(Errno{EEXIST})
                               .doing("take container ", quoted(plan.id), " into the sandbox")
                               .cure("choose another name, or wait until that one is gone"));
  }
  ContainerParts parts{plan, std::move(connection.places), {}};
  if (message.descriptors.size() == 4) parts.gofer = std::move(message.descriptors[3]);
  members_.push_back(std::make_unique<Member>(
      TRY(make_guest_container(shared_, std::move(parts), container_.get()))));
  Member& member = *members_.back();
  member.waiter = std::make_unique<EventWaiter>(event_);
  member.container().end.add(*member.waiter);
  connection.container = member.guest->container;
  connection.joined = true;
  std::array<Fd, 3> stdio;
  std::move(message.descriptors.begin(), message.descriptors.begin() + 3, stdio.begin());
  watch(connection, TRY(start_process(kernel_, connection.container, plan.process, std::move(stdio),
                                      StartAs::kInit)));
  return {};
}

void Server::join(Connection& connection, ControlMessage& message) {
  auto taken = take_in(connection, message);
  if (!taken) {
    if (connection.joined) end_member(connection);
    refuse(connection.socket, status_of(taken.error()), report_of(taken.error()));
    connection.closed = true;
    return;
  }
  (void)send_control(connection.socket, Answer::kStarted, connection.process.group->id());
}

void Server::watch(Connection& connection, StartedProcess process) {
  connection.process = std::move(process);
  connection.waiter = std::make_unique<EventWaiter>(event_);
  connection.process.group->exited.add(*connection.waiter);
}

// Its first process ended, or its connection did: all of it ends.
void Server::end_member(Connection& connection) {
  for (auto& member : members_) {
    if (member->guest->container != connection.container) continue;
    member->ending = true;
    kernel_.kill_container(member->container());
  }
}

// What nobody runs in any more is let go of, but for the gofer's end: see retired_.
void Server::forget_ended() {
  auto is_gone = [&](const Member& member) {
    Locked lock(kernel_.task_lock());
    return member.ending && member.container().processes == 0;
  };
  for (auto at = members_.begin(); at != members_.end();) {
    if (!is_gone(**at)) {
      ++at;
      continue;
    }
    kernel_.remove_container((*at)->container());
    auto guest = (*at)->leave();
    at = members_.erase(at);
    guest->container->mounts = nullptr;
    guest->container = nullptr;
    guest->overlays.clear();
    if (guest->gofer) guest->gofer->close();
    retired_.push_back(std::move(guest));
  }
}

const GuestContainer* Server::guest_of(const kernel::Container& container) const {
  if (&container == container_.get()) return first_.get();
  for (const auto& member : members_)
    if (&member->container() == &container && !member->ending) return member->guest.get();
  return nullptr;
}

kernel::Container* Server::find_container(const std::string& id) const {
  if (container_->id == id) return container_.get();
  for (const auto& member : members_)
    if (member->container().id == id && !member->ending) return &member->container();
  return nullptr;
}

}  // namespace caisson::sandbox::boot
