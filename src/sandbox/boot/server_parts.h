// What the files of the server share; for these only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/boot/server.h"
#include "sys/file.h"

namespace caisson::sandbox::boot {

// Makes the server's poll return.
class Server::EventWaiter final : public vfs::WaitEntry {
 public:
  explicit EventWaiter(FdRef event) : event_(event) {}
  ~EventWaiter() override { leave(); }
  void notified(vfs::ReadyMask) override {
    std::uint64_t one = 1;
    (void)sys::write(event_, &one, sizeof one);
  }

 private:
  FdRef event_;
};

// A container that joined.
struct Server::Member {
  explicit Member(std::unique_ptr<GuestContainer> its_guest) : guest(std::move(its_guest)) {}
  ~Member() {
    if (guest) (void)leave();
  }
  std::unique_ptr<GuestContainer> leave() {
    if (waiter) guest->container->end.remove(*waiter);
    waiter.reset();
    return std::move(guest);
  }
  kernel::Container& container() const { return *guest->container; }
  std::unique_ptr<GuestContainer> guest;
  std::unique_ptr<EventWaiter> waiter;
  bool ending = false;
};

struct Server::Connection {
  Connection(Fd connected, Ref<kernel::Container> meant)
      : socket(std::move(connected)), container(std::move(meant)) {}
  ~Connection() {
    if (waiter && process.group) process.group->exited.remove(*waiter);
  }
  Fd socket;
  Ref<kernel::Container> container;  // that its requests mean
  std::vector<Fd> places;            // for its kJoin
  StartedProcess process;            // of its kExec or kJoin
  std::unique_ptr<EventWaiter> waiter;
  bool holds_still = false;  // a checkpoint was made for it
  bool joined = false;       // the container lives as long as the connection
  bool closed = false;
};

void refuse(FdRef socket, std::int64_t code, std::string_view text);
void done(FdRef socket, std::int64_t value = 0);
// As many messages as it takes.
void send_text(FdRef socket, const std::string& text);

}  // namespace caisson::sandbox::boot
