// Where containers' state lives by default, and the care that the place needs.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace caisson::cli {

// root: /run/caisson; a user: $XDG_RUNTIME_DIR/caisson, else /tmp/caisson-UID. The engines' face
// has directories of its own, named as the program was called ("caisson-oci", "runc", "crun"), so
// that no two show each other's containers. As crun, $XDG_RUNTIME_DIR goes first for root, too.
std::string default_state_root(Face face, std::string_view program);

// --root as given: made absolute for engines, who also are refused "/".
Result<std::string> chosen_state_root(Face face, std::string_view given);

}  // namespace caisson::cli
