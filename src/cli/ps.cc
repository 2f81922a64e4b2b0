// caisson ps, list, top: which containers there are, and what runs in one.
#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/guest_ps.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kCommandWidth = 60;

bool is_active(const container::ListEntry& entry) {
  return !entry.snapshot || entry.snapshot->status != container::Status::kStopped;
}

std::string entries_json(const std::vector<container::ListEntry>& entries) {
  std::string out;
  formats::JsonWriter json(out, "  ");
  json.begin_array();
  for (const auto& entry : entries) {
    json.begin_object();
    if (entry.snapshot) {
      write_snapshot(json, *entry.snapshot);
    } else {
      json.field("id", entry.id).field("status", "broken").field("problem", entry.problem);
    }
    json.end_object();
  }
  json.end_array();
  return out + "\n";
}

std::string entries_table(const std::vector<container::ListEntry>& entries) {
  Table table({"NAME", "PID", "STATUS", "CREATED", "COMMAND"});
  std::int64_t now = realtime_ns();
  for (const auto& entry : entries) {
    if (!entry.snapshot) {
      table.add({printable(entry.id), "-", "broken", "-", printable(entry.problem)});
      continue;
    }
    const auto& snapshot = *entry.snapshot;
    table.add({entry.id, snapshot.pid() == 0 ? "-" : cat(snapshot.pid()), status_text(snapshot),
               cat(human_age(now - snapshot.state.created), " ago"),
               command_text(snapshot.state.command, kCommandWidth)});
  }
  return table.text();
}

Result<int> list(Context& context, const Arguments& arguments, bool all) {
  Session session = TRY(Session::open(context));
  auto entries = TRY(container::list(session.containers()));
  if (!all) std::erase_if(entries, [](const auto& entry) { return !is_active(entry); });
  if (arguments.flag("json")) {
    TRY(print(entries_json(entries)));
  } else if (arguments.flag("quiet")) {
    std::string names;
    for (const auto& entry : entries) append(names, entry.id, "\n");
    TRY(print(names));
  } else {
    TRY(print(entries_table(entries)));
  }
  return 0;
}

Result<int> run_ps(Context& context, const Arguments& arguments) {
  return list(context, arguments, arguments.flag("all"));
}
Result<int> run_list(Context& context, const Arguments& arguments) {
  return list(context, arguments, true);
}

std::string guests_json(const std::vector<plan::GuestProcess>& processes) {
  std::string out;
  formats::JsonWriter json(out, "  ");
  json.begin_array();
  for (const auto& process : processes) {
    json.begin_object().field("pid", process.pid).field("command", process.args);
    json.field("parent", process.parent).field("name", process.name);
    json.field("uid", process.uid).field("gid", process.gid);
    json.field("state", std::string(1, process.state)).field("threads", process.threads);
    json.field("terminal", process.terminal).field("started", rfc3339(process.started_ns));
    json.field("cpuNs", process.cpu_ns).end_object();
  }
  json.end_array();
  return out + "\n";
}

std::string guests_table(const std::vector<plan::GuestProcess>& processes,
                         const GuestUsers& users) {
  Table table({"PID", "PARENT", "USER", "STATE", "THREADS", "TIME", "COMMAND"});
  for (const auto& process : processes) {
    table.add({cat(process.pid), cat(process.parent), users.name(process.uid),
               printable(std::string_view(&process.state, 1)), cat(process.threads),
               guest_time(process.cpu_ns), guest_command(process, kCommandWidth * 2)});
  }
  return table.text();
}

Result<int> top_of_sandbox(Session& session, const Arguments& arguments,
                           const container::Snapshot& snapshot) {
  auto processes = TRY(container::guest_processes(session.containers(), snapshot.state.id));
  TRY(print(arguments.flag("json") ? guests_json(processes)
                                   : guests_table(processes, GuestUsers(snapshot.state.rootfs))));
  return 0;
}

Result<int> run_top(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  auto snapshot = TRY(container::query(session.containers(), arguments.operands()[0]));
  if (runs_in_sandbox(snapshot) && container::is_alive(snapshot.status))
    return top_of_sandbox(session, arguments, snapshot);
  auto pids = TRY(container::processes(session.containers(), arguments.operands()[0]));
  std::string out;
  formats::JsonWriter json(out, "  ");
  Table table({"PID", "COMMAND"});
  json.begin_array();
  for (int pid : pids) {
    auto words = process_command(pid);
    table.add({cat(pid), command_text(words, kCommandWidth * 2)});
    json.begin_object().field("pid", pid).field("command", words).end_object();
  }
  json.end_array();
  TRY(print(arguments.flag("json") ? out + "\n" : table.text()));
  return 0;
}

constexpr OptionSpec kPsOptions[] = {
    {"all", 'a', "", "also those that ended"},
    {"quiet", 'q', "", "names only"},
};
constexpr OptionSpec kListOptions[] = {{"quiet", 'q', "", "names only"}};

}  // namespace

const Command kPsCommand{
    .name = "ps",
    .group = "Looking",
    .operands = "[options]",
    .summary = "List containers that run",
    .details = {},
    .examples =
        "caisson ps\n"
        "caisson ps --all --json\n"
        "caisson rm $(caisson ps -aq)",
    .options = kPsOptions,
    .shared_options = kJsonOption,
    .max_operands = 0,
    .run = run_ps,
};

const Command kListCommand{
    .name = "list",
    .group = "Looking",
    .operands = "[options]",
    .summary = "List all containers, as \"ps --all\" does",
    .details = {},
    .examples =
        "caisson list\n"
        "caisson list --json",
    .options = kListOptions,
    .shared_options = kJsonOption,
    .max_operands = 0,
    .run = run_list,
};

const Command kTopCommand{
    .name = "top",
    .group = "Looking",
    .operands = "[options] NAME",
    .summary = "List the processes of a container",
    .details =
        "Process ids are those of this machine; of a container that runs with --wall sandbox, "
        "those\n"
        "that its processes have inside.",
    .examples = "caisson top web",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_top,
};

}  // namespace caisson::cli
