// One event as a line of JSON, member for member as `runc events` prints it: a member that runc
// leaves out when it is zero or empty is left out.
#pragma once

#include <string>
#include <string_view>

#include "formats/json.h"
#include "plan/usage.h"

namespace caisson::library {

std::string stats_event(std::string_view id, const plan::Usage& usage);
std::string oom_event(std::string_view id);

// {"some":{"avg10":0.12,...},"full":{...}}
void write_pressure(formats::JsonWriter& json, const plan::Pressure& pressure);

}  // namespace caisson::library
