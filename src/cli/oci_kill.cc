// caisson-oci kill, delete, pause, resume.
#include <regex.h>

#include "base/defer.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kKillOptions[] = {
    {"all", 'a', "", "every process of the container; a stopped one is no error"},
    {"regex", 'r', "", "ID is an extended regular expression: every container that it matches"},
};
constexpr OptionSpec kDeleteOptions[] = {
    {"force", 'f', "", "kill a running container first; a missing one is no error"},
    {"regex", 'r', "", "ID is an extended regular expression: every container that it matches"},
};

// The containers whose id `pattern` matches (regex(7), extended).
Result<std::vector<std::string>> matching_ids(Session& session, std::string_view pattern) {
  regex_t regex;
  std::string text(pattern);
  int problem = ::regcomp(&regex, text.c_str(), REG_EXTENDED | REG_NOSUB);
  if (problem != 0) {
    char why[128];
    ::regerror(problem, &regex, why, sizeof why);
    return std::unexpected(
        Error::invalid(cat("invalid regular expression: ", std::string_view(why)))
            .where(text)
            .code("option.value"));
  }
  Defer release([&] { ::regfree(&regex); });
  std::vector<std::string> ids;
  for (auto& entry : TRY(container::list(session.containers()))) {
    if (::regexec(&regex, entry.id.c_str(), 0, nullptr, 0) == 0) ids.push_back(std::move(entry.id));
  }
  return ids;
}

// Calls `action` with the container named, or with each that --regex matches; one failure does not
// keep the others from their turn.
template <typename Action>
Result<int> for_each_meant(Context& context, const Arguments& arguments, Action action) {
  Session session = TRY(Session::open(context));
  std::string_view given = arguments.operands()[0];
  if (!arguments.flag("regex")) {
    Result<> done = action(session.containers(), std::string(given));
    if (!done) return std::unexpected(std::move(done).error());
    return 0;
  }
  int status = 0;
  for (const auto& id : TRY(matching_ids(session, given))) {
    Result<> done = action(session.containers(), id);
    if (done) continue;
    context.reporter.failure(done.error(), context.command->name);
    status = 1;
  }
  return status;
}

Result<int> run_kill(Context& context, const Arguments& arguments) {
  const auto& operands = arguments.operands();
  int signal = TRY(container::parse_signal(operands.size() > 1 ? operands[1] : "TERM"));
  bool all = arguments.flag("all");
  return for_each_meant(context, arguments, [&](container::Context& containers, std::string id) {
    return container::kill(containers, id, signal, all);
  });
}

Result<int> run_delete(Context& context, const Arguments& arguments) {
  bool force = arguments.flag("force");
  return for_each_meant(context, arguments, [&](container::Context& containers, std::string id) {
    return container::remove(containers, id, force);
  });
}

Result<int> run_pause(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  TRY(container::pause(session.containers(), arguments.operands()[0]));
  return 0;
}

Result<int> run_resume(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  TRY(container::resume(session.containers(), arguments.operands()[0]));
  return 0;
}

}  // namespace

const Command kOciKillCommand{
    .name = "kill",
    .group = "Life cycle",
    .operands = "[options] ID [SIGNAL]",
    .summary = "Send a signal (default TERM) to the init of a container",
    .details = {},
    .examples = "caisson-oci kill web KILL",
    .options = kKillOptions,
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 2,
    .run = run_kill,
};

const Command kOciDeleteCommand{
    .name = "delete",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Remove a stopped or merely created container",
    .details = {},
    .examples = "caisson-oci delete --force web",
    .options = kDeleteOptions,
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_delete,
};

const Command kOciPauseCommand{
    .name = "pause",
    .group = "Life cycle",
    .operands = "ID",
    .summary = "Stop all processes of a container where they are",
    .details = {},
    .examples = "caisson-oci pause web",
    .options = {},
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_pause,
};

const Command kOciResumeCommand{
    .name = "resume",
    .group = "Life cycle",
    .operands = "ID",
    .summary = "Let a paused container go on",
    .details = {},
    .examples = "caisson-oci resume web",
    .options = {},
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_resume,
};

}  // namespace caisson::cli
