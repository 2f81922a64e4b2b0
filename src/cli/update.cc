// caisson update.
#include "cli/commands.h"
#include "cli/resource_options.h"
#include "cli/session.h"
#include "cli/verbs.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"memory", 'm', "SIZE", "limit of memory: 64m, 2g; -1: none"},
    {"memory-swap", 0, "SIZE", "limit of memory and swap together; -1: none"},
    {"memory-reservation", 0, "SIZE", "memory that is taken from others first"},
    {"cpus", 0, "N", "limit of CPU time: 1.5 is one and a half CPUs; -1: none"},
    {"cpu-shares", 0, "N", "weight against others, 2 to 262144 (default 1024)"},
    {"cpu-idle", 0, "0|1", "1: run only when nobody else wants to"},
    {"cpuset", 0, "LIST", "CPUs to run on: 0-3,7"},
    {"cpuset-cpus", 0, "LIST", ""},
    {"cpuset-mems", 0, "LIST", "memory nodes to use"},
    {"pids", 0, "N", "limit of the number of processes; -1: none"},
    {"pids-limit", 0, "N", ""},
    {"io-weight", 0, "N", "weight of disk transfers, 10 to 1000"},
    {"resources", 'r', "FILE", "a linux.resources object, - for standard input; no other option"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto change = TRY(read_resource_options(arguments));
  if (change == spec::Resources{}) {
    return std::unexpected(usage_error(context.command_name(), "no limit to change was given"));
  }
  Session session = TRY(Session::open(context));
  return for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    TRY(container::update(session.containers(), name, change));
    return print_done(arguments, "update", name, Plain::kName);
  });
}

}  // namespace

const Command kUpdateCommand{
    .name = "update",
    .group = "Acting",
    .operands = "[options] NAME...",
    .summary = "Change the limits of containers",
    .details = "What is not given stays as it is. Either everything is changed, or nothing.",
    .examples =
        "caisson update --memory 512m --pids 100 web\n"
        "caisson update --cpus 1.5 web db\n"
        "caisson update --memory -1 web",
    .options = kOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run,
};

}  // namespace caisson::cli
