// Server: the main thread of the kernel process. It waits for the end of the first container, for
// signals to it, and for what the host's side asks (control.h); everything else happens in the
// threads of tasks.
//
// The first container's end is the sandbox's. Others join later, each by a connection that is open
// as long as it runs.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/boot/guest_container.h"
#include "sandbox/boot/image.h"
#include "sandbox/boot/processes.h"
#include "sandbox/control/control.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

using control::ControlMessage;

class Server {
 public:
  // The /proc that shows the stubs: without it nothing can be saved.
  void set_proc(Fd proc) { proc_ = std::move(proc); }
  // `listener`: the control socket. `shared` outlives the server.
  static Result<std::unique_ptr<Server>> create(const SharedParts& shared,
                                                std::unique_ptr<GuestContainer> first, Fd listener);
  ~Server();

  // Takes the first container's first process over and serves until that container has ended; the
  // exit status: the program's, or 128 + signal.
  int run(StartedProcess init);

 private:
  class EventWaiter;
  struct Connection;
  struct Member;
  Server(const SharedParts& shared, std::unique_ptr<GuestContainer> first);
  void take_signals();
  void accept_connection();
  void serve(Connection& connection);
  void handle(Connection& connection, ControlMessage message);
  void execute(Connection& connection, ControlMessage& message);
  void signal(Connection& connection, std::int64_t number);
  void resize(Connection& connection);
  void choose_container(Connection& connection, const std::string& id);
  void stop(Connection& connection);
  void resume(Connection& connection);
  Result<> save(const ImageFiles& files);
  void checkpoint(Connection& connection, ControlMessage& message);
  void set_limits(Connection& connection, std::string_view text);
  void tell_changes(Connection& connection);
  void tell_ends();
  bool container_ended(int& status);

  // --- further containers (members.cc)
  void add_place(Connection& connection, ControlMessage& message);
  void join(Connection& connection, ControlMessage& message);
  Result<> take_in(Connection& connection, ControlMessage& message);
  void watch(Connection& connection, StartedProcess process);
  void end_member(Connection& connection);
  void forget_ended();
  const GuestContainer* guest_of(const kernel::Container& container) const;
  kernel::Container* find_container(const std::string& id) const;

  const SharedParts& shared_;
  kernel::Kernel& kernel_;
  std::unique_ptr<GuestContainer> first_;
  Ref<kernel::Container> container_;  // the first one's
  Fd listener_, signals_, event_, proc_;
  std::unique_ptr<EventWaiter> end_waiter_;
  StartedProcess init_;
  bool stopped_ = false;  // by kStop
  std::list<std::unique_ptr<Connection>> connections_;
  std::list<std::unique_ptr<Member>> members_;
  // Of containers that ended: a file of theirs may be open in another.
  std::vector<std::unique_ptr<GuestContainer>> retired_;
};

}  // namespace caisson::sandbox::boot
