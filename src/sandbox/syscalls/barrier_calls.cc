#include "sandbox/syscalls/barrier_calls.h"

#include <linux/membarrier.h>

#include "sandbox/mm/memory_barrier.h"
#include "sandbox/syscalls/answer.h"

namespace caisson::sandbox::syscalls {
namespace {

struct Barrier {
  int command;
  int registration;  // 0: everybody has it
};
constexpr Barrier kBarriers[] = {
    {MEMBARRIER_CMD_GLOBAL, 0},
    {MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0},
    {MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED},
};
constexpr int kRegistrations =
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;

}  // namespace

Value call_membarrier(Task& task, const Arguments& arguments) {
  int command = arguments.i32(0);
  if (arguments.u32(1) != 0) return fail(EINVAL);
  if (command == MEMBARRIER_CMD_QUERY) {
    int known = kRegistrations;
    for (const Barrier& barrier : kBarriers) known |= barrier.command;
    return known;
  }
  std::atomic<std::uint32_t>& registered = task.memory().barriers;
  if (command == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED ||
      command == MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) {
    registered.fetch_or(static_cast<std::uint32_t>(command));
    return 0;
  }
  for (const Barrier& barrier : kBarriers) {
    if (barrier.command != command) continue;
    auto needed = static_cast<std::uint32_t>(barrier.registration);
    if ((registered.load() & needed) != needed) return fail(EPERM);
    TRY(mm::pass_memory_barrier());
    return 0;
  }
  return fail(EINVAL);
}

}  // namespace caisson::sandbox::syscalls
