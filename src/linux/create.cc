// Starts a container: the parent's side, read top to bottom in create_container().

#include <algorithm>

#include "base/clock.h"
#include "linux/cgroup.h"
#include "linux/early_network.h"
#include "linux/empty_namespace.h"
#include "linux/executor.h"
#include "linux/namespaces.h"
#include "linux/net_devices.h"
#include "linux/resctrl.h"
#include "linux/scope.h"
#include "linux/sources.h"
#include "linux/spawn.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

using plan::CreateRequest;
using plan::CreateResult;
using plan::MountOp;
using plan::NamespaceAction;
using plan::NamespaceKind;

// Building a container takes milliseconds; a file system that does not answer may hold it up.
constexpr int kReadyTimeoutMs = 60'000;

// Everything that is open for one start.
struct Start {
  Start(CreateRequest& r, SharedReport report, EarlyNetwork* network)
      : request(r), shared(std::move(report)), early_network(network) {}
  CreateRequest& request;
  SharedReport shared;
  EarlyNetwork* early_network;
  ChildContext context;
  CgroupSet cgroups;
  std::optional<plan::CgroupPlan> scope;  // the plan's cgroups, where systemd put them
  sys::SocketPair sockets;
  Fd empty_namespace;
  Fd launcher, launch_data, start_socket;
  NewProcess process;
  Passed passed;
  NetDevices net_devices;
  CreateResult result;
};

// --- steps
// ------------------------------------------------------------------------------------------

Result<> prepare_context(Start& start) {
  auto& context = start.context;
  const auto& plan = *start.request.plan;
  context.plan = &plan;
  context.process = &plan.process;
  context.report = start.shared.get();
  context.timed = start.request.timeline != nullptr;
  context.console_socket = start.request.console_socket;
  context.stdio[0] = start.request.stdio.in;
  context.stdio[1] = start.request.stdio.out;
  context.stdio[2] = start.request.stdio.err;
  context.preserve_fds = start.request.preserve_fds;
  context.keep_fds = start.request.keep_fds;
  context.program_fd = start.request.program_fd;
  context.hook_out = start.request.hook_out;
  context.hook_err = start.request.hook_err;
  context.end_with_parent = start.request.end_with_caller;
  context.want_layers = start.request.want_layers;
  context.scratch_dir = start.request.scratch_dir.c_str();
  start.sockets = TRY_CTX(sys::socket_pair(), "make a socket pair");
  context.parent_fd = start.sockets.first.number();
  context.report_fd = start.sockets.second.number();
  return {};
}

// A cgroup namespace is rooted where its maker stands, in every hierarchy: then the child joins the
// v1 devices cgroup with the others, and its rules wait until the child has made its nodes.
void place_devices(Start& start) {
  auto& context = start.context;
  auto& cgroups = start.cgroups;
  bool with_others = cgroups.devices_task_fd >= 0 && start.request.plan->cgroup.own_namespace;
  if (with_others) cgroups.task_fds.push_back(std::exchange(cgroups.devices_task_fd, -1));
  context.await_device_rules = with_others;
  if (context.await_joins) return;  // they are sent
  context.cgroup_task_fds = cgroups.task_fds;
  context.devices_task_fd = cgroups.devices_task_fd;
}

Result<> make_resctrl(Start& start) {
  const auto& plan = start.request.plan->resctrl;
  if (!plan) return {};
  std::string mount_point = TRY(resctrl_mount_point());
  start.result.resctrl_groups = TRY(make_resctrl_groups(*plan, mount_point, *start.request.undo));
  return {};
}

Result<> open_namespaces(Start& start) {
  auto& context = start.context;
  const auto& namespaces = start.request.plan->namespaces;
  context.joins = TRY(open_joined(namespaces));
  bool joins_user = false;
  for (const auto& step : namespaces.steps) {
    bool joined = step.action == NamespaceAction::kJoin;
    bool made = step.action == NamespaceAction::kNew;
    if (joined && (step.kind == NamespaceKind::kUser || step.kind == NamespaceKind::kPid)) {
      context.intermediate = true;
    }
    joins_user |= joined && step.kind == NamespaceKind::kUser;
    if (!made) continue;
    // The cgroup namespace is rooted where the process is when it is made: after it joined its
    // cgroup.
    if (step.kind == NamespaceKind::kCgroup || step.kind == NamespaceKind::kNetwork)
      context.unshare_flags |= static_cast<unsigned>(clone_flag(step.kind));
    else if (step.kind == NamespaceKind::kTime)
      context.intermediate = true;
    else
      context.clone_flags |=
          static_cast<std::uint64_t>(static_cast<unsigned>(clone_flag(step.kind)));
  }
  context.user_namespace = joins_user || namespaces.is_new(NamespaceKind::kUser);
  context.user_namespace_after_joins =
      namespaces.is_new(NamespaceKind::kUser) && !context.joins.empty();
  context.intermediate |= context.user_namespace_after_joins;
  return {};
}

bool has_v1(const plan::CgroupPlan& plan) {
  return std::ranges::any_of(plan.directories, [](const auto& step) { return !step.v2; });
}

// Version 1 cgroups are made while the child is on its way, and the network namespace may still be
// in the making. A child of another user namespace has no right to join what it is handed later.
void decide_what_comes_late(Start& start) {
  auto& context = start.context;
  bool can_join_late = !context.intermediate && !context.user_namespace;
  context.await_joins = can_join_late && has_v1(start.request.plan->cgroup);
  bool shares_memory = !start.request.plan->cgroup.tight_memory;
  if (can_join_late && shares_memory) context.early_network = start.early_network;
}

const plan::CgroupPlan& cgroup_plan(const Start& start) {
  return start.scope ? *start.scope : start.request.plan->cgroup;
}

Result<> make_cgroup_directories(Start& start) {
  if (start.request.plan->cgroup.scope) {
    // systemd wants a process to put into it; see enter_scope().
    start.context.await_scope = true;
    start.context.await_device_rules = has_v1(start.request.plan->cgroup);
    return {};
  }
  decide_what_comes_late(start);
  auto hierarchies = start.context.await_joins ? Hierarchies::kUnified : Hierarchies::kAll;
  TRY(make_cgroups(start.request.plan->cgroup, hierarchies, *start.request.undo, start.cgroups));
  start.context.cgroup_fd = start.cgroups.unified_fd;
  if (!start.context.await_joins) place_devices(start);
  return {};
}

// Bind sources are cloned here, in the caller's own mount namespace and with its rights, so that
// the mapped root of a user namespace need not reach them. Without privilege the child does it.
Result<> open_sources(Start& start) {
  auto& context = start.context;
  const auto& mounts = start.request.plan->mounts;
  prepare_sources(context, mounts.steps.size());
  if (sys::geteuid() != 0) return {};
  if (!mounts.root.machine_view) {
    auto tree = sys::open_tree(sys::kCwd, mounts.root.path.c_str(), OPEN_TREE_CLONE | AT_RECURSIVE);
    if (tree) {
      context.root_tree = std::move(*tree);
    } else if (tree.error().value != EPERM && tree.error().value != EINVAL) {
      return std::unexpected(Error(tree.error())
                                 .doing("open root file system ", mounts.root.path)
                                 .where("root.path")
                                 .cure("root.path must be an existing directory")
                                 .step("root"));
    }
  }
  return open_bind_sources(context, mounts.steps);
}

// Whether the child needs nothing of the host's tree that was not opened for it.
bool fits_empty_namespace(const Start& start) {
  const auto& context = start.context;
  const auto& plan = *start.request.plan;
  const auto& root = plan.mounts.root;
  const auto& hooks = plan.hooks;
  constexpr unsigned long kPrivate = 1UL << 18;  // MS_PRIVATE
  bool plain = (context.clone_flags & CLONE_NEWNS) != 0 && !context.intermediate &&
               !context.user_namespace && context.root_tree &&
               (root.propagation == 0 || root.propagation == kPrivate);
  // They may look for the host's tree below the container's mount namespace.
  bool hooked =
      !hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty();
  if (!plain || hooked) return false;
  for (std::size_t i = 0; i < plan.mounts.steps.size(); ++i) {
    const auto& step = plan.mounts.steps[i];
    if (step.op == MountOp::kBind && !context.sources[i] && !step.source_in_root) return false;
    if (step.op == MountOp::kOverlayView || step.bind_device) return false;
  }
  return true;
}

Result<> choose_mount_namespace(Start& start) {
  if (!fits_empty_namespace(start) || !has_many_mounts()) return {};
  auto& context = start.context;
  start.empty_namespace = empty_mount_namespace();
  if (!start.empty_namespace) return {};
  context.empty_namespace_fd = start.empty_namespace.number();
  context.clone_flags &= ~std::uint64_t{CLONE_NEWNS};
  context.unshare_flags |= CLONE_NEWNS;
  return {};
}

Result<> open_launcher(Start& start) {
  auto& context = start.context;
  start.launcher = TRY(launcher_file());
  start.launch_data = TRY_CTX(sys::memfd_create("caisson-launch"), "make the launch block");
  context.launcher_fd = start.launcher.number();
  context.launch_data_fd = start.launch_data.number();
  if (start.request.wait_for_start) {
    start.start_socket = TRY_CTX(
        sys::listen_unix(FdRef(start.request.state_dir), start.request.start_socket.c_str()),
        "make the start socket");
    context.start_fd = start.start_socket.number();
  }
  fill_arguments(context, start.request.plan->process, start.request.extra_env);
  return {};
}

void intermediate_entry(ChildContext& context) { run_intermediate_child(context, run_init_child); }

// Waits for the intermediate process to have made the init, and takes that over as our own child.
Result<> adopt_init(Start& start, const Conversation& talk) {
  NewProcess intermediate = std::move(start.process);
  start.process = NewProcess();
  bool ended =
      TRY_CTX(sys::wait_readable(intermediate.pidfd(), kReadyTimeoutMs), "enter namespaces");
  if (!ended) return std::unexpected(Error(Errno{ETIMEDOUT}).doing("enter namespaces"));
  int pid = talk.context->report->init_pid;
  if (pid == 0) {
    auto event = next_event(talk, intermediate, 0, start.passed);
    if (!event) return std::unexpected(std::move(event).error());
    return std::unexpected(Error(Errno{ECHILD}).doing("enter namespaces"));
  }
  Fd pidfd = TRY_CTX(sys::pidfd_open(pid), "open the container's init");
  start.process = NewProcess(pid, std::move(pidfd));
  return {};
}

Result<> spawn_init(Start& start) {
  auto& context = start.context;
  if (!context.intermediate) {
    // Sharing memory saves the copy of page tables; where ids must be mapped from outside, the
    // child must be inspectable on its own. Nor may we die with a child that the kernel kills for
    // want of memory.
    bool apart =
        context.user_namespace || context.plan->cgroup.tight_memory || !start.request.share_memory;
    Sharing sharing = apart ? Sharing::kNothing : Sharing::kMemory;
    start.process = TRY(spawn(context, sharing, run_init_child));
    return {};
  }
  std::uint64_t user = context.clone_flags & CLONE_NEWUSER;
  std::uint64_t rest = context.clone_flags & ~std::uint64_t{CLONE_NEWUSER};
  context.clone_flags = context.user_namespace_after_joins ? 0 : user;
  context.init_clone_flags = rest;
  // The mapped root may not put a process in the cgroup: with a user namespace the intermediate
  // process is made there, by us, and the init inherits it.
  if (!context.user_namespace) context.init_cgroup_fd = std::exchange(context.cgroup_fd, -1);
  start.process = TRY(spawn(context, Sharing::kNothing, intermediate_entry));
  return {};
}

Conversation talk_of(Start& start) {
  return {&start.context, start.sockets.first.ref(), start.request.plan,
          [&start] { return cgroup_oom_kills(start.cgroups.locations); }};
}

Result<> await_user_namespace(Start& start) {
  auto event = TRY(next_event(talk_of(start), start.process, kReadyTimeoutMs, start.passed));
  if (event == Event::kIdsWanted) return {};
  return std::unexpected(Error(Errno{EPROTO}).doing("make a user namespace"));
}

// From here on the child works beside us: what need not be done before it exists is done now.
Result<> map_ids(Start& start) {
  // Ours is the only other end: its closing must be seen when the child dies.
  start.sockets.second.reset();
  auto method = start.request.plan->namespaces.ids.method;
  if (method == plan::IdMapMethod::kDirect || method == plan::IdMapMethod::kHelpers) {
    if (start.context.user_namespace_after_joins) TRY(await_user_namespace(start));
    TRY(write_id_maps(start.process.pid(), start.request.plan->namespaces.ids));
    TRY(say(talk_of(start), "M"));
  }
  if (start.context.intermediate) return adopt_init(start, talk_of(start));
  return {};
}

// What the child waits for.
Result<> send_joins(Start& start) {
  if (!start.context.await_joins) return {};
  TRY(make_cgroups(start.request.plan->cgroup, Hierarchies::kV1, *start.request.undo,
                   start.cgroups));
  place_devices(start);
  std::vector<int> fds = start.cgroups.task_fds;
  JoinMessage joins;
  joins.await_device_rules = start.context.await_device_rules ? 1 : 0;
  joins.tasks = static_cast<std::uint8_t>(fds.size());
  if (start.cgroups.devices_task_fd >= 0) {
    fds.push_back(start.cgroups.devices_task_fd);
    joins.devices = 1;
  }
  if (fds.size() > JoinMessage::kMaxDescriptors) {
    return std::unexpected(Error::with_cause(E2BIG, "this host has too many cgroup hierarchies"));
  }
  std::string_view bytes(reinterpret_cast<const char*>(&joins), sizeof joins);
  return say(talk_of(start), bytes, fds);
}

// The child waits for it before it makes a cgroup namespace.
Result<> enter_scope(Start& start) {
  if (!start.context.await_scope) return {};
  auto event = TRY(next_event(talk_of(start), start.process, kReadyTimeoutMs, start.passed));
  if (event != Event::kScopeWanted) {
    return std::unexpected(Error(Errno{EPROTO}).doing("enter a scope of systemd"));
  }
  start.scope = start.request.plan->cgroup;
  TRY(start_scope(*start.scope, start.process.pid(), *start.request.undo));
  TRY(make_scope_cgroups(*start.scope, start.process.pid(), *start.request.undo, start.cgroups));
  return say(talk_of(start), "S");
}

Result<> register_process(Start& start) {
  plan::ProcessHandle& handle = start.result.init;
  handle.pid = start.process.pid();
  handle.start_time = TRY_CTX(sys::process_start_time(handle.pid), "identify the container's init");
  handle.pidfd = TRY_CTX(sys::dup_cloexec(start.process.pidfd()), "keep the init's pidfd");
  start.result.cgroups = start.cgroups.locations;
  TRY(join_resctrl_groups(start.result.resctrl_groups, handle.pid));
  if (start.request.on_process) TRY(start.request.on_process(handle, start.result.cgroups));
  return {};
}

Result<> limit(Start& start) {
  TRY(limit_cgroups(cgroup_plan(start), start.cgroups));
  if (start.context.await_device_rules) return {};
  return limit_devices(cgroup_plan(start), start.cgroups);
}

Result<> write_launch(Start& start) {
  const auto& request = start.request;
  LaunchBlock block{&request.plan->process,
                    &request.plan->hooks.start_container,
                    {},
                    start.context.report_fd,
                    start.context.start_fd,
                    start.context.hook_out,
                    start.context.hook_err};
  if (!block.hooks->empty() && request.hook_state) {
    block.hook_state = request.hook_state(start.result.init);
  }
  TRY(write_launch_block(start.launch_data, block));
  return fill_launcher(start.launcher);
}

Result<> move_net_devices(Start& start) {
  const auto& devices = start.request.plan->net_devices;
  if (devices.empty()) return {};
  auto talk = talk_of(start);
  auto event = TRY(next_event(talk, start.process, kReadyTimeoutMs, start.passed));
  if (event != Event::kNetDevicesWanted) {
    return std::unexpected(Error(Errno{EPROTO}).doing("move network devices"));
  }
  std::string path = cat("/proc/", start.process.pid(), "/ns/net");
  Fd ns = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY), "open ", path);
  TRY(start.net_devices.move_into(ns, devices));
  return say(talk, "N");
}

Result<> run_hooks(Start& start) {
  const auto& hooks = start.request.plan->hooks;
  if (hooks.prestart.empty() && hooks.create_runtime.empty() && hooks.create_container.empty()) {
    return {};
  }
  auto talk = talk_of(start);
  auto event = TRY(next_event(talk, start.process, kReadyTimeoutMs, start.passed));
  if (event != Event::kHooksWanted) {
    return std::unexpected(Error(Errno{EPROTO}).doing("run hooks"));
  }
  for (auto phase : {plan::HookPhase::kPrestart, plan::HookPhase::kCreateRuntime,
                     plan::HookPhase::kCreateContainer}) {
    TRY(start.request.run_hooks(phase, start.result.init));
  }
  return say(talk, "C");
}

Result<> limit_when_asked(Start& start) {
  if (!start.context.await_device_rules) return {};
  auto event = TRY(next_event(talk_of(start), start.process, kReadyTimeoutMs, start.passed));
  if (event != Event::kDeviceRulesWanted) {
    return std::unexpected(Error(Errno{EPROTO}).doing("apply the device rules"));
  }
  return limit_devices(cgroup_plan(start), start.cgroups);
}

Result<> let_go(Start& start) {
  auto talk = talk_of(start);
  TRY(say(talk, "G"));
  auto event = TRY(
      last_event(talk, start.process, kReadyTimeoutMs, start.passed, start.request.on_listener));
  bool expected = event == (start.request.wait_for_start ? Event::kWaiting : Event::kRunning);
  if (!expected) {
    return std::unexpected(Error(Errno{EPROTO}).doing("start the container's init"));
  }
  return {};
}

struct ParentStep {
  std::string_view name;
  Result<> (*run)(Start&);
};

constexpr ParentStep kSteps[] = {
    {"prepare", prepare_context},
    {"resctrl", make_resctrl},
    {"open-namespaces", open_namespaces},
    {"cgroups", make_cgroup_directories},
    {"open-sources", open_sources},
    {"mount-namespace", choose_mount_namespace},
    {"launcher", open_launcher},
    {"clone", spawn_init},
    {"map-ids", map_ids},
    {"joins", send_joins},
    {"scope", enter_scope},
    {"register", register_process},
    {"limits", limit},
    {"launch-block", write_launch},
    {"net-devices", move_net_devices},
    {"hooks", run_hooks},
    {"device-rules", limit_when_asked},
    {"ready", let_go},
};

}  // namespace

Result<CreateResult> create_container(CreateRequest& request, EarlyNetwork* network) {
  Start start(request, TRY(SharedReport::create(request.plan->mounts.steps.size())), network);
  for (const auto& step : kSteps) {
    std::int64_t begin = request.timeline != nullptr ? monotonic_ns() : 0;
    auto done = step.run(start);
    if (request.timeline != nullptr) {
      request.timeline->step("parent", step.name, begin, monotonic_ns());
    }
    if (!done) return std::unexpected(std::move(done).error().step(step.name));
  }
  replay_times(*start.shared, request.timeline);
  start.result.notices = notices_of(*start.shared, *request.plan);
  start.result.layers = std::move(start.passed.layers);
  start.net_devices.keep();
  start.process.release();
  return std::move(start.result);
}

}  // namespace caisson::linux
