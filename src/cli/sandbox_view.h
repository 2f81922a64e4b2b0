// What the kernel of a running sandbox answers when it is asked about itself.
#pragma once

#include <string>
#include <string_view>

#include "cli/session.h"

namespace caisson::cli {

// `view`: a name of `caisson sandbox`.
Result<std::string> ask_sandbox(Session& session, const std::string& name, std::string_view view);

}  // namespace caisson::cli
