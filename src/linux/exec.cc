// Starts a further process in a running container.
//
// Processes of the container can see whatever is in its pid namespace, and one with CAP_SYS_PTRACE
// can reach the memory and the program of what it sees (CVE-2016-9962, CVE-2019-5736). So a process
// of ours is set up outside of it: it joins the cgroups and all other namespaces, becomes the user
// and executes the launcher, which makes the process inside.
//
// What can't be inherited by the one that the launcher makes is done the other way around: an
// intermediate process makes it first, not dumpable, and it sets itself up.

#include "base/clock.h"
#include "linux/cgroup.h"
#include "linux/executor.h"
#include "linux/namespaces.h"
#include "linux/resctrl.h"
#include "linux/spawn.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::ExecRequest;
using plan::NamespaceKind;

constexpr int kReadyTimeoutMs = 60'000;

// Whether the init has the same namespace as we.
ErrnoOr<bool> shares(int pid, const char* file) {
  auto theirs = TRY(sys::fstatat(sys::kCwd, cat("/proc/", pid, "/ns/", file).c_str()));
  auto ours = TRY(sys::fstatat(sys::kCwd, cat("/proc/self/ns/", file).c_str()));
  return theirs.st_ino == ours.st_ino;
}

// All at once (setns(2) of a pidfd). Only who may enter any namespace can enter those for nothing
// that are ours as well; user and time namespaces are never entered for nothing.
ErrnoOr<std::vector<JoinNamespace>> join_by_pidfd(const ExecRequest& request) {
  std::vector<JoinNamespace> joins;
  if (!request.may_enter_all) return joins;
  int pid = request.init->pid;
  auto time = shares(pid, "time");
  bool plain = TRY(shares(pid, "user")) && (time ? *time : time.error().value == ENOENT);
  if (!plain) return joins;
  constexpr int kAll =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  joins.push_back({NamespaceKind::kPid, kAll, TRY(sys::dup_cloexec(request.init->pidfd))});
  return joins;
}

void intermediate_entry(ChildContext& context) {
  sys::raw(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  run_intermediate_child(context, run_exec_child);
}

struct Exec {
  explicit Exec(ExecRequest& r, SharedReport report) : request(r), shared(std::move(report)) {}
  ExecRequest& request;
  SharedReport shared;
  plan::Plan no_plan;
  ChildContext context;
  CgroupSet cgroups;
  sys::SocketPair sockets;
  Fd launcher, launch_data;
  NewProcess process;
  NewProcess maker;  // of the process, when it is not us
  Passed passed;
  bool outside = false;
};

Result<> prepare(Exec& exec) {
  auto& context = exec.context;
  context.plan = &exec.no_plan;
  context.process = exec.request.process;
  context.report = exec.shared.get();
  context.timed = exec.request.timeline != nullptr;
  context.console_socket = exec.request.console_socket;
  context.stdio[0] = exec.request.stdio.in;
  context.stdio[1] = exec.request.stdio.out;
  context.stdio[2] = exec.request.stdio.err;
  context.preserve_fds = exec.request.preserve_fds;
  context.new_session = exec.request.process->terminal || exec.request.new_session;
  exec.sockets = TRY_CTX(sys::socket_pair(), "make a socket pair");
  context.parent_fd = exec.sockets.first.number();
  context.report_fd = exec.sockets.second.number();
  return {};
}

// Whether a child has the scheduling of its parent: sched(7), sched_setattr(2).
bool inheritable(const plan::ProcessPlan& process) {
  constexpr unsigned kDeadline = 6;
  constexpr std::uint64_t kResetOnFork = 1;
  const auto& scheduler = process.scheduler;
  return !scheduler || (scheduler->policy != kDeadline && (scheduler->flags & kResetOnFork) == 0);
}

Result<> open_container(Exec& exec) {
  auto& context = exec.context;
  exec.cgroups = TRY(open_cgroups(exec.request.cgroups, exec.request.init->pid));
  context.cgroup_task_fds = exec.cgroups.task_fds;
  exec.outside = inheritable(*exec.request.process);
  if (exec.outside) {
    context.joins = TRY_CTX(join_by_pidfd(exec.request), "look at the container's namespaces");
  }
  if (context.joins.empty()) {
    context.joins = TRY_CTX(open_differing(*exec.request.init), "open the container's namespaces");
  }
  for (const auto& join : context.joins)
    context.user_namespace |= join.kind == NamespaceKind::kUser;
  context.intermediate = !exec.outside;
  // Neither the container's user nor the mapped root may put a process in the cgroup: the process
  // outside is made there, by us, and the new one inherits it.
  bool by_us = exec.outside || context.user_namespace;
  (by_us ? context.cgroup_fd : context.init_cgroup_fd) = exec.cgroups.unified_fd;
  return {};
}

Result<> open_launcher(Exec& exec) {
  auto& context = exec.context;
  exec.launcher = TRY(launcher_file());
  exec.launch_data = TRY_CTX(sys::memfd_create("caisson-launch"), "make the launch block");
  context.launcher_fd = exec.launcher.number();
  context.launch_data_fd = exec.launch_data.number();
  LaunchBlock block;
  block.process = exec.request.process;
  block.report_fd = context.report_fd;
  block.clone = exec.outside;
  block.new_session = context.new_session;
  block.terminal = exec.request.process->terminal && exec.request.console_socket >= 0;
  TRY(write_launch_block(exec.launch_data, block));
  TRY(fill_launcher(exec.launcher));
  fill_arguments(context, *exec.request.process, {});
  return {};
}

Result<> spawn_process(Exec& exec) {
  if (!exec.outside) {
    exec.process = TRY(spawn(exec.context, Sharing::kNothing, intermediate_entry));
    return {};
  }
  // As at a start (create.cc); and who shares memory can't enter a time namespace.
  bool apart =
      exec.context.user_namespace || exec.request.tight_memory || !exec.request.share_memory;
  for (const auto& join : exec.context.joins) apart |= join.kind == NamespaceKind::kTime;
  exec.process =
      TRY(spawn(exec.context, apart ? Sharing::kNothing : Sharing::kMemory, run_exec_outside));
  return {};
}

Result<int> made_by_intermediate(Exec& exec, const Conversation& talk) {
  bool ended =
      TRY_CTX(sys::wait_readable(exec.process.pidfd(), kReadyTimeoutMs), "enter the container");
  if (!ended) return std::unexpected(Error(Errno{ETIMEDOUT}).doing("enter the container"));
  if (int pid = exec.shared.get()->init_pid; pid != 0) return pid;
  auto event = next_event(talk, exec.process, 0, exec.passed);
  if (!event) return std::unexpected(std::move(event).error());
  return std::unexpected(Error(Errno{ECHILD}).doing("enter the container"));
}

Result<int> made_by_launcher(Exec& exec, const Conversation& talk) {
  auto event = TRY(next_event(talk, exec.process, kReadyTimeoutMs, exec.passed));
  if (event == Event::kMade) return exec.passed.pid;
  return std::unexpected(Error(Errno{ECHILD}).doing("enter the container"));
}

Result<> converse(Exec& exec) {
  Conversation talk{&exec.context, exec.sockets.first.ref(), &exec.no_plan, {}};
  exec.sockets.second.reset();
  int pid = TRY(exec.outside ? made_by_launcher(exec, talk) : made_by_intermediate(exec, talk));
  Fd pidfd = TRY_CTX(sys::pidfd_open(pid), "open the new process");
  // It ends by itself; nobody waits for that now.
  exec.maker = std::exchange(exec.process, NewProcess(pid, std::move(pidfd)));
  TRY(join_resctrl_groups(exec.request.resctrl_groups, pid));
  TRY(say(talk, "G"));
  TRY(last_event(talk, exec.process, kReadyTimeoutMs, exec.passed, exec.request.on_listener));
  return {};
}

struct ParentStep {
  std::string_view name;
  Result<> (*run)(Exec&);
};

constexpr ParentStep kSteps[] = {
    {"prepare", prepare},        {"open-container", open_container},
    {"launcher", open_launcher}, {"clone", spawn_process},
    {"converse", converse},
};

}  // namespace

Result<plan::ProcessHandle> exec_in_container(ExecRequest& request) {
  Exec exec(request, TRY(SharedReport::create()));
  for (const auto& step : kSteps) {
    std::int64_t begin = request.timeline != nullptr ? monotonic_ns() : 0;
    auto done = step.run(exec);
    if (request.timeline != nullptr) {
      request.timeline->step("parent", step.name, begin, monotonic_ns());
    }
    if (!done) return std::unexpected(std::move(done).error().step(step.name));
  }
  replay_times(*exec.shared, request.timeline);
  plan::ProcessHandle handle;
  handle.pid = exec.process.pid();
  handle.start_time = sys::process_start_time(handle.pid).value_or(0);
  exec.process.release();
  handle.pidfd = exec.process.take_pidfd();
  return handle;
}

}  // namespace caisson::linux
