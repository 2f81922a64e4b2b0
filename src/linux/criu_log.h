// What CRIU wrote about a failure. Pure: text in, text out.
#pragma once

#include <string>
#include <string_view>

namespace caisson::linux {

// The last errors of a log (dump.log, restore.log) in one line, without times, places in CRIU's
// source and repetitions; the last 5 at most. Empty when there are none.
std::string last_criu_errors(std::string_view log);

// What to do about them, where we know; empty otherwise.
std::string_view criu_cure(std::string_view errors);

}  // namespace caisson::linux
