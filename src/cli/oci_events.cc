// caisson-oci events.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/session.h"
#include "library/events_json.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"interval", 0, "TIME", "time between two stats: 500ms, 5s (default), 1m30s"},
    {"stats", 0, "", "print the stats of now, and nothing more"},
};

Result<std::int64_t> interval_ms(const Arguments& arguments) {
  const auto text = arguments.value_or("interval", "5s");
  const auto ns = parse_duration(text);
  if (!ns) {
    return std::unexpected(Error::invalid("not a time like 500ms, 5s or 1m30s")
                               .where("--interval ", text)
                               .code("option.value"));
  }
  constexpr std::int64_t kNsPerMs = 1'000'000;
  if (*ns > 0) return (*ns + kNsPerMs - 1) / kNsPerMs;
  return std::unexpected(Error::invalid("duration interval must be greater than 0")
                             .where("--interval ", text)
                             .code("option.value"));
}

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string id(arguments.operands()[0]);
  container::WatchOptions options;
  options.interval_ms = TRY(interval_ms(arguments));
  Session session = TRY(Session::open(context));
  options.on_usage = [&](const plan::Usage& usage) {
    return print(library::stats_event(id, usage));
  };
  options.on_out_of_memory = [&] { return print(library::oom_event(id)); };
  if (arguments.flag("stats")) {
    TRY(options.on_usage(TRY(container::usage(session.containers(), id))));
  } else {
    TRY(container::watch(session.containers(), id, options));
  }
  return 0;
}

}  // namespace

const Command kOciEventsCommand{
    .name = "events",
    .group = "Looking",
    .operands = "[options] ID",
    .summary = "Print what a container uses, and when it runs out of memory",
    .details =
        "A line of JSON for each event, until the container ends: {\"type\":\"stats\",...} every\n"
        "interval, {\"type\":\"oom\",...} for each process that was killed for lack of memory.",
    .examples =
        "caisson-oci events --interval 1s web\n"
        "caisson-oci events --stats web",
    .options = kOptions,
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

}  // namespace caisson::cli
