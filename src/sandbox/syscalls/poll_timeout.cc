#include "sandbox/syscalls/poll_timeout.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

Timeout timeout_after_ns(const kernel::Kernel& kernel, std::int64_t ns) {
  if (ns == 0) return {.deadline = 0, .immediate = true};
  std::int64_t now = kernel.monotonic_ns();
  if (ns >= kNever - now) return {};  // centuries
  return {.deadline = now + ns};
}

}  // namespace

Timeout timeout_after_ms(const kernel::Kernel& kernel, std::int64_t ms) {
  if (ms < 0) return {};
  return timeout_after_ns(kernel, ms * 1'000'000);
}

ErrnoOr<Timeout> timeout_after(const kernel::Kernel& kernel, KernelTimespec interval) {
  if (interval.seconds < 0 || interval.nanoseconds < 0 || interval.nanoseconds >= kSecond)
    return std::unexpected(Errno{EINVAL});
  if (interval.seconds >= kNever / kSecond) return Timeout{};
  return timeout_after_ns(kernel, interval.seconds * kSecond + interval.nanoseconds);
}

ErrnoOr<Timeout> load_timeout(Task& task, UserPtr<KernelTimespec> address) {
  if (!address) return Timeout{};
  return timeout_after(task.kernel(), TRY(address.load(task.memory())));
}

KernelTimespec time_left(const kernel::Kernel& kernel, const Timeout& timeout) {
  if (timeout.immediate || !timeout.deadline) return {};
  std::int64_t left = std::max<std::int64_t>(0, *timeout.deadline - kernel.monotonic_ns());
  return {left / kSecond, left % kSecond};
}

ErrnoOr<> use_temporary_mask(Task& task, std::uint64_t mask_address, std::uint64_t size) {
  if (mask_address == 0) return {};
  if (size != sizeof(kernel::SignalSet)) return std::unexpected(Errno{EINVAL});
  auto mask = TRY(UserPtr<kernel::SignalSet>(mask_address).load(task.memory()));
  task.set_temporary_mask(mask);
  return {};
}

}  // namespace caisson::sandbox::syscalls
