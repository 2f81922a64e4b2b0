// Listener: the kernel process's end of the hand-overs of one guest thread (seccomp_unotify(2)).
#pragma once

#include <linux/seccomp.h>

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::platform {

class Listener {
 public:
  // `listener` was made by a filter with SECCOMP_FILTER_FLAG_NEW_LISTENER.
  explicit Listener(Fd listener);

  // Whether who is waited for is woken on the waiting side's processor, which is then given up
  // (Linux 6.6), or on any that is free.
  void wake_here(bool here);
  // The next hand-over. ESRCH when the thread is no more.
  ErrnoOr<seccomp_notif> receive();
  // The value that the instruction gives.
  ErrnoOr<> answer(std::uint64_t id, std::int64_t value);
  // The host's kernel executes the call.
  ErrnoOr<> let_through(std::uint64_t id);
  // Instead of the call an error.
  ErrnoOr<> refuse(std::uint64_t id, int error);
  // Puts a copy of the descriptor `file` to the number `target` of the waiting process.
  ErrnoOr<> add_descriptor(std::uint64_t id, int file, int target);

  Fd release() { return std::move(fd_); }

 private:
  ErrnoOr<> respond(const seccomp_notif_resp& response);

  Fd fd_;
};

}  // namespace caisson::sandbox::platform
