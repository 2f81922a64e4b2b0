// The process that becomes CRIU: cgroups, mount namespace, descriptors.
#pragma once

#include <span>

#include "base/result.h"
#include "linux/child.h"

namespace caisson::linux {

struct CriuChild {
  const char* program = nullptr;
  int socket = -1;
  int report = -1;                // takes the errno of what failed; closed by a successful execve
  int cgroup_fd = -1;             // v2 directory to be made in; -1: the caller's
  std::span<const int> task_fds;  // v1: opened "tasks" files
  bool end_with_parent = false;
  // A mount namespace of its own, in which the root file system at this path is a mount; null: the
  // caller's.
  const char* root = nullptr;
  // A session of its own: the signals of a terminal are for us, and CRIU gets to the end of what it
  // does or takes it back.
  bool new_session = true;
  int stdio[3] = {-1, -1, -1};     // -1: the caller's
  std::span<const int> inherited;  // become kFirstInherited and those after it
};

inline constexpr int kCriuSocket = 3;
inline constexpr int kFirstInherited = 4;

// `child` says what the new process is to look like.
[[noreturn]] void run_criu_child(const CriuChild& child);

// Makes the mount points of the context's plan below its root, in a mount namespace that ends with
// this process. Failures are in the context's report.
[[noreturn]] void run_mount_point_child(ChildContext& context);

// In the network namespace given: brings the loopback device up when asked to, writes the sysctls
// of the network. Ends with status 0, or an errno.
struct NetworkChild {
  int network = -1;
  bool loopback_up = false;
  const std::vector<plan::SysctlStep>* sysctls = nullptr;
};
[[noreturn]] void run_network_child(const NetworkChild& child);

}  // namespace caisson::linux
