// caisson-oci state, list, ps.
#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cli/caller.h"
#include "cli/commands.h"
#include "cli/guest_ps.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "spec/accounts.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kColumnWidth = 9;  // 12 with the gap

constexpr OptionSpec kListOptions[] = {
    {"format", 'f', "table|json", "form of the output (default table)"},
    {"quiet", 'q', "", "ids only"},
};
constexpr OptionSpec kPsOptions[] = {
    {"format", 'f', "table|json", "form of the output (default table)"},
};

Result<bool> wants_json(const Context& context, const Arguments& arguments) {
  auto format = arguments.value_or("format", "table");
  if (format == "json" || format == "table") return format == "json";
  if (context.dialect == Dialect::kCrun) {
    return std::unexpected(Error::invalid(cat("invalid format `", format, "`")).code(kUsageCode));
  }
  return std::unexpected(Error::invalid("invalid format option").code(kUsageCode));
}

Result<int> run_state(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  auto snapshot = TRY(container::query(session.containers(), arguments.operands()[0]));
  TRY(print(container::state_json(snapshot) + "\n"));
  return 0;
}

std::string list_json(const std::vector<container::ListEntry>& entries) {
  std::string out = "[";
  for (const auto& entry : entries) {
    append(out, out.size() > 1 ? "," : "", container::state_json(*entry.snapshot, ""));
  }
  return out + "]\n";
}

std::string_view owner_of(const Result<Accounts>& accounts, std::uint32_t uid) {
  return accounts ? spec::user_name(accounts->passwd, uid) : std::string_view();
}

std::vector<std::string> list_row(const container::ListEntry& entry,
                                  const Result<Accounts>& accounts) {
  const auto& snapshot = *entry.snapshot;
  std::string_view owner = owner_of(accounts, snapshot.state.owner);
  return {entry.id,
          cat(snapshot.pid()),
          std::string(container::status_name(snapshot.status)),
          printable(snapshot.state.bundle),
          rfc3339(snapshot.state.created),
          owner.empty() ? cat("#", snapshot.state.owner) : std::string(owner)};
}

std::string list_table(const std::vector<container::ListEntry>& entries) {
  Table table({"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}, kColumnWidth);
  auto accounts = read_accounts({});
  for (const auto& entry : entries) table.add(list_row(entry, accounts));
  return table.text();
}

// crun's columns have fixed widths and one space between them, but for the first.
std::string crun_list_table(const std::vector<container::ListEntry>& entries) {
  std::size_t widths[] = {4, 9, 8, 39, 30, 0};
  for (const auto& entry : entries) widths[0] = std::max(widths[0], entry.id.size());
  std::string out;
  auto add = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out += cells[i];
      if (i + 1 == cells.size()) break;
      out.append(std::max(widths[i], cells[i].size()) - cells[i].size() + 1, ' ');
    }
    out += '\n';
  };
  add({"NAME", "PID", "STATUS", "BUNDLE PATH", "CREATED", "OWNER"});
  auto accounts = read_accounts({});
  for (const auto& entry : entries) add(list_row(entry, accounts));
  return out;
}

Result<int> run_list(Context& context, const Arguments& arguments) {
  bool as_json = TRY(wants_json(context, arguments));
  Session session = TRY(Session::open(context));
  auto entries = TRY(container::list(session.containers()));
  std::erase_if(entries, [&](const container::ListEntry& entry) {
    if (entry.snapshot) return false;
    context.reporter.warn_always(cat("load container ", entry.id, ": ", printable(entry.problem)));
    return true;
  });
  std::string ids;
  for (const auto& entry : entries) append(ids, entry.id, "\n");
  bool crun = context.dialect == Dialect::kCrun;
  std::string text = arguments.flag("quiet") ? ids
                     : as_json               ? list_json(entries)
                     : crun                  ? crun_list_table(entries)
                                             : list_table(entries);
  TRY(print(text));
  return 0;
}

// The output of the host's ps(1).
Result<std::string> output_of_ps(const std::vector<std::string_view>& words) {
  std::vector<std::string> storage = {"ps"};
  for (std::size_t i = 1; i < words.size(); ++i) storage.emplace_back(words[i]);
  if (storage.size() == 1) storage.emplace_back("-ef");
  auto pipe = TRY_CTX(sys::pipe(), "make a pipe");
  auto pid = sys::spawn_program(std::move(storage), pipe.write);
  if (!pid) {
    return std::unexpected(
        Error(pid.error()).doing("run ps").cure("install procps, or use --format json"));
  }
  pipe.write.reset();
  auto text = sys::read_all(pipe.read);
  auto ended = sys::wait_pid(*pid);
  if (!text) return std::unexpected(Error(text.error()).doing("read the output of ps"));
  if (!ended || ended->shell_status() != 0) {
    return std::unexpected(Error::with_cause(EINVAL, "it failed").doing("run ps"));
  }
  return std::move(*text);
}

std::vector<std::string_view> words_of(std::string_view line) {
  auto words = split(line, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  return words;
}

// The heading and the lines whose PID is one of `pids`.
Result<std::string> filter_ps(std::string_view text, const std::vector<int>& pids) {
  std::string out;
  std::optional<std::size_t> column;
  for (auto line : split(text, '\n')) {
    auto words = words_of(line);
    if (!column) {
      auto found = std::ranges::find(words, "PID");
      if (found == words.end()) {
        return std::unexpected(Error::invalid("couldn't find PID field in ps output")
                                   .cure("ask ps for the PID column"));
      }
      column = static_cast<std::size_t>(found - words.begin());
      append(out, line, "\n");
      continue;
    }
    if (words.size() <= *column) continue;
    auto pid = parse_number<int>(words[*column]);
    if (pid && std::ranges::find(pids, *pid) != pids.end()) append(out, line, "\n");
  }
  return out;
}

Result<int> run_ps(Context& context, const Arguments& arguments) {
  bool as_json = TRY(wants_json(context, arguments));
  Session session = TRY(Session::open(context));
  const auto id = arguments.operands()[0];
  auto snapshot = TRY(container::query(session.containers(), id));
  std::vector<int> pids;
  if (snapshot.status != container::Status::kStopped) {
    pids = TRY(container::processes(session.containers(), id));
  }
  if (as_json) {
    std::string out;
    formats::JsonWriter(out).value(pids);
    TRY(print(out + "\n"));
    return 0;
  }
  if (runs_in_sandbox(snapshot)) {
    TRY(print(guest_ps_table(TRY(container::guest_processes(session.containers(), id)),
                             GuestUsers(snapshot.state.rootfs))));
    return 0;
  }
  std::string text = TRY(output_of_ps(arguments.operands()));
  TRY(print(TRY(filter_ps(text, pids))));
  return 0;
}

}  // namespace

const Command kOciStateCommand{
    .name = "state",
    .group = "Looking",
    .operands = "ID",
    .summary = "Print the state of a container, as JSON",
    .details = {},
    .examples = "caisson-oci state web",
    .options = {},
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_state,
};

const Command kOciListCommand{
    .name = "list",
    .group = "Looking",
    .operands = "[options]",
    .summary = "List containers",
    .details = {},
    .examples = "caisson-oci list --format json",
    .options = kListOptions,
    .shared_options = {},
    .max_operands = 0,
    .run = run_list,
};

const Command kOciPsCommand{
    .name = "ps",
    .group = "Looking",
    .operands = "[options] ID [PS-OPTION...]",
    .summary = "List the processes of a container",
    .details =
        "The table is that of the host's ps(1), with the options given (default -ef). Of a "
        "sandbox,\n"
        "whose processes are none of the host's, it is always one as of -ef, with the ids inside.",
    .examples =
        "caisson-oci ps --format json web\n"
        "caisson-oci ps web -o pid,args",
    .options = kPsOptions,
    .shared_options = {},
    .raw_after = 1,
    .min_operands = 1,
    .run = run_ps,
};

}  // namespace caisson::cli
