// caisson stop, kill, wait.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/verbs.h"

namespace caisson::cli {
namespace {

constexpr int kDefaultGraceSeconds = 10;

constexpr OptionSpec kStopOptions[] = {
    {"time", 't', "SECONDS", "how long to wait before SIGKILL (default 10)"},
    {"signal", 's', "SIGNAL", "what to send first (default TERM)"},
};
constexpr OptionSpec kKillOptions[] = {
    {"signal", 's', "SIGNAL", "name or number (default KILL)"},
    {"all", 'a', "", "every process of the container"},
};
constexpr OptionSpec kWaitOptions[] = {
    {"timeout", 't', "SECONDS", "give up after so long"},
};

// Milliseconds; `fallback` without the option.
Result<int> seconds_option(const Arguments& arguments, std::string_view name, int fallback) {
  auto text = arguments.value(name);
  if (!text) return fallback;
  auto seconds = parse_number<int>(*text);
  if (!seconds || *seconds < 0 || *seconds > 1'000'000) {
    return std::unexpected(Error::invalid(cat(quoted(*text), " is not a number of seconds"))
                               .where("--", name)
                               .code("option.value"));
  }
  return *seconds * 1000;
}

Result<int> run_stop(Context& context, const Arguments& arguments) {
  int grace_ms = TRY(seconds_option(arguments, "time", kDefaultGraceSeconds * 1000));
  int signal = TRY(container::parse_signal(arguments.value_or("signal", "TERM")));
  Session session = TRY(Session::open(context));
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    auto stopped = container::stop(session.containers(), name, signal, grace_ms);
    if (stopped) return print_done(arguments, "stop", name, Plain::kName);
    // Already over: what was asked for is the case.
    auto now = container::query(session.containers(), name);
    if (now && now->status == container::Status::kStopped) {
      return print_done(arguments, "stop", name, Plain::kName);
    }
    return std::unexpected(std::move(stopped).error());
  });
}

Result<int> run_kill(Context& context, const Arguments& arguments) {
  int signal = TRY(container::parse_signal(arguments.value_or("signal", "KILL")));
  Session session = TRY(Session::open(context));
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    TRY(container::kill(session.containers(), name, signal, arguments.flag("all")));
    return print_done(arguments, "kill", name, Plain::kSilent);
  });
}

Result<int> run_wait(Context& context, const Arguments& arguments) {
  int timeout_ms = TRY(seconds_option(arguments, "timeout", -1));
  Session session = TRY(Session::open(context));
  bool as_json = arguments.flag("json");
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    auto exit = TRY(container::wait(session.containers(), name, timeout_ms));
    if (!as_json) return print(cat(exit.shell_status(), "\n"));
    std::string out;
    formats::JsonWriter json(out);
    json.begin_object().field("id", name);
    write_exit(json.key("exit"), exit);
    json.end_object();
    return print(out + "\n");
  });
}

}  // namespace

const Command kStopCommand{
    .name = "stop",
    .group = "Acting",
    .operands = "[options] NAME...",
    .summary = "End containers: a signal first, SIGKILL when that does not do",
    .details = {},
    .examples =
        "caisson stop web\n"
        "caisson stop -t 30 -s INT web db",
    .options = kStopOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_stop,
};

const Command kKillCommand{
    .name = "kill",
    .group = "Acting",
    .operands = "[options] NAME...",
    .summary = "Send a signal to containers",
    .details = {},
    .examples =
        "caisson kill web\n"
        "caisson kill -s HUP web",
    .options = kKillOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_kill,
};

const Command kWaitCommand{
    .name = "wait",
    .group = "Looking",
    .operands = "[options] NAME...",
    .summary = "Wait until containers end, and print their exit statuses",
    .details =
        "One line for each container: the status of its command, or 128 + signal; 255 when it\n"
        "is not known.",
    .examples =
        "caisson wait web\n"
        "caisson wait --timeout 5 --json web",
    .options = kWaitOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_wait,
};

}  // namespace caisson::cli
