// The life of a kernel process, from its arguments to the exit status: the steps of run(), in
// order.
#include "sandbox/boot/kernel_main.h"

#include <linux/capability.h>
#include <malloc.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "sandbox/boot/confine.h"
#include "sandbox/boot/descriptors.h"
#include "sandbox/boot/guest_container.h"
#include "sandbox/boot/inherited.h"
#include "sandbox/boot/processes.h"
#include "sandbox/boot/server.h"
#include "sandbox/boot/show.h"
#include "sandbox/boot/stub_oom_score.h"
#include "sandbox/net/host_topology.h"
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

struct Boot {
  Inherited inherited;
  bool restores = false;  // a checkpoint; else the plan's process is started
  fs::MachineFacts facts;
  Fd gofer;
  Fd proc;       // the jail's
  Fd oom_score;  // our own, until stubs have theirs
  net::Topology topology;
  std::string mappings;  // /proc/self/maps, as long as it could be read
  std::unique_ptr<platform::Platform> platform;
  std::unique_ptr<kernel::Kernel> kernel;
  std::unique_ptr<SharedParts> shared;
  std::unique_ptr<Server> server;
  const plan::Plan& plan() const { return inherited.plan; }
};

// A proc in no tree, of this pid namespace, with nothing but its processes; none where the host
// gives none.
Fd processes_of_jail(unsigned access) {
  auto context = sys::fsopen("proc");
  if (!context || !sys::fsconfig_string(*context, "subset", "pid") ||
      !sys::fsconfig_create(*context))
    return {};
  auto mount =
      sys::fsmount(*context, access | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  return mount ? std::move(*mount) : Fd();
}

Result<> make_platform(Boot& boot) {
  StubOomScore higher(boot.oom_score);
  const std::string& chosen = boot.plan().sandbox->platform;
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

// The jail's /proc shows the platform where its vDSO is, and us where ours are; from then on the
// root is empty. In a user namespace that another one's mounts are not to be taken off in, it
// stays.
Result<> give_up_proc(Boot& boot) {
  // By it the host tells of our stubs' memory; without it resident sizes stay untold.
  boot.proc = processes_of_jail(MOUNT_ATTR_RDONLY);
  if (auto proc = processes_of_jail(0)) {
    if (auto file = sys::openat(proc, "self/oom_score_adj", O_RDWR | O_CLOEXEC))
      boot.oom_score = std::move(*file);
  }
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
  std::vector<Reachable> reachable;
  auto described = host_places(boot.plan());
  const auto& places = boot.inherited.places;
  for (std::size_t i = 0; i < places.size() && i < described.size(); ++i)
    if (places[i]) reachable.push_back({places[i].ref(), described[i].writable});
  if (boot.proc) reachable.push_back({boot.proc.ref(), false});
  TRY(restrict_paths(reachable));
  // Guests' low ports are this process's.
  constexpr std::uint64_t kLowPorts = std::uint64_t{1} << CAP_NET_BIND_SERVICE;
  return drop_capabilities(boot.plan().sandbox->host_network ? kLowPorts : 0);
}

Result<> give_up_rights(Boot& boot) {
  Confinement confinement;
  confinement.ptrace = boot.platform->name() == "ptrace";
  confinement.host_network = boot.plan().sandbox->host_network;
  return give_up_calls(confinement);
}

// The network of the containers: the host's sockets, or those of the sandbox among themselves.
Result<Ref<net::Network>> make_network(Boot& boot) {
  auto sockets = make_ref<net::Sockets>(syscalls::process_of_task);
  if (!boot.plan().sandbox->host_network) return make_ref<net::Network>(std::move(sockets));
  auto poller = TRY_CTX(fs::HostPoller::create(), "make the poller of sockets");
  return make_ref<net::Network>(std::move(sockets), std::move(boot.topology), std::move(poller));
}

Result<> make_kernel(Boot& boot) {
  boot.kernel = std::make_unique<kernel::Kernel>(std::move(boot.platform), syscalls::dispatch);
  if (boot.inherited.strace) {
    boot.kernel->call_log = TRY(syscalls::SyscallLog::create(std::move(boot.inherited.strace),
                                                             boot.plan().sandbox->strace_calls));
  }
  if (boot.proc)
    boot.kernel->host_figures = std::make_unique<mm::HostFigures>(
        TRY_CTX(sys::dup_cloexec(boot.proc), "keep the /proc of the jail"));
  auto memory = TRY_CTX(fs::FileMemory::create(), "make the memory of files");
  auto network = TRY(make_network(boot));
  boot.shared = std::make_unique<SharedParts>(
      SharedParts{*boot.kernel, std::move(boot.facts), std::move(memory), std::move(network)});
  return {};
}

Result<std::unique_ptr<GuestContainer>> make_first(Boot& boot) {
  ContainerParts parts{boot.plan(), std::move(boot.inherited.places), std::move(boot.gofer)};
  return make_guest_container(*boot.shared, std::move(parts), nullptr);
}

Result<StartedProcess> start(Boot& boot, const Ref<kernel::Container>& container) {
  std::array<Fd, 3> stdio = {Fd(0), Fd(1), Fd(2)};
  return start_process(*boot.kernel, container, boot.plan().process, std::move(stdio),
                       StartAs::kInit);
}

// What the plan made of the mounts goes where the checkpoint has others.
Result<StartedProcess> restore(Boot& boot, const Ref<kernel::Container>& container,
                               PlannedFilesystems planned) {
  std::array<Fd, 3> stdio = {Fd(0), Fd(1), Fd(2)};
  auto streams = TRY(take_streams(std::move(stdio), StartAs::kInit));
  auto before = container->mounts;
  TRY(restore_image(*boot.kernel, *container, std::move(planned), std::move(streams),
                    {boot.inherited.state, boot.inherited.memory}));
  boot.inherited.state.reset();
  StartedProcess init;
  init.group = container->init;
  boot.kernel->resume_all();
  return init;
}

Result<int> run(Boot& boot, const std::vector<std::string_view>& arguments) {
  boot.inherited = TRY(take_inherited(arguments));
  boot.restores = boot.inherited.state.valid();
  take_terminal(boot.plan().process);
  boot.facts = TRY_CTX(fs::MachineFacts::of_host(), "look at the machine");
  boot.gofer = TRY(start_gofer(boot.plan(), boot.inherited.places));
  if (boot.plan().sandbox->host_network) boot.topology = TRY(net::topology_of_host());
  TRY(give_up_proc(boot));
  TRY(give_up_paths(boot));
  TRY(make_platform(boot));
  boot.oom_score.reset();
  TRY(give_up_rights(boot));
  TRY(make_kernel(boot));
  auto first = TRY(make_first(boot));
  auto container = first->container;
  auto planned = std::exchange(first->planned, {});
  Fd listener = TRY_CTX(sys::dup_cloexec(boot.inherited.control), "keep the control socket");
  boot.server = TRY(Server::create(*boot.shared, std::move(first), std::move(listener)));
  boot.server->set_proc(std::move(boot.proc));
  auto init =
      TRY(boot.restores ? restore(boot, container, std::move(planned)) : start(boot, container));
  boot.inherited.control.reset();
  planned.clear();
  int status = boot.server->run(std::move(init));
  // For `caisson why`; without it the status is still the program's.
  if (boot.inherited.notes)
    (void)sys::write_all(boot.inherited.notes, missing_calls_text(*boot.kernel));
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

}  // namespace

int kernel_main(const std::vector<std::string_view>& arguments) {
  // Few arenas are enough, and told so, the allocator does not look for the number of processors in
  // files that are out of reach.
  (void)::mallopt(M_ARENA_MAX, 2);
  // Signals are read (server.h); threads that come later inherit the mask.
  (void)sys::signal_mask(SIG_SETMASK, sys::SignalSet::all());
  Fd errors(-1);
  if (auto copy = sys::dup_cloexec(FdRef(2))) errors = std::move(*copy);
  Boot boot;
  auto status = run(boot, arguments);
  if (status) sys::exit_process(*status);
  constexpr int kCouldNotStart = 125;
  if (boot.restores && boot.inherited.control && tell(boot.inherited.control, status.error()))
    sys::exit_process(kCouldNotStart);
  (void)sys::write_all(errors, report_of(status.error()));
  sys::exit_process(status_of(status.error()));
}

}  // namespace caisson::sandbox::boot
