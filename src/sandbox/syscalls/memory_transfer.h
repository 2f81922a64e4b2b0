// Calls on the memory of another process (memory_calls.cc lists them).
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value call_process_vm_readv(Task& task, const Arguments& arguments);
Value call_process_vm_writev(Task& task, const Arguments& arguments);
Value call_process_madvise(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
