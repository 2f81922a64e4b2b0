#include <algorithm>

#include "base/clock.h"
#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/fault.h"
#include "container/foreground.h"
#include "container/sandbox.h"
#include "container/seccomp_agent.h"
#include "container/start_sequence.h"
#include "container/terminal.h"
#include "container/user.h"
#include "plan/compile.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

Result<> check_executable(const Container& container, const ExecOptions& options) {
  switch (container.status) {
    case Status::kCreated:
    case Status::kRunning: return {};
    case Status::kPaused:
      if (options.ignore_paused) return {};
      return std::unexpected(wrong_state(
          EBUSY, "cannot exec in a paused container (use --ignore-paused to override)"));
    case Status::kCreating:
    case Status::kStopped: break;
  }
  return std::unexpected(wrong_state(ESRCH, "cannot exec in a stopped container"));
}

void add_capabilities(const Strings& names, spec::Process& process) {
  if (names.empty()) return;
  if (!process.capabilities) process.capabilities.emplace();
  auto& sets = *process.capabilities;
  auto has = [](const Strings& set, const std::string& name) {
    return std::ranges::find(set, name) != set.end();
  };
  for (const auto& name : names) {
    for (Strings* set : {&sets.bounding, &sets.effective, &sets.permitted}) {
      if (!has(*set, name)) set->push_back(name);
    }
    // An inheritable capability survives the execve(2) of an ordinary user as an ambient one.
    if (has(sets.inheritable, name) && !has(sets.ambient, name)) sets.ambient.push_back(name);
  }
}

// The process to run: the one given, or the container's own with what the options change.
Result<spec::Process> chosen_process(const Container& container, const spec::ContainerSpec& spec,
                                     const ExecOptions& options) {
  spec::Process process;
  if (options.process) {
    process = *options.process;
  } else if (spec.process) {
    process = *spec.process;
    process.args.clear();
    process.terminal = false;
    process.console_size.reset();
  }
  if (!options.args.empty()) process.args = options.args;
  if (process.args.empty()) {
    return std::unexpected(Error::invalid("there is no command to run").where("process.args"));
  }
  process.env.insert(process.env.end(), options.env.begin(), options.env.end());
  if (!options.cwd.empty()) process.cwd = options.cwd;
  if (options.terminal) process.terminal = *options.terminal;
  if (options.no_new_privileges) process.no_new_privileges = *options.no_new_privileges;
  if (options.apparmor_profile) process.apparmor_profile = options.apparmor_profile;
  if (options.selinux_label) process.selinux_label = options.selinux_label;
  add_capabilities(options.capabilities, process);
  if (!options.user.empty()) {
    // What a sandbox's kernel shows as its root is no directory of a process of the host.
    std::string path = in_sandbox(container) ? container.state.rootfs
                                             : cat("/proc/", container.state.init.pid, "/root");
    Fd root = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_PATH | O_DIRECTORY), "open ", path);
    TRY(choose_user_in(options.user, root, process.user));
  }
  process.user.additional_gids.insert(process.user.additional_gids.end(),
                                      options.additional_gids.begin(),
                                      options.additional_gids.end());
  return process;
}

std::unexpected<Error> refuse_cgroup(std::string_view choice, std::string cause) {
  return std::unexpected(
      Error::invalid(std::move(cause)).where("--cgroup ", choice).code("option.value"));
}

// "[controllers:]path": moves those of the container's cgroups that are meant to what is below.
Result<> choose_cgroup(std::string_view choice, plan::CgroupLocations& cgroups) {
  auto [controllers, path] = split_once(choice, ':');
  if (path.empty()) std::swap(controllers, path);
  for (auto part : split(path, '/')) {
    if (part != "..") continue;
    return refuse_cgroup(choice, cat("bad sub cgroup path: ", path, " is not a sub cgroup path"));
  }
  while (path.starts_with('/')) path.remove_prefix(1);
  auto names = controllers.empty() ? std::vector<std::string_view>() : split(controllers, ',');
  auto has = [](const plan::CgroupLocation& cgroup, std::string_view name) {
    auto here = split(cgroup.controllers, ',');
    return std::ranges::find(here, name) != here.end();
  };
  for (auto name : names) {
    if (std::ranges::any_of(cgroups, [&](const auto& cgroup) { return has(cgroup, name); }))
      continue;
    return refuse_cgroup(choice, cat("unknown controller ", name, " in --cgroup"));
  }
  for (auto& cgroup : cgroups) {
    bool meant =
        names.empty() || std::ranges::any_of(names, [&](auto name) { return has(cgroup, name); });
    if (!meant || path.empty()) continue;
    append(cgroup.directory, "/", path);
    if (sys::faccessat(sys::kCwd, cgroup.directory.c_str(), F_OK)) continue;
    return std::unexpected(
        Error(Errno{ENOENT})
            .doing("adding pid of the process to cgroups: ", cgroup.directory, "/cgroup.procs")
            .step("cgroup")
            .code("cgroup.join"));
  }
  return {};
}

Result<> check_terminal(const ExecOptions& options, bool terminal) {
  bool socket = !options.console_socket.empty();
  if (terminal && options.detach && !socket) {
    return std::unexpected(
        Error::invalid("cannot allocate tty if runc will detach without setting console socket")
            .where("process.terminal")
            .cure("give --console-socket"));
  }
  if (socket && (!terminal || !options.detach)) {
    return std::unexpected(
        Error::invalid("cannot use console socket if runc will not detach or allocate tty")
            .where("--console-socket")
            .cure("leave --console-socket out, or give --detach and --tty"));
  }
  return {};
}

struct Exec {
  plan::ProcessPlan process;
  plan::ProcessHandle init;
  plan::ExecRequest request;
  Fd console_sender, console_receiver;
  SeccompAgent seccomp_agent;
};

Result<> make_plan(Context& context, Container& container, const ExecOptions& options, Exec& exec) {
  spec::ContainerSpec spec;
  TRY(read_spec(container, spec));
  auto process = TRY(chosen_process(container, spec, options));
  TRY(check_terminal(options, process.terminal));
  plan::Options plan_options;
  plan_options.id = container.state.id;
  plan_options.rootless = context.rootless;
  plan_options.no_new_keyring = options.no_new_keyring;
  plan_options.seccomp_receiver = options.seccomp_receiver;
  auto host = TRY(context.executor.process_facts());
  // What the container's own process cannot have was said at create; probes would repeat it.
  plan::Strings notices;
  exec.process = TRY(plan::compile_process(spec, process, host, plan_options, &notices));
  if (context.warn && !options.capabilities.empty()) {
    for (const auto& notice : notices) context.warn(notice);
  }
  exec.request.may_enter_all = host.privileged && !host.in_user_namespace;
  exec.request.tight_memory = plan::has_tight_memory(spec);
  exec.request.cgroups = container.state.cgroups;
  if (in_sandbox(container)) exec.request.sandbox = sandbox_address(context, container);
  for (const auto& choice : options.cgroups) TRY(choose_cgroup(choice, exec.request.cgroups));
  exec.request.resctrl_groups = container.state.resctrl_groups;
  const auto& seccomp = exec.process.seccomp;
  if (seccomp.has_listener()) {
    exec.seccomp_agent =
        TRY(SeccompAgent::connect(seccomp.listener_path, seccomp.listener_metadata));
  }
  return {};
}

Result<> make_console(const ExecOptions& options, Exec& exec) {
  if (!exec.process.terminal) return {};
  if (!options.console_socket.empty()) {
    exec.console_sender = TRY_CTX(sys::connect_unix(options.console_socket),
                                  "connect to the console socket ", options.console_socket);
    return {};
  }
  take_window_size(options.stdio, exec.process);
  auto pair = TRY_CTX(sys::socket_pair(), "make a socket pair for the terminal");
  exec.console_sender = std::move(pair.first);
  exec.console_receiver = std::move(pair.second);
  return {};
}

Result<plan::ProcessHandle> execute(Context& context, const ExecOptions& options, Exec& exec,
                                    const State& state, Status status) {
  exec.request.process = &exec.process;
  exec.request.init = &exec.init;
  exec.request.stdio = options.stdio;
  exec.request.console_socket = exec.console_sender.number();
  exec.request.preserve_fds = options.preserve_fds;
  exec.request.timeline = context.timeline;
  exec.request.share_memory = context.share_memory;
  exec.request.on_listener = [&](FdRef listener, int pid) {
    return exec.seccomp_agent.send(listener, pid, state, status);
  };
  auto process = context.executor.exec(exec.request);
  exec.console_sender.reset();
  return process;
}

Result<> tell_caller(const ExecOptions& options, const plan::ProcessHandle& process) {
  if (!options.pid_file.empty()) TRY(write_pid_file(options.pid_file, process.pid));
  if (options.pidfd_socket.empty()) return {};
  return send_to_socket(options.pidfd_socket, "pidfd", process.pidfd);
}

}  // namespace

// Takes no lock: probes of a container run beside each other, and nothing of ours changes.
Result<ExecResult> exec(Context& context, std::string_view id, const ExecOptions& options) {
  auto container = TRY(look_at(context, id));
  auto allowed = check_executable(container, options);
  if (!allowed) return std::unexpected(std::move(allowed).error().doing("container ", quoted(id)));
  Exec exec;
  fault_point(context, "exec", "plan");
  TRY(make_plan(context, container, options, exec));
  TRY(make_console(options, exec));
  exec.init = {container.state.init.pid, container.state.init.start_time,
               std::move(container.init)};
  std::optional<ForegroundSignals> signals;
  if (!options.detach) signals.emplace(TRY(ForegroundSignals::block()));
  fault_point(context, "exec", "execute");
  auto process = TRY(execute(context, options, exec, container.state, container.status));
  fault_point(context, "exec", "pid-file");
  if (auto told = tell_caller(options, process); !told) {
    // Nobody knows of it: it ends, and no zombie keeps the container's pid namespace.
    (void)sys::pidfd_send_signal(process.pidfd, SIGKILL);
    (void)sys::wait_pidfd(process.pidfd);
    return std::unexpected(std::move(told).error());
  }
  fault_point(context, "exec", "done");
  ExecResult result{process.pid, {}, {}};
  if (options.detach) {
    result.pidfd = std::move(process.pidfd);
    return result;
  }
  NotifyProxy none;
  result.exit =
      TRY(wait_in_foreground(process, *signals, exec.console_receiver, options.stdio, none));
  return result;
}

}  // namespace caisson::container
