// From the words of the command line to one command's function, and from its error to a status.
#include "cli/args.h"
#include "cli/command.h"
#include "cli/general_cures.h"
#include "cli/help.h"
#include "cli/state_root.h"

namespace caisson::cli {
namespace {

std::string_view base_name(std::string_view path) {
  auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

Face face_of(std::string_view program) {
  for (std::string_view engine : {"caisson-oci", "runc", "crun"}) {
    if (program == engine) return Face::kEngine;
  }
  return Face::kPeople;
}

Result<> apply_globals(Context& context, const Arguments& arguments) {
  if (auto root = arguments.value("root")) {
    context.root = *root;
    context.default_root = false;
  }
  if (auto log = arguments.value("log")) {
    // crun's prefixes: a plain file is the one kind that is written here.
    context.reporter.log_path = log->starts_with("file:") ? log->substr(5) : *log;
  }
  if (auto format = arguments.value("log-format")) {
    if (*format != "text" && *format != "json") {
      return std::unexpected(Error::invalid(cat("unknown log format ", quoted(*format)))
                                 .code(kUsageCode)
                                 .cure("use --log-format text or --log-format json"));
    }
    context.reporter.format = *format == "json" ? LogFormat::kJson : LogFormat::kText;
  }
  if (arguments.has("debug")) context.debug = arguments.flag("debug");
  if (arguments.has("quiet")) context.reporter.quiet = arguments.flag("quiet");
  if (auto timeline = arguments.value("timeline")) {
    context.timeline = timeline->empty() ? "-" : std::string(*timeline);
  }
  if (arguments.has("systemd-cgroup")) context.systemd_cgroup = arguments.flag("systemd-cgroup");
  if (auto manager = arguments.value("cgroup-manager")) {
    context.systemd_cgroup |= *manager == "systemd";
    context.no_cgroups = *manager == "disabled";
    if (!context.systemd_cgroup && !context.no_cgroups && *manager != "cgroupfs") {
      return std::unexpected(Error::invalid(cat("unknown cgroup manager ", quoted(*manager)))
                                 .code(kUsageCode)
                                 .cure("use cgroupfs, systemd or disabled"));
    }
  }
  return {};
}

Error unknown_command(const Context& context, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Command* command : commands(context.face)) {
    if (!command->group.empty()) names.push_back(command->name);
  }
  auto near = nearest(name, names);
  std::string hint = near.empty() ? std::string() : cat("did you mean \"", near, "\"? ");
  return Error::invalid(cat("unknown command ", quoted(name)))
      .code(kUsageCode)
      .cure(hint, "see \"", context.program, " help\"");
}

Result<> check_operands(const Context& context, const Arguments& arguments) {
  const Command& command = *context.command;
  int count = static_cast<int>(arguments.operands().size());
  std::string name = context.command_name();
  if (count < command.min_operands) {
    return std::unexpected(
        usage_error(name, cat("too few arguments, expected: ", name, " ", command.operands)));
  }
  if (command.max_operands >= 0 && count > command.max_operands) {
    auto extra = arguments.operands()[static_cast<std::size_t>(command.max_operands)];
    return std::unexpected(usage_error(name, cat("unexpected argument ", quoted(extra))));
  }
  return {};
}

Result<int> run_command(Context& context, std::span<const std::string_view> words) {
  const Command& command = *context.command;
  Grammar grammar;
  std::string name = context.command_name();
  grammar.command = name;
  grammar.tables = {command.options, command.shared_options, {}};
  if (context.face == Face::kPeople) grammar.tables[2] = global_options(context.face);
  grammar.raw_after = command.raw_after;
  grammar.single_dash_long = context.face == Face::kEngine;
  Arguments arguments = TRY(parse_arguments(grammar, words));
  if (arguments.wants_help()) {
    TRY(print(help_command(context.face, context.program, command)));
    return 0;
  }
  if (context.face == Face::kPeople) TRY(apply_globals(context, arguments));
  TRY(check_operands(context, arguments));
  if (context.default_root) context.root = default_state_root(context.face);
  return command.run(context, arguments);
}

Result<int> run_words(Context& context, std::span<const std::string_view> words) {
  Grammar grammar;
  grammar.command = context.program;
  grammar.tables = {global_options(context.face), {}, {}};
  grammar.raw_after = 0;
  grammar.single_dash_long = context.face == Face::kEngine;
  Arguments globals = TRY(parse_arguments(grammar, words));
  TRY(apply_globals(context, globals));
  if (globals.flag("version")) {
    TRY(print(version_text(context.program)));
    return 0;
  }
  const auto& rest = globals.operands();
  if (globals.wants_help() || rest.empty()) {
    TRY(print(help_overview(context.face, context.program)));
    return 0;
  }
  context.command = find_command(context.face, rest[0]);
  if (context.command == nullptr) return std::unexpected(unknown_command(context, rest[0]));
  return run_command(context, std::span(rest).subspan(1));
}

// What engines expect in front of a message, by command; errors of the process itself have one
// more.
std::string failure_prefix(const Context& context, const Error& error) {
  if (context.face != Face::kEngine || context.command == nullptr) return {};
  std::string_view name = context.command->name;
  std::string prefix;
  if (name == "create" || name == "run") {
    prefix = cat(context.program == "crun" ? "crun" : "runc", " ", name, " failed: ");
  } else if (name == "exec") {
    prefix = "exec failed: ";
  }
  if (!prefix.empty() && !error.step().empty()) prefix += "unable to start container process: ";
  return prefix;
}

}  // namespace

std::string Context::command_name() const {
  return command == nullptr ? program : cat(program, " ", command->name);
}

int dispatch(std::span<const std::string_view> words, ExecutorFactory make_executor) {
  Context context;
  context.make_executor = make_executor;
  context.program = words.empty() ? "caisson" : std::string(base_name(words[0]));
  context.face = face_of(context.program);
  auto rest = words.subspan(words.empty() ? 0 : 1);
  if (context.face == Face::kPeople) {
    context.program = "caisson";
    if (!rest.empty() && rest[0] == "oci") {
      context.face = Face::kEngine;
      context.program = "caisson-oci";
      rest = rest.subspan(1);
    }
  }
  context.reporter.program = context.program;
  context.reporter.engine_face = context.face == Face::kEngine;
  auto status = run_words(context, rest);
  if (status) return *status;
  Error error = std::move(status).error();
  if (context.face == Face::kPeople) error = with_general_cure(std::move(error));
  context.reporter.failure(error, failure_prefix(context, error));
  if (context.failure_status != 0) return context.failure_status;
  bool special = context.command != nullptr && context.command->failure_status != 0;
  return special ? context.command->failure_status : 1;
}

}  // namespace caisson::cli
