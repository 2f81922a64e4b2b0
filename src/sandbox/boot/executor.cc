#include "sandbox/boot/executor.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "plan/sandbox.h"
#include "plan/wire.h"
#include "sandbox/boot/checkpoint.h"
#include "sandbox/boot/descriptors.h"
#include "sandbox/boot/exec_proxy.h"
#include "sandbox/boot/host_terminal.h"
#include "sandbox/boot/inherited.h"
#include "sandbox/boot/remote_kernel.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace caisson::sandbox::boot {

namespace {

// What is open for one start of a sandbox's kernel.
struct Start {
  plan::CreateRequest& request;
  plan::Plan jail;
  Fd program, plan_file, control, strace, notes;
  OpenedImage image;  // of a restore
  std::vector<Fd> places;
  HostTerminal terminal;
};

Result<> write_plan(Start& start) {
  start.plan_file = TRY_CTX(sys::memfd_create("caisson-plan"), "make the plan's memory file");
  TRY_CTX(sys::write_all(start.plan_file, plan::encode(*start.request.plan)), "write the plan");
  TRY_CTX(sys::call(SYS_lseek, start.plan_file.number(), 0, SEEK_SET), "rewind the plan");
  return {};
}

Result<> open_places(Start& start) {
  start.places = TRY(open_host_places(host_places(*start.request.plan)));
  const std::string& strace = start.request.plan->sandbox->strace;
  if (strace.empty()) return {};
  start.strace = TRY_CTX(
      sys::openat(sys::kCwd, strace.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600),
      "open the log of system calls ", strace);
  return {};
}

// A container that joins needs no kernel of its own: it is to reach the other's.
Result<> connect(Start& start) {
  const std::string& joined = start.request.plan->sandbox->joined;
  std::string path = cat(start.request.scratch_dir, "/", plan::sandbox_socket_name(joined));
  auto connected = sys::connect_unix(path, SOCK_SEQPACKET);
  if (!connected) {
    return std::unexpected(Error(connected.error())
                               .doing("reach the sandbox of container ", quoted(joined))
                               .where("annotations.", plan::kSandboxAnnotation)
                               .cure("name a container that runs with --wall sandbox")
                               .code("container.state"));
  }
  start.control = std::move(*connected);
  return {};
}

Result<> listen(Start& start) {
  const auto& request = start.request;
  std::string name = plan::sandbox_socket_name(request.plan->id);
  TRY(request.undo->record({{plan::Undo::Kind::kUnlink, cat(request.scratch_dir, "/", name)}}));
  Fd directory = TRY_CTX(sys::openat(sys::kCwd, request.scratch_dir.c_str(), O_PATH | O_DIRECTORY),
                         "open the state directory ", request.scratch_dir);
  start.control = TRY_CTX(sys::listen_unix(directory, name.c_str()), "make the control socket");
  // A container that ends with its command has no folder, and nobody asks for it afterwards.
  std::string notes = plan::sandbox_notes_name(request.plan->id);
  auto file =
      sys::openat(directory, notes.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (!file && file.error().value != ENOENT)
    return std::unexpected(Error(file.error()).doing("make ", request.scratch_dir, "/", notes));
  if (file) start.notes = std::move(*file);
  return {};
}

Result<> open_program(Start& start) {
  start.program = TRY_CTX(sys::openat(sys::kCwd, "/proc/self/exe", O_RDONLY),
                          "open our own program for the sandbox's kernel");
  return {};
}

Result<> open_terminal(Start& start) {
  const auto& process = start.request.plan->process;
  if (!process.terminal) return {};
  start.terminal = TRY(HostTerminal::open(process, FdRef(start.request.console_socket)));
  return {};
}

int number_or_none(const Fd& fd) { return fd.valid() ? fd.number() : -1; }

// The arguments of kernel_main(): descriptors by number.
plan::Strings kernel_arguments(Start& start) {
  KernelDescriptors numbers;
  numbers.plan = start.plan_file.number();
  numbers.control = start.control.number();
  numbers.strace = number_or_none(start.strace);
  numbers.state = number_or_none(start.image.state);
  numbers.memory = number_or_none(start.image.memory);
  numbers.notes = number_or_none(start.notes);
  for (const auto& place : start.places) numbers.places.push_back(number_or_none(place));
  bool joins = !start.request.plan->sandbox->joined.empty();
  return to_arguments(joins ? kMemberName : kKernelName, numbers);
}

std::vector<int> kept(const Start& start) {
  std::vector<int> numbers = {start.plan_file.number(), start.control.number()};
  for (const Fd* file : {&start.notes, &start.strace, &start.image.state, &start.image.memory})
    if (*file) numbers.push_back(file->number());
  for (const auto& place : start.places)
    if (place) numbers.push_back(place.number());
  return numbers;
}

Result<plan::CreateResult> create_sandbox(plan::Executor& host, plan::CreateRequest& request) {
  Start start{request, plan::jail_of(*request.plan), {}, {}, {}, {}, {}, {}, {}, {}};
  if (request.restore != nullptr) {
    start.image = TRY(open_image(*request.restore));
    TRY(continue_clocks(start.image, start.jail));
  }
  TRY(open_places(start));
  TRY(write_plan(start));
  TRY(open_program(start));
  bool joins = !request.plan->sandbox->joined.empty();
  TRY(joins ? connect(start) : listen(start));
  TRY(open_terminal(start));
  start.jail.process.args = kernel_arguments(start);
  plan::CreateRequest jailed = request;
  jailed.plan = &start.jail;
  jailed.program_fd = start.program.number();
  jailed.keep_fds = kept(start);
  jailed.preserve_fds = 0;
  jailed.console_socket = -1;
  jailed.want_layers = false;
  if (start.terminal) {
    int slave = start.terminal.slave().number();
    jailed.stdio = {slave, slave, slave};
  }
  auto created = TRY(host.create(jailed));
  if (request.restore != nullptr) {
    std::string socket = cat(request.scratch_dir, "/", plan::sandbox_socket_name(request.plan->id));
    TRY(wait_until_restored(socket));
  }
  TRY(start.terminal.hand_over());
  return created;
}

class SandboxExecutor final : public plan::Executor {
 public:
  explicit SandboxExecutor(std::unique_ptr<plan::Executor> host) : host_(std::move(host)) {}

  Result<plan::HostFacts> host_facts(bool for_view) override { return host_->host_facts(for_view); }
  Result<plan::HostFacts> process_facts() override { return host_->process_facts(); }
  void expect_new_network() override { host_->expect_new_network(); }

  Result<plan::CreateResult> create(plan::CreateRequest& request) override {
    if (!request.plan->sandbox) return host_->create(request);
    return create_sandbox(*host_, request);
  }
  Result<> start(const plan::StartRequest& request) override { return host_->start(request); }
  Result<plan::ProcessHandle> exec(plan::ExecRequest& request) override {
    if (request.sandbox.socket.empty()) return host_->exec(request);
    return exec_in_sandbox(request);
  }
  Result<std::unique_ptr<plan::Sandbox>> reach_sandbox(
      const plan::SandboxAddress& address) override {
    return make_remote_kernel(address);
  }
  Result<> change_mounts(const plan::MountChange& change) override {
    return host_->change_mounts(change);
  }
  Result<> checkpoint(const plan::CheckpointRequest& request) override {
    if (request.control_socket.empty()) return host_->checkpoint(request);
    return checkpoint_sandbox(request);
  }
  Result<plan::CreateResult> restore(plan::RestoreRequest& request) override {
    return host_->restore(request);
  }
  Result<std::vector<int>> processes(const plan::CgroupLocations& cgroups) override {
    return host_->processes(cgroups);
  }
  Result<> kill_all(const plan::CgroupLocations& cgroups, int signal) override {
    return host_->kill_all(cgroups, signal);
  }
  Result<> freeze(const plan::CgroupLocations& cgroups, int timeout_ms) override {
    return host_->freeze(cgroups, timeout_ms);
  }
  Result<> thaw(const plan::CgroupLocations& cgroups, int timeout_ms) override {
    return host_->thaw(cgroups, timeout_ms);
  }
  Result<bool> frozen(const plan::CgroupLocations& cgroups) override {
    return host_->frozen(cgroups);
  }
  Result<plan::Stats> stats(const plan::CgroupLocations& cgroups) override {
    return host_->stats(cgroups);
  }
  Result<plan::Usage> usage(const plan::CgroupLocations& cgroups) override {
    return host_->usage(cgroups);
  }
  Result<std::unique_ptr<plan::MemoryWatch>> watch_memory(
      const plan::CgroupLocations& cgroups) override {
    return host_->watch_memory(cgroups);
  }
  Result<> update(const plan::CgroupUpdate& change,
                  const std::function<Result<>()>& commit) override {
    return host_->update(change, commit);
  }
  std::uint64_t oom_kills(const plan::CgroupLocations& cgroups) override {
    return host_->oom_kills(cgroups);
  }
  Result<> undo(const plan::Undo& change) override { return host_->undo(change); }

 private:
  std::unique_ptr<plan::Executor> host_;
};

}  // namespace

std::unique_ptr<plan::Executor> make_executor(std::unique_ptr<plan::Executor> host) {
  return std::make_unique<SandboxExecutor>(std::move(host));
}

}  // namespace caisson::sandbox::boot
