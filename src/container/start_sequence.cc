#include "container/start_sequence.h"

#include <linux/seccomp.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "container/control.h"
#include "container/errors.h"
#include "container/fault.h"
#include "container/hooks.h"
#include "container/journal.h"
#include "container/process.h"
#include "container/repair.h"
#include "container/sandbox.h"
#include "container/terminal.h"
#include "plan/compile.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

bool we_hold_the_terminal(const Start& start) {
  bool holds = start.run && *start.run != RunMode::kDetached;
  return holds && start.plan.process.terminal && start.options.console_socket.empty();
}

bool on_machine_view(const Start& start) { return start.plan.mounts.root.machine_view; }

// --- before anything is touched

Result<> check_options(Start& start) {
  const CreateOptions& options = start.options;
  TRY(check_id(options.id));
  if (!open_folder(start.context, options.id)) return {};
  // It may be one that a killed command left: looking at it removes it.
  auto there = look_at(start.context, options.id);
  if (there) return std::unexpected(taken_name(options.id));
  if (there.error().code() == "container.missing") return {};
  return std::unexpected(std::move(there).error());
}

Result<> check_terminal(const Start& start) {
  bool socket = !start.options.console_socket.empty();
  bool terminal = start.plan.process.terminal;
  if (terminal && !socket && !we_hold_the_terminal(start)) {
    return std::unexpected(
        Error::invalid("cannot allocate tty if runc will detach without setting console socket")
            .where("process.terminal")
            .cure("give --console-socket, or set process.terminal to false"));
  }
  bool foreground = start.run == RunMode::kForeground;
  if (socket && (!terminal || foreground)) {
    return std::unexpected(
        Error::invalid("cannot use console socket if runc will not detach or allocate tty")
            .where("--console-socket")
            .cure("leave --console-socket out, or detach and set process.terminal to true"));
  }
  return {};
}

// The longest work of the kernel in a start begins before everything else is known.
void announce_network(const Start& start) {
  const auto& os = start.options.spec->linux_part;
  if (!os || start.context.rootless || start.options.restore != nullptr) return;
  bool network = false;
  for (const auto& ns : os->namespaces) {
    bool by_another_process = ns.kind == spec::NamespaceKind::kUser ||
                              ns.kind == spec::NamespaceKind::kTime ||
                              (ns.kind == spec::NamespaceKind::kPid && !ns.path.empty());
    if (by_another_process) return;
    network |= ns.kind == spec::NamespaceKind::kNetwork && ns.path.empty();
  }
  if (network) start.context.executor.expect_new_network();
}

// As runc says it, and tests for it. The flags that every thread or a listener needs are of no
// interest.
void tell_filter_flags(const Start& start) {
  const auto& seccomp = start.plan.process.seccomp;
  constexpr auto kOurs = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER |
                         SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  if (!start.context.debug || seccomp.program.empty()) return;
  start.context.debug(cat("seccomp filter flags: ", seccomp.filter_flags & ~kOurs));
}

Result<> make_plan(Start& start) {
  const CreateOptions& options = start.options;
  bool view = options.spec->root_source == spec::RootSource::kMachineView;
  announce_network(start);
  start.host = TRY(start.context.executor.host_facts(view));
  plan::Options plan_options;
  plan_options.id = options.id;
  plan_options.no_pivot = options.no_pivot;
  plan_options.no_cgroups = options.no_cgroups;
  plan_options.systemd_scope = options.systemd_scope;
  plan_options.no_new_keyring = options.no_new_keyring;
  plan_options.rootless = start.context.rootless;
  plan_options.cgroup_parent = options.cgroup_parent;
  plan_options.default_cgroup_name =
      options.default_cgroup_name.empty() ? options.id : options.default_cgroup_name;
  plan_options.seccomp_receiver = options.seccomp_receiver;
  if (!options.notify_socket.empty()) {
    plan_options.notify_directory =
        cat(folder_path(start.context, options.id), "/", kNotifyDirectory);
  }
  start.plan = TRY(plan::compile(*options.spec, start.host, plan_options));
  if (start.plan.sandbox && !start.plan.sandbox->joined.empty())
    TRY(check_joined(start.context, start.plan.sandbox->joined));
  tell_notices(start.context, start.plan);
  tell_filter_flags(start);
  return check_terminal(start);
}

// A container that waits for its start reaches its agent then (start.cc): an agent that serves one
// connection after the other would otherwise wait with it.
Result<> reach_seccomp_agent(Start& start) {
  const auto& seccomp = start.plan.process.seccomp;
  if (!seccomp.has_listener() || start.options.restore != nullptr) return {};
  if (!start.run) return SeccompAgent::check(seccomp.listener_path);
  start.seccomp_agent =
      TRY(SeccompAgent::connect(seccomp.listener_path, seccomp.listener_metadata));
  return {};
}

// --- the folder

State first_state(const Start& start) {
  State state;
  state.id = start.options.id;
  state.oci_version = start.options.spec->oci_version;
  state.bundle = start.options.bundle;
  state.rootfs = on_machine_view(start) ? "/" : start.plan.mounts.root.path;
  state.created = realtime_ns();
  state.annotations = start.plan.annotations;
  if (const auto& scope = start.plan.cgroup.scope) {
    state.systemd_scope = scope->unit;
    state.systemd_user = scope->user;
  }
  state.labels = start.options.labels;
  state.owner = start.host.uid;
  state.wall = start.plan.sandbox ? "sandbox" : start.options.wall;
  if (start.plan.sandbox) state.sandbox = start.plan.sandbox->joined;
  state.command = start.plan.process.args;
  state.terminal = start.plan.process.terminal;
  state.remove_on_exit = start.remove_on_exit;
  state.logged = start.run == RunMode::kSupervised;
  state.log_limit = start.log_limit;
  if (start.plan.process.seccomp.has_listener()) {
    state.seccomp_agent = start.plan.process.seccomp.listener_path;
    state.seccomp_metadata = start.plan.process.seccomp.listener_metadata;
  }
  if (on_machine_view(start) && !start.plan.sandbox) {
    for (const auto& step : start.plan.mounts.steps) {
      if (step.op != plan::MountOp::kOverlayView) continue;
      state.layers.push_back({step.layer, step.target, step.source});
    }
  }
  return state;
}

// A signal to us is one for the program from its first instruction on. Without hooks, which may
// take their time, it has no chance to leave a half-made container either; with them it ends the
// start.
Result<> catch_signals(Start& start) {
  if (start.run != RunMode::kForeground || start.signals) return {};
  start.signals.emplace(TRY(ForegroundSignals::block()));
  return {};
}

bool has_create_hooks(const spec::Hooks& hooks) {
  return !hooks.prestart.empty() || !hooks.create_runtime.empty() ||
         !hooks.create_container.empty();
}

Result<> claim(Start& start) {
  if (!has_create_hooks(start.plan.hooks)) TRY(catch_signals(start));
  State state = first_state(start);
  state.boot_id = TRY_CTX(sys::boot_id(), "read the boot id");
  if (start.run && *start.run != RunMode::kDetached) state.supervisor = TRY(own_process());
  auto claim = TRY(claim_folder(start.context, state.id, start.options.config_text));
  start.container.folder = std::move(claim.folder);
  start.container.lock = std::move(claim.lock);
  start.container.config = start.options.config_text;
  start.container.state = std::move(state);
  start.container.status = Status::kCreating;
  return {};
}

// A FIFO whose writing end is opened for reading too: the container sees neither end of file nor
// SIGPIPE when the supervisor dies, and another one can go on reading. The folder is closed to
// others, so that the mode only matters to processes that reopen the descriptor they were given
// (/dev/stdout).
Result<> open_output(FdRef dir, const char* name, Fd& reader, Fd& writer) {
  TRY_CTX(sys::mknodat(dir, name, S_IFIFO | 0600, 0), "make the FIFO ", name);
  reader = TRY_CTX(sys::openat(dir, name, O_RDONLY | O_NONBLOCK), "open the FIFO ", name);
  writer = TRY_CTX(sys::openat(dir, name, O_RDWR), "open the FIFO ", name);
  TRY_CTX(sys::fchmod(writer, 0666), "change the mode of the FIFO ", name);
  return {};
}

Result<> make_output(Start& start) {
  start.stdio = start.options.stdio;
  if (start.run != RunMode::kSupervised) return {};
  Fd dir = TRY(make_folder(start.container.folder));
  start.log = TRY(LogWriter::open(dir, start.log_limit));
  start.control = TRY_CTX(sys::listen_unix(dir, kControlSocket), "make the control socket");
  if (start.plan.process.terminal) return {};
  TRY(open_output(dir, "stdout", start.out_reader, start.out_writer));
  TRY(open_output(dir, "stderr", start.err_reader, start.err_writer));
  start.null_input = TRY_CTX(sys::openat(sys::kCwd, "/dev/null", O_RDONLY), "open /dev/null");
  start.stdio = {start.null_input.number(), start.out_writer.number(), start.err_writer.number()};
  return {};
}

// The directory waits for the `start` that listens in it.
Result<> make_notify(Start& start) {
  const std::string& manager = start.options.notify_socket;
  if (manager.empty()) return {};
  Fd dir = TRY(make_folder(start.container.folder));
  TRY_CTX(sys::mkdirat(dir, kNotifyDirectory, 0755), "make the directory for notifications");
  if (start.run) start.notify = TRY(NotifyProxy::open(dir, manager));
  return {};
}

Result<> make_console(Start& start) {
  if (!start.plan.process.terminal) return {};
  const std::string& path = start.options.console_socket;
  if (!path.empty()) {
    start.console_sender = TRY_CTX(sys::connect_unix(path), "connect to the console socket ", path);
    return {};
  }
  if (start.run == RunMode::kForeground) {
    take_window_size(start.options.stdio, start.plan.process);
  }
  auto pair = TRY_CTX(sys::socket_pair(), "make a socket pair for the terminal");
  start.console_sender = std::move(pair.first);
  start.console_receiver = std::move(pair.second);
  return {};
}

// --- the process

Result<> note_process(Start& start, const plan::ProcessHandle& process,
                      const plan::CgroupLocations& cgroups) {
  start.container.state.init = {process.pid, process.start_time};
  start.container.state.cgroups = cgroups;
  // One save does for a run in the foreground: should we be killed before the program runs, init
  // dies with us, and the container is taken away as one that has ended.
  if (start.run == RunMode::kForeground) start.container.state.progress = Progress::kStarted;
  start.container.init = TRY_CTX(sys::dup_cloexec(process.pidfd), "duplicate a pidfd");
  TRY(save(start.container));
  fault_point(start.context, "create", "process");
  return {};
}

Result<> run_create_hooks(Start& start, plan::HookPhase phase, const plan::ProcessHandle& process) {
  fault_point(start.context, "create", "hooks");
  Container& container = start.container;
  if (!container.state.hooks_begun) {
    container.state.hooks_begun = true;
    TRY(save(container));
  }
  Snapshot snapshot{container.state, Status::kCreating, {}};
  std::string state = state_json(snapshot, "");
  const spec::Hooks& hooks = start.plan.hooks;
  auto output = TRY(HookOutput::open(start.plan.annotations));
  HookPlace place = output.place();
  if (phase == plan::HookPhase::kPrestart) {
    return run_hooks(hooks.prestart, "prestart", state, place);
  }
  if (phase == plan::HookPhase::kCreateRuntime) {
    return run_hooks(hooks.create_runtime, "createRuntime", state, place);
  }
  place.pidfd = process.pidfd.number();
  place.namespaces = own_namespaces(start.plan.namespaces);
  TRY(run_hooks(hooks.create_container, "createContainer", state, place));
  return catch_signals(start);  // this phase is the last one
}

void keep_created(Start& start, plan::CreateResult created) {
  if (start.context.warn) {
    for (const auto& notice : created.notices) start.context.warn(notice);
  }
  Container& container = start.container;
  State& state = container.state;
  state.init = {created.init.pid, created.init.start_time};
  state.cgroups = std::move(created.cgroups);
  state.resctrl_groups = std::move(created.resctrl_groups);
  container.init = std::move(created.init.pidfd);
  start.layers = std::move(created.layers);
  start.console_sender.reset();
  start.out_writer.reset();
  start.err_writer.reset();
  start.null_input.reset();
}

// The hooks of createContainer belong to a root that is being built: there is none here.
Result<> run_restore_hooks(Start& start, plan::HookPhase phase,
                           const plan::ProcessHandle& process) {
  TRY(run_create_hooks(start, phase, process));
  return phase == plan::HookPhase::kCreateRuntime ? catch_signals(start) : Result<>{};
}

Result<> restore(Start& start) {
  Journal journal(start.container.lock.file());
  plan::RestoreRequest request;
  request.plan = &start.plan;
  request.options = start.options.restore;
  request.undo = &journal;
  request.stdio = start.stdio;
  request.console_socket = start.console_sender.number();
  request.timeline = start.context.timeline;
  request.on_process = [&](const plan::ProcessHandle& process,
                           const plan::CgroupLocations& cgroups) {
    return note_process(start, process, cgroups);
  };
  request.run_hooks = [&](plan::HookPhase phase, const plan::ProcessHandle& process) {
    return run_restore_hooks(start, phase, process);
  };
  keep_created(start, TRY(start.context.executor.restore(request)));
  return catch_signals(start);
}

Result<> execute(Start& start) {
  if (start.options.restore != nullptr && !start.plan.sandbox) return restore(start);
  Container& container = start.container;
  Journal journal(container.lock.file());
  plan::CreateRequest request;
  request.plan = &start.plan;
  StartSocket socket;
  if (!start.run) socket = TRY(start_socket(container.folder));
  request.state_dir = socket.directory.number();
  request.start_socket = socket.name;
  request.scratch_dir = start.context.root;
  request.restore = start.options.restore;
  request.undo = &journal;
  request.wait_for_start = !start.run;
  request.stdio = start.stdio;
  request.console_socket = start.console_sender.number();
  request.preserve_fds = start.options.preserve_fds;
  request.extra_env = start.options.extra_env;
  request.end_with_caller = start.end_with_caller;
  request.want_layers = on_machine_view(start) && !start.plan.sandbox && start.run &&
                        *start.run != RunMode::kDetached;
  request.timeline = start.context.timeline;
  request.share_memory = start.context.share_memory;
  request.on_process = [&](const plan::ProcessHandle& process,
                           const plan::CgroupLocations& cgroups) {
    return note_process(start, process, cgroups);
  };
  request.run_hooks = [&](plan::HookPhase phase, const plan::ProcessHandle& process) {
    return run_create_hooks(start, phase, process);
  };
  request.hook_state = [&](const plan::ProcessHandle&) {
    Snapshot snapshot{container.state, Status::kCreated, {}};
    return state_json(snapshot, "");
  };
  HookOutput hook_output;
  if (!start.plan.hooks.start_container.empty()) {
    hook_output = TRY(HookOutput::open(start.plan.annotations));
  }
  request.hook_out = hook_output.out.number();
  request.hook_err = hook_output.err.number();
  request.on_listener = [&](FdRef listener, int pid) {
    return start.seccomp_agent.send(listener, pid, container.state, Status::kCreating);
  };
  keep_created(start, TRY(start.context.executor.create(request)));
  return {};
}

Result<> save_created(Start& start) {
  Container& container = start.container;
  container.state.progress = start.run ? Progress::kStarted : Progress::kCreated;
  container.status = start.run ? Status::kRunning : Status::kCreated;
  bool saved = start.run == RunMode::kForeground && container.state.resctrl_groups.empty();
  if (start.layers.valid()) {
    container.state.layers_fd = start.layers.number();
    container.state.layers_holder = container.state.supervisor;
    saved = false;
  }
  return saved ? Result<>{} : save(container);
}

Result<> run_poststart_hooks(Start& start) {
  bool started = start.run && start.options.restore == nullptr;
  if (!started || start.plan.hooks.poststart.empty()) return {};
  Snapshot snapshot{start.container.state, Status::kRunning, {}};
  auto output = TRY(HookOutput::open(start.plan.annotations));
  return run_hooks(start.plan.hooks.poststart, "poststart", state_json(snapshot, ""),
                   output.place());
}

Result<> pid_file(Start& start) {
  if (start.options.pid_file.empty()) return {};
  return write_pid_file(start.options.pid_file, start.container.state.init.pid);
}

Result<> pidfd_socket(Start& start) {
  std::string path = start.options.pidfd_socket;
  auto receiver = start.plan.annotations.find("run.oci.pidfd_receiver");
  if (path.empty() && receiver != start.plan.annotations.end()) path = receiver->second;
  if (path.empty()) return {};
  return send_to_socket(path, "pidfd", start.container.init);
}

struct Step {
  std::string_view name;
  Result<> (*run)(Start&);
};

constexpr Step kSteps[] = {
    {"check-id", check_options},
    {"plan", make_plan},
    {"seccomp-agent", reach_seccomp_agent},
    {"claim", claim},
    {"output", make_output},
    {"notify", make_notify},
    {"console", make_console},
    {"execute", execute},  // within it: save the process' identity, run the hooks of create
    {"save", save_created},
    {"poststart", run_poststart_hooks},
    {"pid-file", pid_file},
    {"pidfd-socket", pidfd_socket},
};

// Takes back what the steps did. An error of its own is only told: the first one matters.
void abandon(Start& start) {
  if (!start.container.lock.held()) return;
  auto discarded = discard(start.context, start.container);
  if (!discarded && start.context.warn) {
    start.context.warn(cat("clean-up is not complete: ", discarded.error().message()));
  }
}

}  // namespace

Result<> run_start_sequence(Start& start) {
  for (const auto& step : kSteps) {
    fault_point(start.context, "create", step.name);
    std::int64_t begin = start.context.timeline != nullptr ? monotonic_ns() : 0;
    auto done = step.run(start);
    if (start.context.timeline != nullptr) {
      start.context.timeline->step("parent", step.name, begin, monotonic_ns());
    }
    if (!done) {
      abandon(start);
      return std::unexpected(std::move(done).error().step(step.name));
    }
  }
  fault_point(start.context, "create", "done");
  return {};
}

void tell_notices(const Context& context, const plan::Plan& plan) {
  if (!context.warn) return;
  for (const auto& notice : plan.notices) context.warn(notice);
}

Result<> write_pid_file(const std::string& path, int pid) {
  TRY_CTX(sys::write_atomically(sys::kCwd, path.c_str(), cat(pid), 0644), "write the pid file ",
          path);
  return {};
}

Result<> send_to_socket(const std::string& path, std::string_view name, FdRef fd) {
  Fd socket = TRY_CTX(sys::connect_unix(path), "connect to ", path);
  int number = fd.number();
  TRY_CTX(sys::send_message(socket, name, std::span(&number, 1)), "send a descriptor to ", path);
  return {};
}

}  // namespace caisson::container
