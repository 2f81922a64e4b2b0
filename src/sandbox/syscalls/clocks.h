// The clocks that guests name.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/kernel/block.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::syscalls {

// Nanoseconds of a clock: CLOCK_* or that of a process or thread. EINVAL.
ErrnoOr<std::int64_t> clock_now(kernel::Task& task, int clock);

// The moment that lies `wait` nanoseconds behind `now`, as far as such a moment exists.
kernel::Deadline deadline_in(std::int64_t now, std::int64_t wait);

}  // namespace caisson::sandbox::syscalls
