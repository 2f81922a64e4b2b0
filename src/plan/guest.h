// What a running sandbox can be asked for: its kernel is the only one that knows the processes in
// it. Behind the interface is the control socket (sandbox/boot/remote_kernel.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace caisson::plan {

// Where a container behind this wall is reached.
struct SandboxAddress {
  std::string socket;     // absolute path of the control socket
  std::string container;  // its id in the sandbox, which may hold several
};

// What a container is told of the limits of its cgroup. 0 and empty: none.
struct GuestLimits {
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_quota_us = 0, cpu_period_us = 100'000;
  std::uint64_t cpu_weight = 0;  // as cpu.weight has it
  std::uint32_t processors = 0;  // how many those of its cpuset are
  std::uint64_t processes = 0;
  friend bool operator==(const GuestLimits&, const GuestLimits&) = default;
};

// What became of a path whose changes stay in the sandbox's memory.
struct GuestChange {
  enum class Kind : std::uint8_t { kAdded, kChanged, kDeleted };
  Kind kind{};
  std::string path;  // absolute, in the container
};

// A process with the ids that it has in its container.
struct GuestProcess {
  int pid = 0, parent = 0;
  std::uint32_t uid = 0, gid = 0;
  char state = 'R';  // as proc_pid_stat(5) has it
  int threads = 0;
  std::string name;               // comm
  std::vector<std::string> args;  // none: it gave its memory up
  std::string terminal;           // "pts/0"; empty: none
  std::int64_t started_ns = 0;    // since the epoch
  std::int64_t cpu_ns = 0;        // user and system
};

// Every call is bounded in time: ETIMEDOUT when the kernel does not answer.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  // All guest code stands still, or goes on; twice is once. A failed pause leaves it running.
  virtual Result<> pause() = 0;
  virtual Result<> resume() = 0;
  // By pid.
  virtual Result<std::vector<GuestProcess>> processes() = 0;
  // Whether the container's init neither takes nor heeds this signal.
  virtual Result<bool> init_drops(int signal) = 0;
  // The container is told other limits from now on.
  virtual Result<> set_limits(const GuestLimits& limits) = 0;
  // In no order. EOPNOTSUPP: what it writes goes to the host, or is not kept apart.
  virtual Result<std::vector<GuestChange>> changes() = 0;
};

}  // namespace caisson::plan
