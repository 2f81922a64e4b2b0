// Makes a container of images, read top to bottom in restore_container(): CRIU is put where the
// container's init is to be (cgroups, a mount namespace with the root), makes the processes as our
// children, and asks us whenever the outside has to do its part.

#include <algorithm>

#include "base/clock.h"
#include "linux/cgroup.h"
#include "linux/checkpoint.h"
#include "linux/criu_mounts.h"
#include "linux/criu_session.h"
#include "linux/criu_streams.h"
#include "linux/namespaces.h"
#include "linux/net_devices.h"
#include "linux/resctrl.h"
#include "linux/scope.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using formats::criu::Kind;
using formats::criu::Options;
using formats::criu::Reply;
using plan::NamespaceAction;
using plan::NamespaceKind;

constexpr int kNetworkTimeoutMs = 10'000;
constexpr int kOldestLsm = 31600;

struct Restore {
  explicit Restore(plan::RestoreRequest& r) : request(r) {}
  plan::RestoreRequest& request;
  CriuSession session;
  plan::Strings streams;
  CgroupSet cgroups;
  std::optional<plan::CgroupPlan> scope;  // the plan's cgroups, where systemd put them
  Options options;
  std::vector<int> inherited;
  std::vector<Fd> held;  // what `inherited` names
  std::optional<CriuWorker> worker;
  NetDevices net_devices;
  plan::CreateResult result;
};

const plan::CgroupPlan& cgroup_plan(const Restore& restore) {
  return restore.scope ? *restore.scope : restore.request.plan->cgroup;
}

// --- before anything is touched

Result<> open_session(Restore& restore) {
  const auto& options = *restore.request.options;
  restore.session = TRY(CriuSession::open(options, "restore.log", false));
  restore.streams = TRY(read_descriptors(restore.session.images, options.image_path));
  bool lsm = !options.lsm_profile.empty() || !options.lsm_mount_context.empty();
  if (!lsm || restore.session.version >= kOldestLsm) return {};
  return std::unexpected(
      Error::with_cause(EOPNOTSUPP, "it needs CRIU 3.16 or newer")
          .doing("restore the container")
          .where(options.lsm_profile.empty() ? "--lsm-mount-context" : "--lsm-profile")
          .cure("install a newer criu")
          .code("criu.old"));
}

// Adds an open file for CRIU and returns the number that it has there.
int inherit(Restore& restore, Fd fd) {
  restore.inherited.push_back(fd.number());
  restore.held.push_back(std::move(fd));
  return kFirstInherited + static_cast<int>(restore.inherited.size()) - 1;
}

Result<> add_namespaces(Restore& restore) {
  for (auto& join : TRY(open_joined(restore.request.plan->namespaces))) {
    const auto& step = restore.request.plan->namespaces.of(join.kind);
    if (join.kind == NamespaceKind::kNetwork || join.kind == NamespaceKind::kPid) {
      bool network = join.kind == NamespaceKind::kNetwork;
      int number = inherit(restore, std::move(join.fd));
      restore.options.inherit_fd.push_back({network ? "extRootNetNS" : "extRootPidNS", number});
    } else if (join.kind == NamespaceKind::kCgroup || join.kind == NamespaceKind::kMount) {
      return std::unexpected(
          Error::with_cause(EOPNOTSUPP, "CRIU does not restore into a namespace of this kind")
              .doing("join ", namespace_name(join.kind), " namespace ", step.path)
              .where("linux.namespaces")
              .cure("leave its path out")
              .code("criu.unsupported"));
    } else {
      restore.options.join_ns.push_back({std::string(namespace_name(join.kind)), step.path});
    }
  }
  return {};
}

Result<> fill_options(Restore& restore) {
  const auto& plan = *restore.request.plan;
  const auto& options = *restore.request.options;
  restore.options = restore.session.base_options(options);
  Options& out = restore.options;
  out.root = plan.mounts.root.path;
  out.rst_sibling = true;
  out.evasive_devices = true;
  out.lsm_profile = options.lsm_profile;
  out.lsm_mount_context = options.lsm_mount_context;
  TRY(add_namespaces(restore));
  int next = kFirstInherited + static_cast<int>(restore.inherited.size());
  std::vector<Fd> opened;
  auto streams = streams_to_restore(restore.streams, restore.request.stdio, next, opened);
  // Other files take the place of those that were saved, and have modes of their own.
  out.skip_file_rwx_check = std::ranges::any_of(
      streams, [](const auto& entry) { return entry.key.starts_with("file["); });
  out.inherit_fd.insert(out.inherit_fd.end(), streams.begin(), streams.end());
  for (auto& fd : opened) inherit(restore, std::move(fd));
  // What can't be restored is refused here.
  TRY(plan::external_mounts(plan, plan.cgroup));
  return {};
}

// --- the place

Result<> make_resctrl(Restore& restore) {
  const auto& plan = restore.request.plan->resctrl;
  if (!plan) return {};
  std::string mount_point = TRY(resctrl_mount_point());
  restore.result.resctrl_groups =
      TRY(make_resctrl_groups(*plan, mount_point, *restore.request.undo));
  return {};
}

Result<> make_cgroup_directories(Restore& restore) {
  if (restore.request.plan->cgroup.scope) return {};  // systemd wants a process: enter_scope()
  return make_cgroups(restore.request.plan->cgroup, Hierarchies::kAll, *restore.request.undo,
                      restore.cgroups);
}

Result<> make_targets(Restore& restore) { return make_mount_points(*restore.request.plan); }

Result<> start_criu(Restore& restore) {
  CriuChild child;
  const auto& stdio = restore.request.stdio;
  child.stdio[0] = stdio.in;
  child.stdio[1] = stdio.out;
  child.stdio[2] = stdio.err;
  child.root = restore.options.root.c_str();
  child.end_with_parent = true;  // while a save that nobody waits for takes itself back
  child.new_session = !restore.options.shell_job;
  child.inherited = restore.inherited;
  child.cgroup_fd = restore.cgroups.unified_fd;
  std::vector<int> tasks = restore.cgroups.task_fds;
  if (restore.cgroups.devices_task_fd >= 0) tasks.push_back(restore.cgroups.devices_task_fd);
  child.task_fds = tasks;
  restore.worker.emplace(TRY(CriuWorker::start(restore.session.program, child)));
  auto& session = restore.session;
  TRY(session.move_to(*restore.request.options, *restore.worker));
  restore.options.images_dir_fd = session.images.number();
  if (session.work.valid()) restore.options.work_dir_fd = session.work.number();
  return {};
}

Result<> enter_scope(Restore& restore) {
  if (!restore.request.plan->cgroup.scope) return {};
  restore.scope = restore.request.plan->cgroup;
  TRY(start_scope(*restore.scope, restore.worker->pid(), *restore.request.undo));
  return make_scope_cgroups(*restore.scope, restore.worker->pid(), *restore.request.undo,
                            restore.cgroups);
}

// Where the container's processes go: paths as CRIU itself sees its own.
Result<> place_cgroups(Restore& restore) {
  restore.result.cgroups = restore.cgroups.locations;
  if (restore.cgroups.locations.empty()) return {};
  std::string path = cat("/proc/", restore.worker->pid(), "/cgroup");
  auto text = TRY_CTX(sys::read_file(sys::kCwd, path.c_str()), "read ", path);
  for (auto line : split(text, '\n')) {
    auto [number, rest] = split_once(line, ':');
    auto [controllers, directory] = split_once(rest, ':');
    if (directory.empty()) continue;
    for (auto controller : split(controllers, ',')) {
      restore.options.cg_root.push_back({std::string(controller), std::string(directory)});
    }
  }
  return {};
}

Result<> place_mounts(Restore& restore) {
  auto externals = TRY(plan::external_mounts(*restore.request.plan, cgroup_plan(restore)));
  restore.options.ext_mnt = mounts_to_restore(externals, TRY(read_mounts("self")));
  return {};
}

// --- what CRIU asks for on its way

Result<> set_up_network(Restore& restore, FdRef network) {
  NetworkChild child;
  child.network = network.number();
  child.loopback_up = restore.request.plan->namespaces.loopback_up;
  child.sysctls = &restore.request.plan->sysctls;
  auto forked = TRY_CTX(sys::fork_with_pidfd(), "set up the container's network");
  if (forked.pid == 0) run_network_child(child);
  NewProcess process(forked.pid, std::move(forked.pidfd));
  bool ended = TRY_CTX(sys::wait_readable(process.pidfd(), kNetworkTimeoutMs),
                       "set up the container's network");
  int error = ETIMEDOUT;
  if (ended) error = TRY(sys::wait_pidfd(process.pidfd())).shell_status();
  process.release();
  if (error == 0) return {};
  return std::unexpected(Error(Errno{error})
                             .doing("set up the container's network: its loopback device, sysctls")
                             .step("network"));
}

Result<> prepare_network(Restore& restore, int pid) {
  const auto& plan = *restore.request.plan;
  bool made = plan.namespaces.is_new(NamespaceKind::kNetwork);
  if (!made && plan.net_devices.empty()) return {};
  std::string path = cat("/proc/", pid, "/ns/net");
  Fd network = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY), "open ", path);
  if (made) TRY(set_up_network(restore, network));
  if (plan.net_devices.empty()) return {};
  return restore.net_devices.move_into(network, plan.net_devices);
}

Result<> register_process(Restore& restore, int pid) {
  plan::ProcessHandle& init = restore.result.init;
  init.pid = pid;
  init.start_time = TRY_CTX(sys::process_start_time(pid), "identify the restored init");
  init.pidfd = TRY_CTX(sys::pidfd_open(pid), "open the restored init");
  TRY(join_resctrl_groups(restore.result.resctrl_groups, pid));
  if (restore.request.on_process) TRY(restore.request.on_process(init, restore.result.cgroups));
  return {};
}

// The namespaces are there, and nothing in them yet.
Result<> namespaces_made(Restore& restore, const Reply& event) {
  TRY(register_process(restore, event.notify_pid));
  TRY(prepare_network(restore, event.notify_pid));
  const auto& hooks = restore.request.plan->hooks;
  if (!restore.request.run_hooks || (hooks.prestart.empty() && hooks.create_runtime.empty())) {
    return {};
  }
  for (auto phase : {plan::HookPhase::kPrestart, plan::HookPhase::kCreateRuntime}) {
    TRY(restore.request.run_hooks(phase, restore.result.init));
  }
  return {};
}

// All is restored and stands still. Limits come now: making it took CRIU memory and processes more.
Result<> all_restored(Restore& restore, const Reply& event) {
  if (restore.result.init.pid == 0) TRY(register_process(restore, event.notify_pid));
  TRY(limit_cgroups(cgroup_plan(restore), restore.cgroups));
  return limit_devices(cgroup_plan(restore), restore.cgroups);
}

Result<> pass_terminal_on(const Restore& restore, std::span<Fd> fds) {
  if (fds.empty() || restore.request.console_socket < 0) return {};
  int master = fds[0].number();
  TRY_CTX(
      sys::send_message(FdRef(restore.request.console_socket), "/dev/ptmx", std::span(&master, 1)),
      "hand the terminal over");
  return {};
}

Result<> notified(Restore& restore, const Reply& event, std::span<Fd> fds) {
  if (event.script == "setup-namespaces") return namespaces_made(restore, event);
  if (event.script == "post-restore") return all_restored(restore, event);
  if (event.script == "orphan-pts-master") return pass_terminal_on(restore, fds);
  return {};
}

Result<> run_criu(Restore& restore) {
  formats::criu::Request request;
  request.kind = Kind::kRestore;
  request.options = restore.options;
  auto notify = [&](const Reply& event, std::span<Fd> fds) {
    return notified(restore, event, fds);
  };
  TRY(restore.session.run(*restore.worker, request, notify, kCriuSilenceMs,
                          "restore the container"));
  if (restore.result.init.pid != 0) return {};
  return std::unexpected(Error::with_cause(EPROTO, "CRIU did not say which process it is")
                             .doing("restore the container"));
}

struct Step {
  std::string_view name;
  Result<> (*run)(Restore&);
};

constexpr Step kSteps[] = {
    {"images", open_session},       {"options", fill_options},
    {"resctrl", make_resctrl},      {"cgroups", make_cgroup_directories},
    {"mount-points", make_targets}, {"criu", start_criu},
    {"scope", enter_scope},         {"cgroup-roots", place_cgroups},
    {"mounts", place_mounts},       {"restore", run_criu},
};

// What is left of an init that was not finished, so that nothing runs on in cgroups of the
// caller's.
void end_init(Restore& restore) {
  auto& init = restore.result.init;
  if (!init.pidfd.valid()) return;
  NewProcess unfinished(init.pid, std::move(init.pidfd));
}

}  // namespace

Result<plan::CreateResult> restore_container(plan::RestoreRequest& request) {
  Restore restore(request);
  for (const auto& step : kSteps) {
    std::int64_t begin = request.timeline != nullptr ? monotonic_ns() : 0;
    auto done = step.run(restore);
    if (request.timeline != nullptr) {
      request.timeline->step("parent", step.name, begin, monotonic_ns());
    }
    if (done) continue;
    restore.worker.reset();
    end_init(restore);
    return std::unexpected(std::move(done).error().step(step.name));
  }
  restore.net_devices.keep();
  return std::move(restore.result);
}

}  // namespace caisson::linux
