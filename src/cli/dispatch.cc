// From the words of the command line to one command's function, and from its error to a status.
#include <algorithm>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/dialect.h"
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

// error, warning, debug: as crun takes them.
Result<> apply_log_level(Reporter& reporter, std::string_view level) {
  if (level != "error" && level != "warning" && level != "debug") {
    return std::unexpected(Error::invalid(cat("unknown verbosity `", level, "` specified"))
                               .code(kUsageCode)
                               .cure("use error, warning or debug"));
  }
  reporter.warnings = level != "error";
  reporter.debug = level == "debug";
  return {};
}

Result<> apply_engine_globals(Context& context, const Arguments& arguments) {
  if (auto level = arguments.value("log-level")) TRY(apply_log_level(context.reporter, *level));
  if (context.debug) TRY(apply_log_level(context.reporter, "debug"));
  auto manager = arguments.value("cgroup-manager");
  if (!manager) return {};
  if (*manager != "cgroupfs" && *manager != "systemd" && *manager != "disabled") {
    return std::unexpected(Error::invalid("unknown cgroup manager specified")
                               .code(kUsageCode)
                               .cure("use cgroupfs, systemd or disabled"));
  }
  context.systemd_cgroup |= *manager == "systemd";
  context.no_cgroups = *manager == "disabled";
  return {};
}

Result<> apply_globals(Context& context, const Arguments& arguments) {
  if (auto root = arguments.value("root")) {
    context.root = TRY(chosen_state_root(context.face, *root));
    context.default_root = false;
  }
  if (auto log = arguments.value("log")) context.reporter.log = parse_log_target(*log);
  if (auto format = arguments.value("log-format")) {
    if (*format != "text" && *format != "json") {
      bool runc = context.face == Face::kEngine && context.dialect == Dialect::kRunc;
      return std::unexpected(Error::invalid(runc ? cat("invalid log-format: ", *format)
                                                 : cat("unknown log format ", quoted(*format)))
                                 .code(kUsageCode)
                                 .cure("use --log-format text or --log-format json"));
    }
    context.reporter.format = *format == "json" ? LogFormat::kJson : LogFormat::kText;
  }
  if (arguments.has("debug")) context.debug = arguments.flag("debug");
  if (context.face == Face::kEngine) TRY(apply_engine_globals(context, arguments));
  if (arguments.has("quiet")) context.reporter.quiet = arguments.flag("quiet");
  if (auto timeline = arguments.value("timeline")) {
    context.timeline = timeline->empty() ? "-" : std::string(*timeline);
  }
  context.criu = arguments.value_or("criu", "");
  context.wall = arguments.value_or("wall", context.wall);
  if (arguments.has("systemd-cgroup")) context.systemd_cgroup = arguments.flag("systemd-cgroup");
  return {};
}

Error unknown_command(Context& context, std::string_view name) {
  if (context.face == Face::kEngine) {
    context.failure_status = unknown_command_status(context.dialect);
    return unknown_engine_command(context.dialect, name);
  }
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

// runc shows how it is used, on standard output, before it says what was wrong.
void show_usage(const Context& context, std::string_view problem) {
  if (context.face != Face::kEngine || context.dialect != Dialect::kRunc) return;
  std::string text = cat("Incorrect Usage", problem.empty() ? "." : ": ", problem, "\n\n");
  text += context.command == nullptr
              ? help_overview(context.face, context.program)
              : help_command(context.face, context.program, *context.command);
  (void)print(text);
}

Result<Arguments> parse_words(Context& context, const Grammar& grammar,
                              std::span<const std::string_view> words) {
  auto arguments = parse_arguments(grammar, words);
  if (arguments || context.face == Face::kPeople) return arguments;
  context.misused = true;
  context.failure_status = bad_option_status(context.dialect);
  show_usage(context, arguments.error().cause());
  return arguments;
}

Result<> check_operands(Context& context, const Arguments& arguments) {
  const Command& command = *context.command;
  int count = static_cast<int>(arguments.operands().size());
  bool too_many = command.max_operands >= 0 && count > command.max_operands;
  if (context.face == Face::kEngine && (count < command.min_operands || too_many)) {
    context.misused = true;
    context.failure_status = 1;
    show_usage(context, {});
    return std::unexpected(wrong_operand_count(context.dialect, context.program, command.name,
                                               count, command.min_operands, command.max_operands));
  }
  std::string name = context.command_name();
  if (count < command.min_operands) {
    return std::unexpected(
        usage_error(name, cat("too few arguments, expected: ", name, " ", command.operands)));
  }
  if (too_many) {
    auto extra = arguments.operands()[static_cast<std::size_t>(command.max_operands)];
    return std::unexpected(usage_error(name, cat("unexpected argument ", quoted(extra))));
  }
  return {};
}

void take_manners(const Context& context, Grammar& grammar) {
  if (context.face != Face::kEngine) return;
  grammar.single_dash_long = true;
  grammar.wording = wording_of(context.dialect);
}

Result<int> run_command(Context& context, std::span<const std::string_view> words) {
  const Command& command = *context.command;
  Grammar grammar;
  std::string name = context.command_name();
  grammar.command = name;
  grammar.tables = {command.options, command.shared_options, {}};
  if (context.face == Face::kPeople) grammar.tables[2] = global_options(context.face);
  grammar.raw_after = command.raw_after;
  take_manners(context, grammar);
  Arguments arguments = TRY(parse_words(context, grammar, words));
  if (arguments.wants_help()) {
    TRY(print(help_command(context.face, context.program, command)));
    return 0;
  }
  if (context.face == Face::kPeople) TRY(apply_globals(context, arguments));
  TRY(check_operands(context, arguments));
  if (context.default_root) context.root = default_state_root(context.face, context.program);
  if (context.reporter.debug) {
    context.reporter.trace(cat("caisson ", CAISSON_VERSION, ": ", command.name, " ",
                               join(arguments.operands(), " "), ", state in ", context.root));
  }
  return command.run(context, arguments);
}

Result<int> run_words(Context& context, std::span<const std::string_view> words) {
  Grammar grammar;
  grammar.command = context.program;
  grammar.tables = {global_options(context.face), {}, {}};
  grammar.raw_after = 0;
  take_manners(context, grammar);
  Arguments globals = TRY(parse_words(context, grammar, words));
  TRY(apply_globals(context, globals));
  if (globals.flag("version") || globals.flag("Version")) {
    if (context.default_root) context.root = default_state_root(context.face, context.program);
    TRY(print(version_text(context.program, context.root)));
    return 0;
  }
  const auto& rest = globals.operands();
  if (globals.wants_help() || globals.flag("usage") || rest.empty()) {
    TRY(print(help_overview(context.face, context.program)));
    return 0;
  }
  context.command = find_command(context.face, rest[0]);
  if (context.command == nullptr) return std::unexpected(unknown_command(context, rest[0]));
  return run_command(context, std::span(rest).subspan(1));
}

}  // namespace

std::string Context::command_name() const {
  return command == nullptr ? program : cat(program, " ", command->name);
}

int dispatch(std::span<const std::string_view> words, ExecutorFactory make_executor,
             TextSource syscall_page) {
  Context context;
  auto asks = [](std::string_view word) {
    return word.starts_with("--timeline") || word == "--debug";
  };
  if (std::ranges::any_of(words, asks)) context.start = look_at_program_start();
  context.make_executor = make_executor;
  context.syscall_page = syscall_page;
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
  context.dialect = dialect_of(context.program);
  context.reporter.program = context.program;
  context.reporter.engine_face = context.face == Face::kEngine;
  context.reporter.dialect = context.dialect;
  context.reporter.warnings = context.dialect == Dialect::kRunc;
  auto status = run_words(context, rest);
  if (status) return *status;
  Error error = std::move(status).error();
  if (context.face == Face::kPeople) error = with_general_cure(std::move(error));
  bool of_command = context.face == Face::kEngine && context.command != nullptr && !context.misused;
  context.reporter.failure(error, of_command ? context.command->name : std::string_view());
  if (context.failure_status != 0) return context.failure_status;
  bool special = context.command != nullptr && context.command->failure_status != 0;
  return special ? context.command->failure_status : 1;
}

}  // namespace caisson::cli
