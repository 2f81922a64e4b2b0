// References that are dropped behind the task lock: the ends of what they lead to take time and
// other locks.
#pragma once

#include <vector>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

struct Kernel::Garbage {
  std::vector<Ref<Task>> tasks;
  std::vector<Ref<ThreadGroup>> groups;
};

}  // namespace caisson::sandbox::kernel
