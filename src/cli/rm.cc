// caisson rm, pause, resume.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/failed_runs.h"
#include "cli/session.h"
#include "cli/verbs.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kRmOptions[] = {
    {"force", 'f', "", "kill running ones first; missing ones are no error"},
    {"all", 'a', "", "every container that has ended"},
};

Result<> remove_ended(const Context& context, const Arguments& arguments, Session& session) {
  for (const auto& entry : TRY(container::list(session.containers()))) {
    if (!entry.snapshot || entry.snapshot->status != container::Status::kStopped) continue;
    auto removed = container::remove(session.containers(), entry.id);
    // Somebody else may have been quicker.
    if (!removed && removed.error().code() != "container.missing") {
      context.reporter.failure(removed.error());
      continue;
    }
    TRY(print_done(arguments, "rm", entry.id, Plain::kName));
  }
  return {};
}

Result<int> run_rm(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  if (arguments.flag("all")) {
    TRY(remove_ended(context, arguments, session));
  } else if (arguments.operands().empty()) {
    return std::unexpected(usage_error(context.command_name(), "no name given"));
  }
  bool force = arguments.flag("force");
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    auto removed = container::remove(session.containers(), name, force);
    if (removed) {
      forget_failed_run(context.root, name);
      return print_done(arguments, "rm", name, Plain::kName);
    }
    if (!removed.error().cure().empty() || removed.error().code() != "container.state")
      return removed;
    return std::unexpected(
        std::move(removed).error().cure("\"caisson stop ", name, "\" first, or use --force"));
  });
}

Result<int> run_pause(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    TRY(container::pause(session.containers(), name));
    return print_done(arguments, "pause", name, Plain::kSilent);
  });
}

Result<int> run_resume(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    TRY(container::resume(session.containers(), name));
    return print_done(arguments, "resume", name, Plain::kSilent);
  });
}

}  // namespace

const Command kRmCommand{
    .name = "rm",
    .group = "Acting",
    .operands = "[options] NAME...",
    .summary = "Remove containers that have ended",
    .details = {},
    .examples =
        "caisson rm web\n"
        "caisson rm --force web\n"
        "caisson rm --all",
    .options = kRmOptions,
    .shared_options = kJsonOption,
    .run = run_rm,
};

const Command kPauseCommand{
    .name = "pause",
    .group = "Acting",
    .operands = "NAME...",
    .summary = "Stop all processes of containers where they are",
    .details = {},
    .examples = "caisson pause web",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_pause,
};

const Command kResumeCommand{
    .name = "resume",
    .group = "Acting",
    .operands = "NAME...",
    .summary = "Let paused containers go on",
    .details = {},
    .examples = "caisson resume web",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_resume,
};

}  // namespace caisson::cli
