// caisson exec: one more process in a running container.
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/program_status.h"
#include "cli/run_options.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "spec/command_line.h"
#include "sys/tty.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"tty", 't', "", "give the command a terminal"},
    {"interactive", 'i', "", "keep standard input open (in the foreground it always is)"},
    {"env", 'e', "NAME[=VALUE]", "set a variable; without a value, take the caller's"},
    {"env-file", 0, "FILE", "set variables from lines NAME=VALUE"},
    {"workdir", 'w', "DIR", "working directory (default: the container's)"},
    {"user", 'u', "USER[:GROUP]", "user, by name or number (default: the container's)"},
    {"cap-add", 0, "NAME", "give a capability more"},
    {"detach", 'd', "", "do not wait for the command"},
    {"json", 0, "", "print where it runs (--detach) or how it ended (on standard error) as JSON"},
    {"ignore-paused", 0, "", "do not refuse a paused container: run when it is resumed"},
};

// "NAME" takes the caller's value, or nothing when there is none.
void add_variable(std::string_view entry, spec::Strings& env) {
  if (entry.find('=') != std::string_view::npos) {
    env.emplace_back(entry);
  } else if (const char* own = ::getenv(std::string(entry).c_str())) {
    env.push_back(cat(entry, "=", own));
  }
}

Result<container::ExecOptions> read_options(const Arguments& arguments) {
  container::ExecOptions out;
  const auto& words = arguments.operands();
  for (std::size_t i = 1; i < words.size(); ++i) out.args.emplace_back(words[i]);
  for (auto file : arguments.all("env-file")) {
    for (const auto& line : TRY(read_env_file(std::string(file)))) add_variable(line, out.env);
  }
  for (auto entry : arguments.all("env")) add_variable(entry, out.env);
  for (auto name : arguments.all("cap-add")) {
    out.capabilities.push_back(TRY_CTX(spec::capability_name(name), "--cap-add ", name));
  }
  out.cwd = arguments.value_or("workdir", "");
  out.user = arguments.value_or("user", "");
  out.terminal = arguments.flag("tty");
  out.detach = arguments.flag("detach");
  out.ignore_paused = arguments.flag("ignore-paused");
  if (!*out.terminal) return out;
  if (out.detach || !sys::is_terminal(FdRef(STDIN_FILENO))) {
    return std::unexpected(Error::with_cause(ENOTTY, out.detach ? "nobody would hold it"
                                                                : "standard input is no terminal")
                               .doing("give the command a terminal")
                               .where("--tty")
                               .code("option.value")
                               .cure("leave -t out"));
  }
  // The container's own TERM describes another terminal.
  bool term_given = false;
  for (const auto& entry : out.env) term_given |= entry.starts_with("TERM=");
  if (!term_given) add_variable("TERM", out.env);
  return out;
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto options = TRY(read_options(arguments));
  Session session = TRY(Session::open(context));
  auto result = container::exec(session.containers(), arguments.operands()[0], options);
  session.show_timeline();
  if (!result) {
    context.failure_status = failure_status_of(result.error());
    return std::unexpected(std::move(result).error());
  }
  const std::string name(arguments.operands()[0]);
  if (options.detach) {
    if (arguments.flag("json")) TRY(print_started(name, result->pid));
    return 0;
  }
  if (arguments.flag("json")) report_end(name, result->pid, result->exit);
  return result->exit.shell_status();
}

}  // namespace

const Command kExecCommand{
    .name = "exec",
    .group = "Running",
    .operands = "[options] NAME [--] COMMAND [ARGUMENT...]",
    .summary = "Run one more command in a running container",
    .details =
        "The exit status is the command's, or 128 + signal; 125, 126 and 127 as with \"run\".",
    .examples =
        "caisson exec web -- ls /\n"
        "caisson exec -it web sh\n"
        "caisson exec -u nobody -w /tmp -e DEBUG=1 web env",
    .options = kOptions,
    .shared_options = {},
    .raw_after = 1,
    .min_operands = 2,
    .run = run,
    .failure_status = kRuntimeFailed,
};

}  // namespace caisson::cli
