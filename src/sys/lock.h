// Record locks on whole files (fcntl(2)). They belong to the process: a child does not inherit
// them, so that a leaked descriptor can't keep one. Closing *any* descriptor of the file gives the
// lock up.
#pragma once

#include <fcntl.h>

#include "sys/call.h"

namespace caisson::sys {

// Takes the exclusive lock; false when another process has it. The file is open for writing.
inline ErrnoOr<bool> try_lock(FdRef file) {
  struct flock request{};
  request.l_type = F_WRLCK;
  auto taken = call_void(SYS_fcntl, file.number(), F_SETLK, &request);
  if (taken) return true;
  if (taken.error().value == EAGAIN || taken.error().value == EACCES) return false;
  return std::unexpected(taken.error());
}

// The process that has the lock; 0 when nobody else has it.
inline ErrnoOr<int> lock_holder(FdRef file) {
  struct flock request{};
  request.l_type = F_WRLCK;
  TRY(call_void(SYS_fcntl, file.number(), F_GETLK, &request));
  return request.l_type == F_UNLCK ? 0 : static_cast<int>(request.l_pid);
}

}  // namespace caisson::sys
