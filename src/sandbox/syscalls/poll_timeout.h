// Timeouts of the calls that wait for files: validated, made deadlines of, and written back.
#pragma once

#include <time.h>

#include <cstdint>
#include <optional>

#include "sandbox/kernel/block.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

// struct __kernel_timespec and struct __kernel_old_timeval of 64-bit machines.
struct KernelTimespec {
  std::int64_t seconds = 0, nanoseconds = 0;
};
struct KernelTimeval {
  std::int64_t seconds = 0, microseconds = 0;
};

// When to give up. Zero is "look once", none is "for ever".
struct Timeout {
  kernel::Deadline deadline;
  bool immediate = false;
};

Timeout timeout_after_ms(const kernel::Kernel& kernel, std::int64_t ms);  // negative: for ever
// EINVAL: negative, or a second or more of nanoseconds.
ErrnoOr<Timeout> timeout_after(const kernel::Kernel& kernel, KernelTimespec interval);
// From a guest's timespec; a null address is "for ever".
ErrnoOr<Timeout> load_timeout(Task& task, UserPtr<KernelTimespec> address);

// What is left until the deadline, for the calls that tell it.
KernelTimespec time_left(const kernel::Kernel& kernel, const Timeout& timeout);

// Takes over the mask for the time of the call, if there is one (address 0). EINVAL: `size` is not
// that of the kernel's set.
ErrnoOr<> use_temporary_mask(Task& task, std::uint64_t mask_address, std::uint64_t size);

}  // namespace caisson::sandbox::syscalls
