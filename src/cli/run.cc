// caisson run: a command in a new container.
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/failed_runs.h"
#include "cli/program_status.h"
#include "cli/run_options.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "spec/oci_writer.h"
#include "sys/tty.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"detach", 'd', "", "run in the background; output goes to \"caisson logs\""},
    {"rm", 0, "", "remove the container when it ends (in the foreground: the default)"},
    {"keep", 0, "", "keep the container when it ends, until \"caisson rm\""},
    {"label", 'l', "NAME=VALUE", "note something about the container"},
    {"log-limit", 0, "SIZE", "keep up to twice as much output with --detach (default 10m)"},
    {"pidfile", 0, "FILE", "write the process id to FILE"},
    {"quiet", 'q', "", "do not say what is limited"},
    {"json", 0, "", "print where it runs (--detach) or how it ended (on standard error) as JSON"},
};

// Made of options alone; nothing is looked at.
Result<> read_mode(const Arguments& arguments, container::RunOptions& out) {
  bool detach = arguments.flag("detach");
  out.mode = detach ? container::RunMode::kSupervised : container::RunMode::kForeground;
  if (arguments.flag("rm") && arguments.flag("keep")) {
    return std::unexpected(usage_error("caisson run", "--rm and --keep exclude each other"));
  }
  out.end_with_caller = !detach;
  out.remove_on_exit = detach ? arguments.flag("rm") : !arguments.flag("keep");
  if (auto limit = arguments.value("log-limit")) {
    auto size = parse_size(*limit);
    if (!size || *size < 64 * 1024) {
      return std::unexpected(Error::invalid("not a size of at least 64k")
                                 .where("--log-limit ", *limit)
                                 .code("option.value"));
    }
    out.log_limit = static_cast<std::uint64_t>(*size);
  }
  for (auto label : arguments.all("label")) {
    auto [name, value] = split_once(label, '=');
    out.create.labels[std::string(name)] = value;
  }
  out.create.pid_file = arguments.value_or("pidfile", "");
  return {};
}

Result<> check_terminal(const spec::RunOptions& options, bool detach) {
  if (!options.terminal || detach || sys::is_terminal(FdRef(STDIN_FILENO))) return {};
  return std::unexpected(Error::with_cause(ENOTTY, "standard input is no terminal")
                             .doing("give the command a terminal")
                             .where("--tty")
                             .code("option.value")
                             .cure("leave -t out, or use -d"));
}

Result<container::RunResult> run_described(Session& session, const Described& described,
                                           container::RunOptions& run, bool named) {
  std::string config = spec::write_oci_config(described.spec);
  run.create.id = described.options.id;
  run.create.spec = &described.spec;
  run.create.config_text = config;
  run.create.cgroup_parent = "/caisson";
  auto result = container::run(session.containers(), run);
  const std::string& root = session.containers().root;
  // Nobody can ask after a name that was never told.
  if (!named) return result;
  if (result) {
    forget_failed_run(root, run.create.id);
  } else if (!result.error().code().starts_with("container.")) {
    note_failed_run(root, run.create.id, result.error());
  }
  return result;
}

// Errors name the field of a description that nobody wrote: the option behind it is what helps.
Error point_at_option(Error error) {
  struct Origin {
    std::string_view field, option;
  };
  constexpr Origin kOrigins[] = {
      {"linux.resources.memory.swap", "--memory-swap"},
      {"linux.resources.memory", "--memory"},
      {"linux.resources.cpu", "--cpus"},
      {"linux.resources.pids", "--pids"},
      {"linux.seccomp", "--seccomp"},
      {"annotations.org.caisson.wall", "--wall"},
      {"annotations.org.caisson.platform", "--platform"},
      {"annotations.org.caisson.overlay", "--overlay"},
      {"annotations.org.caisson.sandbox", "--sandbox"},
      {"process.cwd", "--workdir"},
      {"process.user", "--user"},
      {"hostname", "--hostname"},
  };
  for (const auto& origin : kOrigins) {
    if (error.where().starts_with(origin.field)) return std::move(error).where(origin.option);
  }
  return error;
}

// Somebody who gave no name needs to be told one, and how to ask.
void say_how_it_ended(const Context& context, const container::Exit& exit, const std::string& id,
                      bool kept) {
  if (exit.known && exit.oom && exit.signal == 9) {
    context.reporter.notice("the kernel killed it for want of memory; raise --memory");
  }
  if (kept)
    context.reporter.notice(cat("kept as ", id, "; remove it with \"caisson rm ", id, "\""));
}

Result<int> run(Context& context, const Arguments& arguments) {
  container::RunOptions run;
  TRY(read_mode(arguments, run));
  Described described = TRY(describe_run(context, arguments));
  bool detach = run.mode == container::RunMode::kSupervised;
  TRY(check_terminal(described.options, detach));
  Session session = TRY(Session::open(context, true));
  if (context.reporter.quiet) session.containers().warn = nullptr;
  auto result = run_described(session, described, run, arguments.has("name"));
  session.show_timeline();
  if (!result) {
    context.failure_status = failure_status_of(result.error());
    return std::unexpected(point_at_option(std::move(result).error()));
  }
  bool as_json = arguments.flag("json");
  if (detach) {
    TRY(as_json ? print_started(run.create.id, result->pid) : print(cat(run.create.id, "\n")));
    return 0;
  }
  if (as_json) report_end(run.create.id, result->pid, result->exit);
  if (sys::is_terminal(FdRef(STDERR_FILENO))) {
    say_how_it_ended(context, result->exit, run.create.id, !run.remove_on_exit);
  }
  return result->exit.shell_status();
}

}  // namespace

const Command kRunCommand{
    .name = "run",
    .group = "Running",
    .operands = "[options] [--] [COMMAND [ARGUMENT...]]",
    .summary = "Run a command in a new container",
    .details =
        "Without --rootfs the command sees this machine through a throw-away view: all files are\n"
        "there, writes go to memory and are gone at the end, processes, network and host name are\n"
        "its own, and the current directory stays the current directory. Without a command, a\n"
        "shell is started at the terminal.\n"
        "\n"
        "Works for root and for ordinary users. An ordinary user gets one user in the container,\n"
        "his own (or root by \"-u root\"), and limits only where cgroups are delegated to him.\n"
        "\n"
        "The exit status is the command's, or 128 + signal; 125 when the container could not be\n"
        "made, 126 when the command cannot be executed, 127 when it was not found.",
    .examples =
        "caisson run -- make test             # writes nothing to this machine\n"
        "caisson run -it                      # a shell\n"
        "caisson run -v .:/src -w /src -- make   # with the real current directory\n"
        "caisson run --memory 512m --pids 100 --network host -- ./build\n"
        "caisson run -d --name web --rootfs ./alpine -- /bin/httpd -f\n"
        "caisson run --timeline -- true       # what the start cost",
    .options = kOptions,
    .shared_options = run_option_table(),
    .raw_after = 0,
    .run = run,
    .failure_status = kRuntimeFailed,
};

}  // namespace caisson::cli
