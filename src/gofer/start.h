// Starts a gofer: a child of this process that has nothing but the mounts' descriptors, its end of
// a socket and the capabilities that files of any owner take.
#pragma once

#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "gofer/files.h"

namespace caisson::gofer {

struct Started {
  int pid = 0;
  Fd pidfd;
  Fd socket;  // the client's end; closed, the gofer ends
};

// This process must be single-threaded and have CAP_SYS_ADMIN in its user namespace. The mounts'
// roots are detached mounts, or they show no further mounts below. Returns when the gofer has
// confined itself and answers; an error names the step that failed in it.
Result<Started> start(std::vector<Mount> mounts);

// --- in the child (confine_child.cc)

enum class Step : int { kDescriptors, kRoot, kPrivileges, kLandlock, kFilter };
std::string_view step_name(Step step);

struct ConfineFailure {
  Step step;
  int errno_value;
};
// Gives up everything else, for good.
std::expected<void, ConfineFailure> confine(FdRef socket, const std::vector<Mount>& mounts);

}  // namespace caisson::gofer
