// Waiting for several files at once: what poll(2) and select(2) have in common.
#pragma once

#include <cstdint>
#include <span>

#include "sandbox/syscalls/poll_timeout.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::syscalls {

struct Polled {
  Ref<vfs::File> file;  // null: not looked at
  vfs::ReadyMask wanted = 0;
  vfs::ReadyMask found = 0;
};

// Fills `found` and returns how many entries have some; 0: the time is over. EINTR: interrupted
// before anything was found (the caller makes of it what its call does then).
ErrnoOr<std::size_t> wait_for_any(Task& task, std::span<Polled> files, const Timeout& timeout);

// A file that is open for more than its path (O_PATH); EBADF.
ErrnoOr<Ref<vfs::File>> usable_file(Task& task, int fd);

}  // namespace caisson::sandbox::syscalls
