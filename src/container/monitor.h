// The loop of a supervisor: writes the container's output to its log, answers on the control
// socket, and notes how init ended. It holds little memory: nothing of the plan or the
// specification.
#pragma once

#include <poll.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"
#include "container/container.h"
#include "container/control.h"
#include "container/log.h"

namespace caisson::container {

// What a supervisor watches; absent descriptors are skipped.
struct Watched {
  Folder folder;
  ProcessId init;
  Fd init_pidfd;
  Fd out, err;  // reading ends of the FIFOs
  Fd terminal;  // pty master
  Fd control;   // listening
  Fd layers;    // held for diff() until the container is removed
  std::optional<LogWriter> log;
  plan::CgroupLocations cgroups;
  bool remove_on_exit = false;
};

class Monitor {
 public:
  // Blocks all signals of the process.
  static Result<Monitor> create(Context& context, Watched watched);
  // Until nothing is left to do for the container.
  void run();

 private:
  struct Client {
    Fd socket;
    bool waits = false;
  };

  Monitor(Context& context, Watched watched, Fd signals)
      : context_(context), watched_(std::move(watched)), signals_(std::move(signals)) {}
  void wait_for_events();
  void handle_events();
  void read_output(Fd& source, std::string_view stream);
  void pass_signals_on();
  bool accept_client();
  void answer_latecomers();
  void serve(Client& client);
  std::string answer(const ControlRequest& request, Client& client);
  void publish_exit();
  bool try_to_finish();
  bool finish_locked(Container& container);

  Context& context_;
  Watched watched_;
  Fd signals_;
  std::vector<Client> clients_;
  std::vector<pollfd> fds_;
  std::optional<Exit> exit_;
  bool cleaned_ = false;   // the end was noted and the cgroups are gone; only the layers are held
  bool trimmed_ = false;   // nothing happened since memory was given back
  bool released_ = false;  // a command that removes the container wants us gone
};

}  // namespace caisson::container
