// Exit statuses of `run` and `exec`, as people know them from other container tools.
#pragma once

#include "base/result.h"

namespace caisson::cli {

inline constexpr int kRuntimeFailed = 125;  // caisson or the host, before the program ran
inline constexpr int kCannotExecute = 126;
inline constexpr int kNotFound = 127;

// 126 and 127 when it was the program that could not be executed, else 125.
int failure_status_of(const Error& error);

}  // namespace caisson::cli
