// Where containers' state lives by default, and the care that the place needs.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace caisson::cli {

// root: /run/caisson; a user: $XDG_RUNTIME_DIR/caisson, else /tmp/caisson-UID. The engines' face
// has directories of its own ("caisson-oci"), so that neither shows the other's containers.
std::string default_state_root(Face face);

// Makes the directory (0700 where others could reach it) and refuses one that somebody else owns or
// may write.
Result<> prepare_state_root(const Context& context);

}  // namespace caisson::cli
