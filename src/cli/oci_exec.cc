// caisson-oci exec.
#include <cstdlib>

#include "base/account_id.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/oci.h"
#include "cli/session.h"
#include "spec/command_line.h"
#include "spec/oci_config.h"
#include "spec/validate.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

// Engines tell a runtime's failure from a program's exit status by this one.
constexpr int kExecFailed = 255;

constexpr OptionSpec kOptions[] = {
    {"process", 'p', "FILE", "the whole process, as in a config.json"},
    {"cwd", 0, "DIR", "working directory"},
    {"env", 'e', "NAME=VALUE", "set a variable"},
    {"tty", 't', "", "give the program a terminal"},
    {"user", 'u', "UID[:GID]", "user and group"},
    {"additional-gids", 'g', "GID", "a supplementary group"},
    {"detach", 'd', "", "return when the program runs"},
    {"pid-file", 0, "FILE", "write the process id to FILE"},
    {"console-socket", 0, "PATH", "unix socket that takes the master of the terminal"},
    {"pidfd-socket", 0, "PATH", "unix socket that takes a pidfd of the process"},
    {"process-label", 0, "LABEL", "SELinux label"},
    {"apparmor", 0, "PROFILE", "AppArmor profile"},
    {"no-new-privs", 0, "", "do not let the program gain privileges"},
    {"cap", 'c', "NAME", "give a capability more"},
    {"preserve-fds", 0, "N", "pass descriptors 3 to 2+N on"},
    {"cgroup", 0, "[CONTROLLERS:]PATH", "cgroup below the container's"},
    {"ignore-paused", 0, "", "do not refuse a paused container"},
    {"no-subreaper", 0, "", ""},
};

Error bad_group(std::string_view text) {
  return Error::invalid("not the number of a group")
      .where("--additional-gids ", text)
      .code("option.value");
}

// A number, or a name of the container's passwd or group: never half of either.
bool is_account(std::string_view text) {
  if (text.empty()) return false;
  bool digit = text[0] >= '0' && text[0] <= '9';
  return digit ? parse_account_id(text).has_value() : text[0] != '-' && text[0] != '+';
}

// UID[:GID]
Result<std::string> checked_user(std::string_view text) {
  if (text.empty()) return std::string();
  auto [uid, gid] = split_once(text, ':');
  bool bad_uid = !is_account(uid);
  bool bad_gid = text.find(':') != std::string_view::npos && !is_account(gid);
  if (!bad_uid && !bad_gid) return std::string(text);
  std::string_view part = bad_uid ? uid : gid;
  return std::unexpected(
      Error::invalid(cat(bad_uid ? "bad uid: " : "bad gid: ", quoted(part), " is no id"))
          .where("--user ", text)
          .code("option.value")
          .cure("give UID or UID:GID"));
}

Result<> read_process_file(const Arguments& arguments, container::ExecOptions& out) {
  auto file = arguments.value("process");
  if (!file) return {};
  std::string path(*file);
  std::string text = TRY_CTX(sys::read_file(sys::kCwd, path.c_str()), "read the process ", path);
  out.process = TRY(spec::read_oci_process(text, path));
  return spec::validate_process(*out.process, path);
}

Result<> read_options(const Arguments& arguments, container::ExecOptions& out) {
  TRY(read_process_file(arguments, out));
  const auto& words = arguments.operands();
  for (std::size_t i = 1; i < words.size(); ++i) out.args.emplace_back(words[i]);
  for (auto entry : arguments.all("env")) {
    if (entry.find('=') == std::string_view::npos || entry.starts_with('=')) {
      return std::unexpected(Error::invalid("invalid environment variable: missing '='")
                                 .where("--env ", entry)
                                 .code("option.value"));
    }
    out.env.emplace_back(entry);
  }
  for (auto list : arguments.all("additional-gids")) {
    for (auto gid : split(list, ',')) {
      auto id = parse_account_id(gid);
      if (!id) return std::unexpected(bad_group(gid));
      out.additional_gids.push_back(*id);
    }
  }
  for (auto list : arguments.all("cap")) {
    for (auto name : split(list, ',')) {
      // An unknown one is left to the plan, which warns and goes on.
      auto known = spec::capability_name(name);
      out.capabilities.push_back(known ? *known : std::string(name));
    }
  }
  if (arguments.has("tty")) out.terminal = arguments.flag("tty");
  if (arguments.has("no-new-privs")) out.no_new_privileges = arguments.flag("no-new-privs");
  if (auto profile = arguments.value("apparmor")) out.apparmor_profile = *profile;
  if (auto label = arguments.value("process-label")) out.selinux_label = *label;
  out.preserve_fds = TRY(preserved_fds(arguments, out.env));
  out.cwd = arguments.value_or("cwd", "");
  out.user = TRY(checked_user(arguments.value_or("user", "")));
  for (auto cgroup : arguments.all("cgroup")) out.cgroups.emplace_back(cgroup);
  out.detach = arguments.flag("detach");
  out.ignore_paused = arguments.flag("ignore-paused");
  out.pid_file = arguments.value_or("pid-file", "");
  out.console_socket = arguments.value_or("console-socket", "");
  out.pidfd_socket = arguments.value_or("pidfd-socket", "");
  if (const char* receiver = std::getenv("RUN_OCI_SECCOMP_RECEIVER")) {
    out.seccomp_receiver = receiver;
  }
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  container::ExecOptions options;
  TRY(read_options(arguments, options));
  if (options.args.empty() && !options.process) {
    return std::unexpected(Error::invalid("process args cannot be empty").code(kUsageCode));
  }
  Session session = TRY(Session::open(context));
  auto result = TRY(container::exec(session.containers(), arguments.operands()[0], options));
  return options.detach ? 0 : result.exit.shell_status();
}

}  // namespace

const Command kOciExecCommand{
    .name = "exec",
    .group = "Life cycle",
    .operands = "[options] ID [COMMAND [ARGUMENT...]]",
    .summary = "Run one more process in a running container",
    .details = "The exit status is the program's, or 128 + signal; 255 when it could not be run.",
    .examples =
        "caisson-oci exec web ls /\n"
        "caisson-oci exec --process process.json --detach --pid-file pid web",
    .options = kOptions,
    .shared_options = {},
    .raw_after = 1,
    .min_operands = 1,
    .run = run,
    .failure_status = kExecFailed,
};

}  // namespace caisson::cli
