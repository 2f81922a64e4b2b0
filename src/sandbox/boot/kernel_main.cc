// The life of a kernel process, from its arguments to the exit status: the steps of boot(), in
// order.
#include "sandbox/boot/kernel_main.h"

#include <malloc.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "gofer/client.h"
#include "gofer/start.h"
#include "plan/wire.h"
#include "sandbox/boot/confine.h"
#include "sandbox/boot/descriptors.h"
#include "sandbox/boot/filesystems.h"
#include "sandbox/boot/gofer_files.h"
#include "sandbox/boot/image.h"
#include "sandbox/boot/mounts.h"
#include "sandbox/boot/processes.h"
#include "sandbox/boot/server.h"
#include "sandbox/boot/show.h"
#include "sandbox/kernel/ipc_namespace.h"
#include "sandbox/net/host_topology.h"
#include "sandbox/net/network.h"
#include "sandbox/net/sockets.h"
#include "sandbox/platform/platform.h"
#include "sandbox/syscalls/socket_requester.h"
#include "sandbox/syscalls/strace.h"
#include "sandbox/syscalls/table.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::boot {
namespace {

// As `run` reports what it could not start: 125, 126, 127.
constexpr int kCouldNotStart = 125;

struct Boot {
  KernelDescriptors numbers;
  plan::Plan plan;
  Fd control, strace, notes;
  Fd state, memory;  // a checkpoint; none: the plan's process is started
  Fd proc;           // the jail's own, which shows this process and its stubs
  std::vector<Fd> places;
  fs::MachineFacts facts;
  std::unique_ptr<gofer::Client> gofer;                  // null: none could be started here
  std::vector<std::unique_ptr<GoferFiles>> gofer_files;  // by place
  net::Topology topology;
  std::string mappings;  // /proc/self/maps, as long as it could be read
  std::unique_ptr<platform::Platform> platform;
  std::unique_ptr<kernel::Kernel> kernel;
  Ref<kernel::Container> container;
  PlannedFilesystems planned;  // until it runs
  std::unique_ptr<Server> server;
};

// A descriptor that we were started with: ours from now on, and of no child.
Fd take(int number) {
  if (number >= 0) (void)sys::set_cloexec(FdRef(number), true);
  return Fd(number);
}

Result<> read_plan(Boot& boot) {
  Fd file = take(boot.numbers.plan);
  std::string bytes = TRY_CTX(sys::read_all(file), "read the plan");
  TRY(plan::decode(bytes, boot.plan));
  if (!boot.plan.sandbox || boot.plan.process.args.empty())
    return std::unexpected(Error::invalid("is not one of a sandbox").doing("read the plan"));
  boot.control = take(boot.numbers.control);
  boot.strace = take(boot.numbers.strace);
  boot.state = take(boot.numbers.state);
  boot.memory = take(boot.numbers.memory);
  boot.notes = take(boot.numbers.notes);
  for (int number : boot.numbers.places) boot.places.push_back(take(number));
  return {};
}

// A raw terminal of the host tells its size by SIGWINCH to whom it belongs.
void take_terminal(const Boot& boot) {
  if (!boot.plan.process.terminal) return;
  (void)sys::setsid();
  (void)sys::call_void(SYS_ioctl, 0, TIOCSCTTY, 0);
}

Result<> make_platform(Boot& boot) {
  const std::string& chosen = boot.plan.sandbox->platform;
  if (chosen == "ptrace") {
    boot.platform = TRY(platform::make_ptrace(boot.mappings));
    return {};
  }
  auto fast = platform::make_systrap(boot.mappings, chosen != "systrap,nopatch");
  if (!fast && chosen.empty()) {
    boot.platform = TRY(platform::make_ptrace(boot.mappings));
    return {};
  }
  boot.platform = TRY(std::move(fast));
  return {};
}

// For files of other owners than this process's user. A sandbox of an ordinary user has none: in
// his name there is nothing that it could do which this process could not.
Result<> start_gofer(Boot& boot) {
  std::vector<gofer::Mount> mounts;
  std::vector<std::size_t> numbers;
  auto described = host_places(boot.plan);
  for (std::size_t i = 0; i < boot.places.size() && i < described.size(); ++i) {
    if (!boot.places[i]) continue;
    gofer::Mount mount;
    mount.root = TRY_CTX(sys::dup_cloexec(boot.places[i]), "give the gofer ", described[i].path);
    mount.readonly = !described[i].writable;
    mounts.push_back(std::move(mount));
    numbers.push_back(i);
  }
  boot.gofer_files.resize(boot.places.size());
  auto started = gofer::start(std::move(mounts));
  if (!started && started.error().is(EPERM)) return {};
  if (!started) return std::unexpected(std::move(started).error());
  boot.gofer = std::make_unique<gofer::Client>(std::move(started->socket));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    boot.gofer_files[numbers[i]] =
        std::make_unique<GoferFiles>(*boot.gofer, static_cast<std::uint32_t>(i));
  return {};
}

// What the host tells of our stubs' memory: a proc in no tree, of this pid namespace, with nothing
// but its processes. A host that gives us none leaves resident sizes untold.
Fd processes_of_jail() {
  auto context = sys::fsopen("proc");
  if (!context || !sys::fsconfig_string(*context, "subset", "pid") ||
      !sys::fsconfig_create(*context))
    return {};
  auto mount = sys::fsmount(
      *context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  return mount ? std::move(*mount) : Fd();
}

// The jail's /proc shows the platform where its vDSO is, and us where ours are; from then on the
// root is empty. In a user namespace that another one's mounts are not to be taken off in, it
// stays.
Result<> give_up_proc(Boot& boot) {
  boot.proc = processes_of_jail();
  boot.mappings =
      TRY_CTX(sys::read_file(sys::kCwd, "/proc/self/maps"), "read where the vDSO is mapped");
  auto off = sys::umount("/proc", MNT_DETACH);
  if (!off && off.error().value != EPERM)
    return std::unexpected(Error(off.error()).doing("take /proc off the jail"));
  return {};
}

// Before the platform makes its stubs: who is confined by Landlock may trace only those who are so
// too, and what this process has of capabilities they would have in their bounding set.
Result<> give_up_paths(Boot& boot) {
  std::vector<Reachable> places;
  auto described = host_places(boot.plan);
  for (std::size_t i = 0; i < boot.places.size() && i < described.size(); ++i)
    if (boot.places[i]) places.push_back({boot.places[i].ref(), described[i].writable});
  if (boot.proc) places.push_back({boot.proc.ref(), false});
  TRY(restrict_paths(places));
  return drop_capabilities();
}

Result<> give_up_rights(Boot& boot) {
  Confinement confinement;
  confinement.ptrace = boot.platform->name() == "ptrace";
  confinement.host_network = boot.plan.sandbox->host_network;
  return give_up_calls(confinement);
}

// The network of the container: the host's sockets, or those of the sandbox among themselves.
Result<Ref<net::Network>> make_network(Boot& boot) {
  auto sockets = make_ref<net::Sockets>(syscalls::process_of_task);
  if (!boot.plan.sandbox->host_network) return make_ref<net::Network>(std::move(sockets));
  auto poller = TRY_CTX(fs::HostPoller::create(), "make the poller of sockets");
  return make_ref<net::Network>(std::move(sockets), std::move(boot.topology), std::move(poller));
}

Result<> make_container(Boot& boot) {
  boot.kernel = std::make_unique<kernel::Kernel>(std::move(boot.platform), syscalls::dispatch);
  if (boot.strace) {
    boot.kernel->call_log =
        TRY(syscalls::SyscallLog::create(std::move(boot.strace), boot.plan.sandbox->strace_calls));
  }
  if (boot.proc) {
    Fd proc = TRY_CTX(sys::dup_cloexec(boot.proc), "keep the /proc of the jail");
    boot.kernel->host_figures = std::make_unique<mm::HostFigures>(std::move(proc));
  }
  auto pids = make_ref<kernel::PidNamespace>(nullptr);
  boot.container = make_ref<kernel::Container>(boot.plan.id, std::move(pids));
  auto& container = *boot.container;
  container.uts = make_ref<kernel::UtsNamespace>(boot.plan.hostname, boot.plan.domainname);
  container.ipc = make_ref<kernel::IpcNamespace>();
  container.network = TRY(make_network(boot));
  Filesystems filesystems = TRY(Filesystems::create(*boot.kernel, boot.container, boot.facts));
  std::vector<fs::HostFiles*> helpers;
  for (const auto& files : boot.gofer_files) helpers.push_back(files.get());
  filesystems.set_helpers(std::move(helpers));
  Dispenser dispenser(std::move(boot.places), host_places(boot.plan));
  container.mounts = TRY(build_mounts(boot.plan, dispenser, filesystems));
  boot.planned = number_filesystems(container, filesystems.unnamed());
  boot.kernel->add_container(boot.container);
  return {};
}

Result<StartedProcess> start(Boot& boot) {
  std::array<Fd, 3> stdio = {Fd(0), Fd(1), Fd(2)};
  boot.planned.clear();
  return start_process(*boot.kernel, boot.container, boot.plan.process, std::move(stdio),
                       StartAs::kInit);
}

// What the plan made of the mounts goes where the checkpoint has others.
Result<StartedProcess> restore(Boot& boot) {
  std::array<Fd, 3> stdio = {Fd(0), Fd(1), Fd(2)};
  auto streams = TRY(take_streams(std::move(stdio), StartAs::kInit));
  auto planned = std::exchange(boot.planned, {});
  auto before = boot.container->mounts;
  TRY(restore_image(*boot.kernel, *boot.container, std::move(planned), std::move(streams),
                    {boot.state, boot.memory}));
  boot.state.reset();
  StartedProcess init;
  init.group = boot.container->init;
  boot.kernel->resume_all();
  return init;
}

Result<int> run(Boot& boot) {
  TRY(read_plan(boot));
  take_terminal(boot);
  boot.facts = TRY_CTX(fs::MachineFacts::of_host(), "look at the machine");
  TRY(start_gofer(boot));
  if (boot.plan.sandbox->host_network) boot.topology = TRY(net::topology_of_host());
  TRY(give_up_proc(boot));
  TRY(give_up_paths(boot));
  TRY(make_platform(boot));
  TRY(give_up_rights(boot));
  TRY(make_container(boot));
  Fd listener = TRY_CTX(sys::dup_cloexec(boot.control), "keep the control socket");
  boot.server = TRY(Server::create(*boot.kernel, boot.container, std::move(listener)));
  boot.server->set_proc(std::move(boot.proc));
  auto init = TRY(boot.numbers.state >= 0 ? restore(boot) : start(boot));
  boot.control.reset();
  int status = boot.server->run(std::move(init));
  // For `caisson why`; without it the status is still the program's.
  if (boot.notes) (void)sys::write_all(boot.notes, missing_calls_text(*boot.kernel));
  return status;
}

// Who restores is told why it cannot be, if he asked: his connection waits.
bool tell(FdRef listener, const Error& error) {
  constexpr int kTimeoutMs = 2000;
  if (!sys::wait_readable(listener, kTimeoutMs).value_or(false)) return false;
  auto connection = sys::accept(listener);
  if (!connection) return false;
  // What is left unread when it closes would take the answer with it.
  if (!control::receive_control(*connection)) return false;
  return control::send_control(*connection, control::Answer::kFailed, error.errno_value(),
                               error.message())
      .has_value();
}

int status_of(const Error& error) {
  if (error.step() != "exec") return kCouldNotStart;
  return error.is(ENOENT) ? 127 : 126;
}

}  // namespace

int kernel_main(const std::vector<std::string_view>& arguments) {
  // Few arenas are enough, and told so, the allocator does not look for the number of processors in
  // files that are out of reach.
  (void)::mallopt(M_ARENA_MAX, 2);
  // Signals are read (server.h); threads that come later inherit the mask.
  (void)sys::signal_mask(SIG_SETMASK, sys::SignalSet::all());
  Boot boot;
  auto numbers = from_arguments(arguments);
  Result<int> status = numbers ? 0 : Result<int>(std::unexpected(std::move(numbers).error()));
  Fd errors(-1);
  if (auto copy = sys::dup_cloexec(FdRef(2))) errors = std::move(*copy);
  if (status) {
    boot.numbers = std::move(*numbers);
    status = run(boot);
  }
  if (status) sys::exit_process(*status);
  bool restores = boot.numbers.state >= 0 && boot.control.valid();
  if (restores && tell(boot.control, status.error())) sys::exit_process(kCouldNotStart);
  std::string text = cat("caisson: ", status.error().message(), "\n");
  if (!status.error().cure().empty()) append(text, "  cure: ", status.error().cure(), "\n");
  (void)sys::write_all(errors, text);
  sys::exit_process(status_of(status.error()));
}

}  // namespace caisson::sandbox::boot
