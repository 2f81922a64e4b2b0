// sigaltstack(2).
#include "sandbox/kernel/signal_frame.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint32_t kAutoDisarm = 1U << 31;  // SS_AUTODISARM
constexpr std::uint32_t kOnStack = 1, kDisabled = 2;
constexpr std::uint64_t kMinimumSize = 2048;  // MINSIGSTKSZ of the kernel's headers

}  // namespace

bool is_on_stack(const AlternateStack& stack, std::uint64_t stack_pointer) {
  // One that disarms itself is never in use as far as the kernel can see.
  if ((stack.flags & kAutoDisarm) != 0) return false;
  return stack_pointer > stack.address && stack_pointer - stack.address <= stack.size;
}

ErrnoOr<> set_alternate_stack(Task& task, const AlternateStack& stack,
                              std::uint64_t stack_pointer) {
  if (is_on_stack(task.alternate_stack, stack_pointer)) return std::unexpected(Errno{EPERM});
  std::uint32_t mode = stack.flags & ~kAutoDisarm;
  if (mode != 0 && mode != kOnStack && mode != kDisabled) return std::unexpected(Errno{EINVAL});
  AlternateStack next = stack;
  if (mode == kDisabled)
    next.address = next.size = 0;
  else if (stack.size < kMinimumSize)
    return std::unexpected(Errno{ENOMEM});
  task.alternate_stack = next;
  return {};
}

}  // namespace caisson::sandbox::kernel
