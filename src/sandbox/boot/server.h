// Server: the main thread of the kernel process. It waits for the end of the container, for signals
// to it, and for what the host's side asks (control.h); everything else happens in the threads of
// tasks.
#pragma once

#include <list>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/boot/image.h"
#include "sandbox/boot/processes.h"
#include "sandbox/control/control.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

using control::ControlMessage;

class Server {
 public:
  // `listener`: the control socket.
  static Result<std::unique_ptr<Server>> create(kernel::Kernel& kernel,
                                                Ref<kernel::Container> container, Fd listener);
  // The /proc that shows the stubs: without it nothing can be saved.
  void set_proc(Fd proc) { proc_ = std::move(proc); }
  ~Server();

  // Takes the container's first process over and serves until the container has ended; the exit
  // status: the program's, or 128 + signal.
  int run(StartedProcess init);

 private:
  class EventWaiter;
  struct Connection;
  Server(kernel::Kernel& kernel, Ref<kernel::Container> container);
  void take_signals();
  void accept_connection();
  void serve(Connection& connection);
  void handle(Connection& connection, ControlMessage message);
  void execute(Connection& connection, ControlMessage& message);
  void signal(Connection& connection, std::int64_t number);
  void resize(Connection& connection);
  void show(Connection& connection, std::string_view what);
  Result<> save(const ImageFiles& files);
  void checkpoint(Connection& connection, ControlMessage& message);
  void resume(Connection& connection);
  void tell_ends();
  bool container_ended(int& status);

  kernel::Kernel& kernel_;
  Ref<kernel::Container> container_;
  Fd listener_, signals_, event_, proc_;
  std::unique_ptr<EventWaiter> end_waiter_;
  StartedProcess init_;
  std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace caisson::sandbox::boot
