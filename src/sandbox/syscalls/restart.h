// Calls that keep state when they are interrupted, so that they go on instead of beginning anew
// (restart_syscall(2)): what each does with what it left in Task::restart.
#pragma once

#include "sandbox/kernel/block.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value go_on_sleeping(Task& task, const kernel::Restart& restart);
Value go_on_polling(Task& task, const kernel::Restart& restart);
Value go_on_waiting_for_futex(Task& task, const kernel::Restart& restart);

}  // namespace caisson::sandbox::syscalls
