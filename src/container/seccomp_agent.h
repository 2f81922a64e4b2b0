// The agent that answers for a container's seccomp filter (SCMP_ACT_NOTIFY): a process that listens
// on a unix socket and gets one ContainerProcessState of the OCI runtime specification with the
// filter's descriptor.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"
#include "plan/plan.h"

namespace caisson::container {

class SeccompAgent {
 public:
  SeccompAgent() = default;
  // Connects to the agent at `path`.
  static Result<SeccompAgent> connect(std::string path, std::string metadata);
  // Fails early when nobody can be listening at `path`, without a word to the agent.
  static Result<> check(const std::string& path);

  explicit operator bool() const { return socket_.valid(); }
  // One message, after which the connection is closed. `pid` is that of the process with the
  // filter.
  Result<> send(FdRef listener, int pid, const State& state, Status status);

 private:
  std::string path_, metadata_;
  Fd socket_;
};

}  // namespace caisson::container
