#include "container/fake_executor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spec/oci_writer.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "sys/tty.h"

namespace caisson::container {
namespace {

std::vector<char*> pointers(const Strings& strings) {
  std::vector<char*> out;
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Child {
  const plan::ProcessPlan* process;
  plan::Stdio stdio;
  int go = -1, report = -1, listener = -1, console_slave = -1;
};

void set_stdio(const Child& child) {
  int fds[3] = {child.stdio.in, child.stdio.out, child.stdio.err};
  for (int i = 0; i < 3; ++i) {
    int from = child.console_slave >= 0 ? child.console_slave : fds[i];
    if (from >= 0) ::dup2(from, i);
  }
}

[[noreturn]] void run_child(const Child& child) {
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (child.console_slave >= 0) ::ioctl(child.console_slave, TIOCSCTTY, 0);
  char go = 0;
  if (child.go >= 0 && ::read(child.go, &go, 1) != 1) ::_exit(126);
  if (child.listener >= 0) {
    int connection = ::accept4(child.listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) ::_exit(126);
    ::close(child.listener);
  }
  set_stdio(child);
  auto args = pointers(child.process->args);
  auto env = pointers(child.process->env);
  ::execvpe(args[0], args.data(), env.data());
  int error = errno;
  (void)!::write(child.report, &error, sizeof error);
  ::_exit(127);
}

Result<plan::ProcessHandle> handle_of(int pid) {
  plan::ProcessHandle handle;
  handle.pid = pid;
  handle.start_time = TRY(sys::process_start_time(pid));
  handle.pidfd = TRY(sys::pidfd_open(pid));
  return handle;
}

struct Pty {
  Fd master, slave;
};
Result<Pty> make_pty() {
  Pty pty;
  pty.master = TRY(sys::openat(sys::kCwd, "/dev/ptmx", O_RDWR | O_NOCTTY));
  pty.slave = TRY(sys::open_pty_slave(pty.master));
  return pty;
}

// Waits for the exec: the pipe closes, or holds an errno.
Result<> exec_result(const Fd& report) {
  int error = 0;
  auto got = TRY(sys::read(report, &error, sizeof error));
  if (got == 0) return {};
  return std::unexpected(Error(Errno{error}).doing("exec"));
}

Result<> send_master(int console_socket, const Fd& master) {
  int number = master.number();
  TRY(sys::send_message(FdRef(console_socket), "/dev/ptmx", std::span(&number, 1)));
  return {};
}

std::string marker(const plan::CgroupLocations& cgroups, std::string_view name) {
  return cgroups.empty() ? std::string("/nonexistent") : cat(cgroups[0].directory, "/", name);
}

Result<> make_file(const std::string& path) {
  TRY(sys::openat(sys::kCwd, path.c_str(), O_WRONLY | O_CREAT, 0600));
  return {};
}

}  // namespace

Result<plan::HostFacts> FakeExecutor::host_facts(bool) {
  plan::HostFacts facts;
  facts.uid = sys::geteuid();
  facts.privileged = true;
  facts.cgroup.v2_controllers = {"cpu", "memory", "pids"};
  return facts;
}

Result<plan::CreateResult> FakeExecutor::create(plan::CreateRequest& request) {
  std::string cgroup = cat(scratch_, "/", request.plan->id);
  TRY(request.undo->record({{plan::Undo::Kind::kRemoveCgroup, cgroup}}));
  TRY(sys::make_directories(cgroup, 0700));
  if (fail_create) return std::unexpected(Error::with_cause(EIO, "the fake failed"));
  int go[2], report[2];
  if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(report, O_CLOEXEC) != 0) {
    return std::unexpected(Error(Errno{errno}));
  }
  Fd go_read(go[0]), go_write(go[1]), report_read(report[0]), report_write(report[1]);
  Fd listener;
  Pty pty;
  if (request.plan->process.terminal) pty = TRY(make_pty());
  if (request.wait_for_start)
    listener = TRY(sys::listen_unix(FdRef(request.state_dir), request.start_socket.c_str()));
  Child child{&request.plan->process, request.stdio,     go_read.number(),
              report_write.number(),  listener.number(), pty.slave.number()};
  int pid = ::fork();
  if (pid == 0) {
    go_write.reset();
    run_child(child);
  }
  report_write.reset();
  go_read.reset();
  plan::CreateResult result;
  result.init = TRY(handle_of(pid));
  result.cgroups = {{"", cgroup, true}};
  auto prepared = [&]() -> Result<> {
    TRY(request.on_process(result.init, result.cgroups));
    for (auto phase : {plan::HookPhase::kPrestart, plan::HookPhase::kCreateRuntime,
                       plan::HookPhase::kCreateContainer}) {
      TRY(request.run_hooks(phase, result.init));
    }
    if (pty.master.valid()) TRY(send_master(request.console_socket, pty.master));
    TRY(sys::write_all(go_write, "g"));
    if (request.wait_for_start) return {};
    return exec_result(report_read);
  }();
  if (prepared) return result;
  go_write.reset();
  (void)sys::pidfd_send_signal(result.init.pidfd, SIGKILL);
  (void)sys::wait_pidfd(result.init.pidfd);
  return std::unexpected(std::move(prepared).error());
}

Result<> FakeExecutor::checkpoint(const plan::CheckpointRequest& request) {
  if (fail_checkpoint) return std::unexpected(Error::with_cause(EIO, "the fake failed"));
  append(saved, request.options->image_path, "\n");
  if (request.options->leave_running || request.options->pre_dump) return {};
  TRY(sys::pidfd_send_signal(request.init->pidfd, SIGKILL));
  return {};
}

Result<plan::CreateResult> FakeExecutor::restore(plan::RestoreRequest& request) {
  std::string cgroup = cat(scratch_, "/", request.plan->id);
  TRY(request.undo->record({{plan::Undo::Kind::kRemoveCgroup, cgroup}}));
  TRY(sys::make_directories(cgroup, 0700));
  if (fail_checkpoint) return std::unexpected(Error::with_cause(EIO, "the fake failed"));
  plan::ProcessPlan process;
  process.args = {"sleep", "60"};
  Child child{&process, request.stdio, -1, -1, -1, -1};
  int pid = ::fork();
  if (pid == 0) run_child(child);
  plan::CreateResult result;
  result.init = TRY(handle_of(pid));
  result.cgroups = {{"", cgroup, true}};
  TRY(request.on_process(result.init, result.cgroups));
  for (auto phase : {plan::HookPhase::kPrestart, plan::HookPhase::kCreateRuntime}) {
    TRY(request.run_hooks(phase, result.init));
  }
  return result;
}

Result<> FakeExecutor::start(const plan::StartRequest& request) {
  FdRef state_dir(request.state_dir);
  Fd connection = TRY(sys::connect_unix(state_dir, request.start_socket.c_str()));
  TRY(sys::unlinkat(state_dir, request.start_socket.c_str()));
  (void)TRY(sys::wait_readable(connection, 5000));
  return {};
}

Result<plan::ProcessHandle> FakeExecutor::exec(plan::ExecRequest& request) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return std::unexpected(Error(Errno{errno}));
  Fd report_read(report[0]), report_write(report[1]);
  Pty pty;
  if (request.process->terminal) pty = TRY(make_pty());
  Child child{request.process, request.stdio, -1, report_write.number(), -1, pty.slave.number()};
  int pid = ::fork();
  if (pid == 0) run_child(child);
  report_write.reset();
  auto handle = TRY(handle_of(pid));
  if (pty.master.valid()) TRY(send_master(request.console_socket, pty.master));
  auto executed = exec_result(report_read);
  if (executed) return handle;
  (void)sys::wait_pidfd(handle.pidfd);
  return std::unexpected(std::move(executed).error());
}

Result<> FakeExecutor::change_mounts(const plan::MountChange& change) {
  for (const auto& step : change.plan->mounts.steps) {
    std::erase(mounted, step.target);
    if (step.op != plan::MountOp::kUnmount) mounted.push_back(step.target);
  }
  return {};
}

Result<std::vector<int>> FakeExecutor::processes(const plan::CgroupLocations&) {
  return std::vector<int>{1, 2};
}
Result<> FakeExecutor::kill_all(const plan::CgroupLocations&, int) { return {}; }
Result<> FakeExecutor::freeze(const plan::CgroupLocations& cgroups, int) {
  return make_file(marker(cgroups, "frozen"));
}
Result<> FakeExecutor::thaw(const plan::CgroupLocations& cgroups, int) {
  TRY(sys::unlinkat(sys::kCwd, marker(cgroups, "frozen").c_str()));
  return {};
}
Result<bool> FakeExecutor::frozen(const plan::CgroupLocations& cgroups) {
  return sys::faccessat(sys::kCwd, marker(cgroups, "frozen").c_str(), F_OK).has_value();
}
Result<> FakeExecutor::update(const plan::CgroupUpdate& update,
                              const std::function<Result<>()>& commit) {
  TRY(commit());
  for (const auto& directory : update.plan.directories) {
    for (const auto& write : directory.writes) limits[write.file] = write.value;
  }
  return {};
}
Result<plan::Usage> FakeExecutor::usage(const plan::CgroupLocations&) {
  plan::Usage usage;
  usage.pids = 7;
  return usage;
}
Result<std::unique_ptr<plan::MemoryWatch>> FakeExecutor::watch_memory(
    const plan::CgroupLocations&) {
  class Watch final : public plan::MemoryWatch {
   public:
    explicit Watch(Fd event) : event_(std::move(event)) {}
    FdRef descriptor() const override { return event_; }
    short poll_events() const override { return POLLIN; }
    std::uint64_t take() override {
      std::uint64_t count = 0;
      return sys::read(event_, &count, sizeof count) ? count : 0;
    }

   private:
    Fd event_;
  };
  if (!out_of_memory.valid()) return nullptr;
  return std::make_unique<Watch>(TRY(sys::dup_cloexec(out_of_memory)));
}
Result<plan::Stats> FakeExecutor::stats(const plan::CgroupLocations& cgroups) {
  plan::Stats stats;
  stats.oom_kills = oom_kills(cgroups);
  return stats;
}
std::uint64_t FakeExecutor::oom_kills(const plan::CgroupLocations& cgroups) {
  return sys::faccessat(sys::kCwd, marker(cgroups, "oom").c_str(), F_OK) ? 1 : 0;
}
Result<> FakeExecutor::undo(const plan::Undo& change) {
  TRY(sys::remove_tree(sys::kCwd, change.target.c_str()));
  return {};
}

ScratchDirectory::ScratchDirectory() {
  char name[] = "/tmp/caisson-container-test-XXXXXX";
  path_ = ::mkdtemp(name);
}
ScratchDirectory::~ScratchDirectory() { (void)sys::remove_tree(sys::kCwd, path_.c_str()); }

World::World() {
  (void)sys::make_directories(scratch / "cgroups", 0700);
  context.warn = [this](std::string_view text) { warnings.emplace_back(text); };
}

spec::ContainerSpec World::spec(Strings args) const {
  spec::ContainerSpec out;
  out.oci_version = "1.3.0";
  out.root = spec::Root{"/", false};
  spec::Process process;
  process.args = std::move(args);
  process.cwd = "/";
  process.env = {"PATH=/usr/bin:/bin"};
  out.process = process;
  out.linux_part.emplace().namespaces = {{spec::NamespaceKind::kMount, ""}};
  return out;
}

Strings World::leftovers() const {
  Strings out;
  for (const auto& directory : {scratch / "state", scratch / "cgroups"}) {
    auto dir = sys::openat(sys::kCwd, directory.c_str(), O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    auto names = sys::list_directory(*dir);
    if (names) out.insert(out.end(), names->begin(), names->end());
  }
  return out;
}

bool process_exists(int pid) { return sys::kill(pid, 0).has_value(); }
void pause_ms(int ms) { ::usleep(static_cast<useconds_t>(ms) * 1000); }
int fork_test_process() { return ::fork(); }
int wait_test_process(int pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

}  // namespace caisson::container
