// What became of runs that never ran: the error of the last attempt for each name, for `why`. Kept
// in the folder "@failed" of the state directory, whose name is no container's; a few dozen at
// most.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::cli {

// Best effort: a failure to note a failure is not told to anybody.
void note_failed_run(const std::string& root, const std::string& name, const Error& error);
void forget_failed_run(const std::string& root, const std::string& name);
// The JSON line as error_json() writes it; ENOENT when no failure is noted.
Result<std::string> failed_run(const std::string& root, const std::string& name);

}  // namespace caisson::cli
