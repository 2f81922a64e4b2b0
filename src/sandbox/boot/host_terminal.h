// The host's side of a sandboxed program's terminal: a pty of the host whose master goes to whoever
// asked for it (an engine's console socket) and whose slave the sandbox's kernel copies to and from
// a pty of its own. The slave is raw: everything that makes a terminal one happens inside.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "plan/plan.h"

namespace caisson::sandbox::boot {

class HostTerminal {
 public:
  HostTerminal() = default;
  // With the window size of the process; `receiver`: connected socket that the master will go to.
  static Result<HostTerminal> open(const plan::ProcessPlan& process, FdRef receiver);

  explicit operator bool() const { return master_.valid(); }
  FdRef slave() const { return slave_; }
  // Sends the master, then forgets both ends.
  Result<> hand_over();

 private:
  Fd master_, slave_;
  int receiver_ = -1;
};

}  // namespace caisson::sandbox::boot
