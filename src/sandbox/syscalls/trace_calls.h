// ptrace(2).
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value call_ptrace(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
