// What the kernel process gives up before it reads anything of the guest: capabilities, paths
// (Landlock), system calls. What remains is in kernel_filter.cc, one line per call.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/boot/filter_rules.h"

namespace caisson::sandbox::boot {

struct Reachable {
  FdRef place;
  bool writable = false;
};

struct Confinement {
  bool ptrace = false;  // the platform needs ptrace(2)
  bool host_network = false;
};

// The allow-list (kernel_filter.cc).
FilterRules kernel_filter(const Confinement& confinement);

// No capabilities, now and after an exec, but for those of `kept` that there are.
Result<> drop_capabilities(std::uint64_t kept = 0);
// Paths: only what lies below the places, where the kernel of this host knows Landlock. Sets
// no_new_privs.
Result<> restrict_paths(const std::vector<Reachable>& places);

// System calls, for this thread and those that it makes.
Result<> give_up_calls(const Confinement& confinement);

}  // namespace caisson::sandbox::boot
