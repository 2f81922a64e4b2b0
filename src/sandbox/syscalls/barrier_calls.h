// membarrier(2).
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value call_membarrier(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
