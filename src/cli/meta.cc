// version, help, completion: of both faces.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/verbs.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kHelpOptions[] = {{"markdown", 0, "", ""}};

Result<int> run_version(Context& context, const Arguments& arguments) {
  if (!arguments.flag("json")) {
    TRY(print(version_text(context.program, context.root)));
    return 0;
  }
  std::string out;
  formats::JsonWriter(out).begin_object().field("version", CAISSON_VERSION).end_object();
  TRY(print(out + "\n"));
  return 0;
}

Result<int> run_help(Context& context, const Arguments& arguments) {
  if (arguments.flag("markdown")) {
    TRY(print(help_markdown()));
    return 0;
  }
  if (arguments.operands().empty()) {
    TRY(print(help_overview(context.face, context.program)));
    return 0;
  }
  auto name = arguments.operands()[0];
  const Command* command = find_command(context.face, name);
  if (command == nullptr && context.face == Face::kEngine) {
    context.misused = true;
    context.failure_status = unknown_command_status(context.dialect);
    return std::unexpected(unknown_engine_command(context.dialect, name));
  }
  if (command == nullptr) {
    return std::unexpected(usage_error(context.program, cat("no command ", quoted(name))));
  }
  TRY(print(help_command(context.face, context.program, *command)));
  return 0;
}

Result<int> run_completion(Context& context, const Arguments& arguments) {
  if (arguments.operands()[0] != "bash") {
    return std::unexpected(usage_error(context.command_name(),
                                       cat("no completion for ", quoted(arguments.operands()[0]))));
  }
  TRY(print(bash_completion()));
  return 0;
}

}  // namespace

const Command kVersionCommand{
    .name = "version",
    .group = "About",
    .operands = {},
    .summary = "Print the version",
    .details = {},
    .examples = "caisson version --json",
    .options = {},
    .shared_options = kJsonOption,
    .max_operands = 0,
    .run = run_version,
};

const Command kHelpCommand{
    .name = "help",
    .group = "About",
    .operands = "[COMMAND]",
    .summary = "Explain the commands",
    .details = {},
    .examples = "caisson help run",
    .options = kHelpOptions,
    .shared_options = {},
    .max_operands = 1,
    .run = run_help,
};

const Command kCompletionCommand{
    .name = "completion",
    .group = "About",
    .operands = "bash",
    .summary = "Print the completion script of a shell",
    .details = {},
    .examples = "source <(caisson completion bash)",
    .options = {},
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_completion,
};

const Command kOciVersionCommand{
    .name = "version",
    .group = "About",
    .operands = {},
    .summary = "Print the version",
    .details = {},
    .examples = {},
    .options = {},
    .shared_options = {},
    .max_operands = 0,
    .run = run_version,
};

const Command kOciShortHelpCommand{
    .name = "h",
    .group = {},
    .operands = "[COMMAND]",
    .summary = "Explain the commands",
    .details = {},
    .examples = {},
    .options = kHelpOptions,
    .shared_options = {},
    .max_operands = 1,
    .run = run_help,
};

const Command kOciHelpCommand{
    .name = "help",
    .group = "About",
    .operands = "[COMMAND]",
    .summary = "Explain the commands",
    .details = {},
    .examples = {},
    .options = kHelpOptions,
    .shared_options = {},
    .max_operands = 1,
    .run = run_help,
};

}  // namespace caisson::cli
