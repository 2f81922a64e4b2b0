// seccomp(2) of guests: what a filter makes of a call, before it is answered.
#pragma once

#include <optional>

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

// What the call answers if a filter keeps it from being made; none: it is made. A tracer may have
// changed its number.
std::optional<std::int64_t> answer_of_filter(Task& task);

Value call_seccomp(Task& task, const Arguments& arguments);
// prctl(2): PR_SET_SECCOMP.
Value set_seccomp_mode(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
