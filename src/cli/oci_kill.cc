// caisson-oci kill, delete, pause, resume.
#include "cli/commands.h"
#include "cli/session.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kKillOptions[] = {
    {"all", 'a', "", "every process of the container; a stopped one is no error"},
};
constexpr OptionSpec kDeleteOptions[] = {
    {"force", 'f', "", "kill a running container first; a missing one is no error"},
};

Result<int> run_kill(Context& context, const Arguments& arguments) {
  const auto& operands = arguments.operands();
  int signal = TRY(container::parse_signal(operands.size() > 1 ? operands[1] : "TERM"));
  Session session = TRY(Session::open(context));
  TRY(container::kill(session.containers(), operands[0], signal, arguments.flag("all")));
  return 0;
}

Result<int> run_delete(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  TRY(container::remove(session.containers(), arguments.operands()[0], arguments.flag("force")));
  return 0;
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
