// Copies between the raw end of a pty of the host and a pty of the guest's own, so that line
// discipline, job control and window size are our kernel's. One thread, which sleeps while nothing
// moves.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::boot {

// A guest terminal whose master we hold.
struct GuestTerminal {
  Ref<vfs::File> master, slave;
};
// From the container's /dev/ptmx, with the window size of `host`.
Result<GuestTerminal> open_guest_terminal(vfs::MountNamespace& mounts, FdRef host);

class TerminalBridge {
 public:
  // `host`: raw slave of a pty of the host.
  static Result<std::unique_ptr<TerminalBridge>> start(Fd host, Ref<vfs::File> master);
  // What the guest has written by now has been copied when this returns.
  ~TerminalBridge();

  // The host's terminal has another size.
  void take_size();

 private:
  class MasterWaiter;
  TerminalBridge() = default;
  static void* thread_main(void* bridge);
  void run();
  void to_guest();
  void to_host();
  bool flush_to_guest();
  bool flush_to_host();

  Fd host_, event_;
  Ref<vfs::File> master_;
  std::unique_ptr<MasterWaiter> waiter_;
  std::string for_guest_, for_host_;  // read and not yet written
  std::atomic<bool> ending_{false}, size_changed_{false};
  bool host_ended_ = false, guest_ended_ = false;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace caisson::sandbox::boot
