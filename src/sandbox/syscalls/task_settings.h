// prctl(2), arch_prctl(2).
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value prctl(Task& task, const Arguments& arguments);
Value arch_prctl(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
