#include "cli/run_options.h"

#include <unistd.h>

#include "base/text.h"
#include "cli/caller.h"
#include "container/api.h"
#include "plan/sandbox.h"
#include "spec/oci_config.h"
#include "sys/file.h"
#include "sys/tty.h"

namespace caisson::cli {

constexpr OptionSpec kRunOptions[kRunOptionCount] = {
    {"name", 0, "NAME", "name of the container (default: a random one)"},
    {"tty", 't', "", "give the command a terminal: raw mode, window size, job control"},
    {"interactive", 'i', "", "keep standard input open (in the foreground it always is)"},
    {"env", 'e', "NAME[=VALUE]", "set a variable; without a value, take the caller's"},
    {"env-file", 0, "FILE", "set variables from lines NAME=VALUE"},
    {"volume", 'v', "SRC[:DST][:ro]", "show a real directory or file of the machine at DST"},
    {"tmpfs", 0, "DST[:OPTIONS]", "an empty file system in memory at DST"},
    {"workdir", 'w', "DIR", "working directory (default: the current one; / with --rootfs)"},
    {"user", 'u', "USER[:GROUP]", "user, by name or number"},
    {"hostname", 0, "NAME", "host name (default: the container's name)"},
    {"read-only", 0, "", "make the root file system read-only"},
    {"rootfs", 0, "DIR", "use DIR as the root, not a view of this machine"},
    {"network", 0, "none|host", "none (default) has loopback only; host shares the machine's"},
    {"memory", 'm', "SIZE", "limit of memory: 64m, 2g"},
    {"memory-swap", 0, "SIZE", "limit of memory and swap together; -1: none"},
    {"cpus", 0, "N", "limit of CPU time: 1.5 is one and a half CPUs"},
    {"pids", 0, "N", "limit of the number of processes"},
    {"pids-limit", 0, "N", ""},
    {"cap-add", 0, "NAME", "give a capability more: net_admin, or ALL"},
    {"cap-drop", 0, "NAME", "take a capability away, or ALL"},
    {"new-privileges", 0, "", "let set-user-id programs gain privileges"},
    {"seccomp", 0, "default|unconfined|FILE", "system call filter; FILE is a linux.seccomp object"},
    {"annotation", 0, "NAME=VALUE", "annotation of the container"},
    {"wall", 0, "namespaces|sandbox",
     "what is around the command: the host's kernel (default), or one of our own in user space"},
    {"platform", 0, "systrap[,nopatch]|ptrace",
     "how a sandbox traps system calls (default: the faster one)"},
    {"sandbox", 0, "NAME", "run in the sandbox of a container that runs, beside it"},
    {"overlay", 0, "none|memory[,size=N]|DIR", "where a sandbox's writes to its root go"},
    {"strace", 0, "FILE", "write what a sandbox's programs ask of their kernel to FILE"},
    {"strace-calls", 0, "NAME,...", "only these system calls go to --strace"},
};
static_assert(!kRunOptions[kRunOptionCount - 1].name.empty(), "kRunOptionCount is too large");

namespace {

Error bad_value(std::string_view option, std::string_view value, std::string_view why) {
  return Error::invalid(std::string(why)).where("--", option, " ", value).code("option.value");
}

void take_all(const Arguments& arguments, std::string_view name, spec::Strings& out) {
  for (auto value : arguments.all(name)) out.emplace_back(value);
}

Result<> read_environment(const Arguments& arguments, spec::Strings& env) {
  for (auto file : arguments.all("env-file")) {
    for (auto& line : TRY(read_env_file(std::string(file)))) env.push_back(std::move(line));
  }
  take_all(arguments, "env", env);
  return {};
}

Result<> read_network(const Arguments& arguments, spec::RunOptions& out) {
  auto network = arguments.value_or("network", "none");
  if (network != "none" && network != "host") {
    return std::unexpected(bad_value("network", network, "unknown kind of network")
                               .cure("use --network none or --network host"));
  }
  out.network = network == "host" ? spec::NetworkMode::kHost : spec::NetworkMode::kNone;
  return {};
}

// The wall and what belongs to it are annotations, as an engine's configuration has them too; the
// plan checks their values.
void read_wall(const Arguments& arguments, const spec::CallerFacts& caller, spec::RunOptions& out) {
  struct Choice {
    std::string_view option, annotation;
    bool is_path;
  };
  constexpr Choice kChoices[] = {{"wall", plan::kWallAnnotation, false},
                                 {"platform", plan::kPlatformAnnotation, false},
                                 {"sandbox", plan::kSandboxAnnotation, false},
                                 {"overlay", plan::kOverlayAnnotation, false},
                                 {"strace", plan::kStraceAnnotation, true},
                                 {"strace-calls", plan::kStraceCallsAnnotation, false}};
  if (arguments.value("sandbox") && !arguments.value("wall"))
    out.annotations.push_back(cat(plan::kWallAnnotation, "=sandbox"));
  for (const auto& choice : kChoices) {
    auto value = arguments.value(choice.option);
    if (!value) continue;
    bool relative = choice.is_path && !value->starts_with('/');
    out.annotations.push_back(
        cat(choice.annotation, "=", relative ? cat(caller.cwd, "/") : std::string(), *value));
  }
}

// The object is read as part of a configuration that has nothing else.
Result<> read_seccomp(const Arguments& arguments, spec::RunOptions& out) {
  std::string value(arguments.value_or("seccomp", "default"));
  if (value == "default") return {};
  if (value == "unconfined") {
    out.seccomp = spec::SeccompMode::kUnconfined;
    return {};
  }
  std::string text =
      TRY_CTX(sys::read_file(sys::kCwd, value.c_str()), "read the seccomp profile ", value);
  for (std::string_view key : {"\"archMap\"", "\"includes\"", "\"excludes\""}) {
    if (text.find(key) == std::string::npos) continue;
    return std::unexpected(
        bad_value("seccomp", value, cat("the file is a template of another program: it has ", key))
            .cure("give the finished profile: the linux.seccomp object of an OCI configuration"));
  }
  std::string config = cat(R"({"ociVersion":"1.3.0","linux":{"seccomp":)", text, "}}");
  auto spec =
      TRY_CTX(spec::read_oci_config(config, "/", value), "read the seccomp profile ", value);
  out.seccomp = spec::SeccompMode::kGiven;
  if (spec.linux_part) out.seccomp_profile = std::move(spec.linux_part->seccomp);
  return {};
}

Result<> read_rootfs(const Arguments& arguments, spec::RunOptions& out) {
  auto rootfs = arguments.value("rootfs");
  if (!rootfs) return {};
  std::string given(*rootfs);
  Fd dir = TRY_CTX(sys::openat(sys::kCwd, given.c_str(), O_PATH | O_DIRECTORY),
                   "open the root file system ", given);
  out.rootfs = TRY_CTX(sys::readlink(sys::kCwd, cat("/proc/self/fd/", dir.number()).c_str()),
                       "find the path of ", given);
  return {};
}

Result<> check_volumes(const spec::RunOptions& options, const spec::CallerFacts& caller) {
  for (const auto& text : options.volumes) {
    spec::Volume volume = TRY(spec::parse_volume(text, caller.cwd));
    auto found = sys::fstatat(sys::kCwd, volume.source.c_str());
    if (found) continue;
    return std::unexpected(Error(found.error())
                               .doing("mount ", volume.source, " on ", volume.destination)
                               .where("--volume ", text)
                               .code("mount.source")
                               .cure("make ", volume.source, ", or correct the path"));
  }
  return {};
}

Result<> read_command(const Context& context, const Arguments& arguments, spec::RunOptions& out,
                      const spec::CallerFacts& caller) {
  for (auto word : arguments.operands()) out.command.emplace_back(word);
  if (!out.command.empty()) return {};
  // Nothing to run, but somebody at a terminal: a shell is what he wants.
  if (!sys::is_terminal(FdRef(STDIN_FILENO)) && !arguments.flag("tty")) {
    return std::unexpected(usage_error(context.command_name(), "no command to run")
                               .cure("say what to run: ", context.command_name(), " -- ls -l"));
  }
  std::string shell = "/bin/sh";
  if (out.rootfs.empty()) {
    for (const auto& entry : caller.env) {
      if (entry.starts_with("SHELL=/")) shell = entry.substr(6);
    }
  }
  out.command = {shell};
  out.terminal = true;
  return {};
}

}  // namespace

Result<spec::Strings> read_env_file(const std::string& path) {
  std::string text =
      TRY_CTX(sys::read_file(sys::kCwd, path.c_str()), "read the environment file ", path);
  spec::Strings lines;
  std::size_t number = 0;
  for (auto line : split(text, '\n')) {
    ++number;
    while (line.ends_with('\r')) line.remove_suffix(1);
    auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    line.remove_prefix(begin);
    auto name = split_once(line, '=').first;
    if (name.empty() || name.find_first_of(" \t") != std::string_view::npos) {
      return std::unexpected(Error::invalid(cat(quoted(name), " is not the name of a variable"))
                                 .where(path, ":", number)
                                 .code("option.value")
                                 .cure("write lines NAME=VALUE"));
    }
    lines.emplace_back(line);
  }
  return lines;
}

Result<spec::RunOptions> read_run_options(const Context& context, const Arguments& arguments,
                                          const spec::CallerFacts& caller) {
  spec::RunOptions out;
  out.id = arguments.value_or("name", "");
  if (out.id.empty()) {
    out.id = container::random_id();
  } else {
    TRY(container::check_id(out.id));
  }
  TRY(read_rootfs(arguments, out));
  out.terminal = arguments.flag("tty");
  out.user = arguments.value_or("user", "");
  out.workdir = arguments.value_or("workdir", "");
  out.hostname = arguments.value_or("hostname", "");
  out.memory = arguments.value_or("memory", "");
  out.memory_swap = arguments.value_or("memory-swap", "");
  out.cpus = arguments.value_or("cpus", "");
  out.pids = arguments.value_or("pids", arguments.value_or("pids-limit", ""));
  out.read_only = arguments.flag("read-only");
  out.new_privileges = arguments.flag("new-privileges");
  take_all(arguments, "volume", out.volumes);
  take_all(arguments, "tmpfs", out.tmpfs);
  take_all(arguments, "cap-add", out.cap_add);
  take_all(arguments, "cap-drop", out.cap_drop);
  take_all(arguments, "annotation", out.annotations);
  read_wall(arguments, caller, out);
  TRY(read_environment(arguments, out.env));
  TRY(read_network(arguments, out));
  TRY(read_seccomp(arguments, out));
  TRY(check_volumes(out, caller));
  TRY(read_command(context, arguments, out, caller));
  return out;
}

Result<Described> describe_run(const Context& context, const Arguments& arguments) {
  Described out;
  spec::CallerFacts caller = TRY(look_at_caller());
  out.options = TRY(read_run_options(context, arguments, caller));
  Accounts accounts;
  if (!out.options.user.empty()) accounts = TRY(read_accounts(out.options.rootfs));
  caller.accounts = {accounts.passwd, accounts.group};
  out.spec = TRY(spec::from_run_options(out.options, caller));
  return out;
}

}  // namespace caisson::cli
