// Record locks on whole files (fcntl(2)), of two kinds that exclude each other.
//
// Those of the process: a child does not inherit them, so that a leaked descriptor can't keep one.
// Closing *any* descriptor of the file gives the lock up, and threads do not exclude each other.
//
// Those of the open file: threads exclude each other, and other descriptors do not matter. A child
// that was forked meanwhile has the lock as well: it is given up by unlock(), not by closing.
#pragma once

#include <fcntl.h>

#include "sys/call.h"

namespace caisson::sys {

enum class LockOwner { kProcess, kOpenFile };

// Takes the exclusive lock; false when somebody else has it. The file is open for writing.
inline ErrnoOr<bool> try_lock(FdRef file, LockOwner owner = LockOwner::kProcess) {
  struct flock request{};
  request.l_type = F_WRLCK;
  int command = owner == LockOwner::kProcess ? F_SETLK : F_OFD_SETLK;
  auto taken = call_void(SYS_fcntl, file.number(), command, &request);
  if (taken) return true;
  if (taken.error().value == EAGAIN || taken.error().value == EACCES) return false;
  return std::unexpected(taken.error());
}

// Gives up the lock of the open file, whoever has a descriptor of it.
inline void unlock(FdRef file) {
  struct flock request{};
  request.l_type = F_UNLCK;
  (void)call_void(SYS_fcntl, file.number(), F_OFD_SETLK, &request);
}

// The process that has the lock, -1 when an open file has it; 0 when nobody else has it.
inline ErrnoOr<int> lock_holder(FdRef file) {
  struct flock request{};
  request.l_type = F_WRLCK;
  TRY(call_void(SYS_fcntl, file.number(), F_GETLK, &request));
  return request.l_type == F_UNLCK ? 0 : static_cast<int>(request.l_pid);
}

}  // namespace caisson::sys
