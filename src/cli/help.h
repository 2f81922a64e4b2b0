// Help texts, the commands' document and the completion script: all of it read off the command
// table.
#pragma once

#include <string>

#include "cli/command.h"

namespace caisson::cli {

std::string help_overview(Face face, std::string_view program);
std::string help_command(Face face, std::string_view program, const Command& command);
// docs/commands.md
std::string help_markdown();
// packaging/completion/caisson.bash
std::string bash_completion();

// `root`: the state directory, which crun names.
std::string version_text(std::string_view program, std::string_view root);

}  // namespace caisson::cli
