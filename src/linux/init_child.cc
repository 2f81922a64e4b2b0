// What a container's first process does before its program: the steps, in order. Read top to
// bottom, this is the start of a container seen from inside.

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "linux/child.h"
#include "linux/early_network.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

using plan::NamespaceKind;

struct Step {
  ChildStep id;
  ErrnoOr<> (*run)(ChildContext&);
};

// --- conversation with the parent
// -------------------------------------------------------------------

ErrnoOr<> tell(ChildContext& context, char word) {
  TRY(sys::call(SYS_sendto, context.report_fd, &word, 1, MSG_NOSIGNAL, nullptr, 0));
  return {};
}

// Waits for the parent's word. The parent's death ends us: it was building us.
ErrnoOr<> expect(ChildContext& context, char word) {
  char got = 0;
  std::size_t size = TRY(sys::read(FdRef(context.report_fd), &got, 1));
  if (size == 0 || got != word) return std::unexpected(Errno{ECANCELED});
  return {};
}

[[noreturn]] void fail(ChildContext& context, ChildStep step, Errno error) {
  context.report->step = step;
  context.report->error = error.value;
  (void)tell(context, 'F');
  sys::exit_process(1);
}

void run_steps(ChildContext& context, const Step* begin, const Step* end) {
  for (const Step* step = begin; step != end; ++step) {
    auto slot = static_cast<std::size_t>(step->id);
    if (context.timed) context.report->begin_ns[slot] = monotonic_ns();
    auto done = step->run(context);
    if (context.timed) context.report->end_ns[slot] = monotonic_ns();
    if (!done) fail(context, step->id, done.error());
  }
}

// --- steps
// ------------------------------------------------------------------------------------------

ErrnoOr<> write_text(ChildContext& context, const char* path, std::string_view text) {
  note(context, Operation::kWrite, path);
  return sys::write_control(sys::kCwd, path, text);
}

// Dispositions that the caller inherited as "ignored" are not for the container.
void reset_signals() {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    std::uint64_t mask;
  } defaults{};
  for (int signal = 1; signal < 32; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) {
      sys::raw(SYS_rt_sigaction, signal, &defaults, nullptr, 8);
    }
  }
}

// The parent's death ends us: by the signal, or, when it came before that, by the end of the
// conversation.
ErrnoOr<> die_with_parent(ChildContext& context) {
  TRY(sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  Fd(std::exchange(context.parent_fd, -1)).reset();
  return {};
}

// Lowering it needs CAP_SYS_RESOURCE. Engines of ordinary users ask for the score that they have
// themselves, which the kernel refuses as well when it was lowered before.
ErrnoOr<> set_oom_score(ChildContext& context, int score) {
  constexpr const char* kFile = "/proc/self/oom_score_adj";
  char text[16];
  char* end = std::to_chars(text, text + sizeof text, score).ptr;
  std::string_view wanted(text, static_cast<std::size_t>(end - text));
  auto written = write_text(context, kFile, wanted);
  if (written || !context.process->oom_score_adj_optional) return written;
  Fd file = TRY(sys::openat(sys::kCwd, kFile, O_RDONLY));
  char present[16];
  std::size_t size = TRY(sys::read(file, present, sizeof present));
  bool same = size == wanted.size() + 1 && std::memcmp(present, text, wanted.size()) == 0;
  return same ? ErrnoOr<>{} : written;
}

ErrnoOr<> prepare(ChildContext& context) {
  TRY(die_with_parent(context));
  reset_signals();
  sys::raw(SYS_umask, 0);  // modes are exactly those of the plan
  if (context.new_session) TRY(sys::setsid());
  for (int number = 0; number < 3; ++number) {
    int from = context.stdio[number];
    if (from >= 0 && from != number) TRY(sys::dup3(FdRef(from), number, 0));
    if (from == number) TRY(sys::set_cloexec(FdRef(number), false));
  }
  const auto& process = *context.process;
  if (!process.oom_score_adj) return {};
  return set_oom_score(context, *process.oom_score_adj);
}

// Version 1 hierarchies: a thread that moves itself through `tasks` takes no global lock, whereas a
// write of a pid to cgroup.procs waits for an RCU grace period on an idle machine (milliseconds).
ErrnoOr<> join_cgroups(ChildContext& context) {
  if (context.await_joins) return {};  // see join_what_was_made()
  for (std::size_t i = 0; i < context.cgroup_task_fds.size(); ++i) {
    note(context, Operation::kWrite, "tasks", static_cast<int>(i));
    TRY(sys::write(FdRef(context.cgroup_task_fds[i]), "0", 1));
  }
  return {};
}

// The intermediate process enters all but one for the new process. A cgroup namespace forbids its
// members to put a process anywhere from outside of it (mount option nsdelegate, cgroups(7)): where
// the new process is made in its cgroup from outside, it enters that namespace itself.
ErrnoOr<> join_namespaces(ChildContext& context) {
  for (const auto& join : context.joins) {
    bool late = join.kind == plan::NamespaceKind::kCgroup && context.init_cgroup_fd >= 0;
    if (late != context.intermediate) continue;
    note(context, Operation::kNone, "", static_cast<int>(join.kind));
    TRY(sys::setns(join.fd, join.clone_flag));
  }
  return {};
}

ErrnoOr<> write_own_maps(ChildContext& context) {
  const auto& ids = context.plan->namespaces.ids;
  TRY(write_text(context, "/proc/self/setgroups", "deny"));
  for (bool user : {true, false}) {
    const auto& map = user ? ids.uid[0] : ids.gid[0];
    char text[48];
    char* at = std::to_chars(text, text + 12, map.container_id).ptr;
    *at++ = ' ';
    at = std::to_chars(at, at + 12, map.host_id).ptr;
    *at++ = ' ';
    *at++ = '1';
    TRY(write_text(context, user ? "/proc/self/uid_map" : "/proc/self/gid_map",
                   std::string_view(text, static_cast<std::size_t>(at - text))));
  }
  return {};
}

ErrnoOr<> map_ids(ChildContext& context) {
  if (context.intermediate) return {};
  switch (context.plan->namespaces.ids.method) {
    case plan::IdMapMethod::kNone: return {};
    case plan::IdMapMethod::kSingle: return write_own_maps(context);
    case plan::IdMapMethod::kDirect:
    case plan::IdMapMethod::kHelpers: return expect(context, 'M');
  }
  return {};
}

bool maps_root(const std::vector<spec::IdMapping>& mappings) {
  for (const auto& mapping : mappings) {
    if (mapping.container_id == 0 && mapping.size > 0) return true;
  }
  return false;
}

// In a user namespace we act as its root from here on: files that we make belong to it.
ErrnoOr<> become_root(ChildContext& context) {
  if (!context.user_namespace) return {};
  const auto& ids = context.plan->namespaces.ids;
  bool joined = ids.method == plan::IdMapMethod::kNone;
  note(context, Operation::kNone, "root of the user namespace");
  // What a joined one maps is not known: without a root in it (EINVAL) we stay who we are.
  auto become = [&](bool mapped, ErrnoOr<> (*set)(std::uint32_t)) -> ErrnoOr<> {
    if (!joined && !mapped) return {};
    auto done = set(0);
    if (!done && joined && done.error().value == EINVAL) return {};
    return done;
  };
  TRY(become(maps_root(ids.gid), sys::setresgid));
  TRY(become(maps_root(ids.uid), sys::setresuid));
  // A change of ids clears it.
  TRY(sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  return {};
}

// Receives a JoinMessage and its descriptors.
ErrnoOr<> receive_joins(ChildContext& context, JoinMessage& joins,
                        int (&fds)[JoinMessage::kMaxDescriptors]) {
  iovec part{&joins, sizeof joins};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  long size = TRY(sys::call(SYS_recvmsg, context.report_fd, &message, MSG_CMSG_CLOEXEC));
  if (size != sizeof joins || joins.word != 'J') return std::unexpected(Errno{ECANCELED});
  std::size_t count = std::size_t{joins.tasks} + joins.devices;
  auto* header = CMSG_FIRSTHDR(&message);
  std::size_t got = header == nullptr ? 0 : (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  if (got != count) return std::unexpected(Errno{EMFILE});
  if (count != 0) std::memcpy(fds, CMSG_DATA(header), count * sizeof(int));
  return {};
}

// What can be built while the parent makes the cgroups. An empty mount namespace hides the host's
// cgroups, which must be opened first. Where memory is tight, what does not fit is better found now
// than by a program that is killed as soon as it runs.
bool builds_early(const ChildContext& context) {
  return context.await_joins && context.empty_namespace_fd < 0 &&
         !context.plan->cgroup.tight_memory;
}

ErrnoOr<> loopback(ChildContext& context) {
  if (!context.plan->namespaces.loopback_up || context.loopback_up) return {};
  note(context, Operation::kNone, "lo");
  TRY(bring_loopback_up());
  context.loopback_up = true;
  return {};
}

// Where joins or namespaces come first that it has to belong to, it is made with those.
ErrnoOr<> make_network(ChildContext& context) {
  if ((context.unshare_flags & CLONE_NEWNET) == 0) return {};
  if (!context.await_joins && context.early_network == nullptr) return {};
  Fd made = context.early_network != nullptr ? context.early_network->take() : Fd();
  if (made) {
    note(context, Operation::kNone, "", static_cast<int>(NamespaceKind::kNetwork));
    TRY(sys::setns(made, CLONE_NEWNET));
    context.unshare_flags &= ~std::uint64_t{CLONE_NEWNET};
    context.loopback_up = true;
    return {};
  }
  note(context, Operation::kNone, "new network namespace");
  TRY(sys::unshare(CLONE_NEWNET));
  context.unshare_flags &= ~std::uint64_t{CLONE_NEWNET};
  return loopback(context);
}

ErrnoOr<> early_root(ChildContext& context) {
  return builds_early(context) ? prepare_root(context) : ErrnoOr<>{};
}

ErrnoOr<> early_mounts(ChildContext& context) {
  return builds_early(context) ? run_mounts(context, true) : ErrnoOr<>{};
}

ErrnoOr<> join_what_was_made(ChildContext& context) {
  if (!context.await_joins) return {};
  int fds[JoinMessage::kMaxDescriptors];
  JoinMessage joins;
  TRY(receive_joins(context, joins, fds));
  context.await_device_rules = joins.await_device_rules != 0;
  const int* next = fds;
  for (int i = 0; i < joins.tasks; ++i) {
    note(context, Operation::kWrite, "tasks", i);
    TRY(sys::write(FdRef(*next++), "0", 1));
  }
  if (joins.devices != 0) context.devices_task_fd = *next;
  return {};
}

ErrnoOr<> make_own_namespaces(ChildContext& context) {
  if (context.await_scope) {
    TRY(tell(context, 'S'));
    TRY(expect(context, 'S'));
  }
  if (context.unshare_flags == 0) return {};
  if (context.empty_namespace_fd >= 0) {
    TRY(open_bound_cgroups(context));
    note(context, Operation::kNone, "empty mount namespace");
    TRY(sys::setns(FdRef(context.empty_namespace_fd), CLONE_NEWNS));
  }
  note(context, Operation::kNone, "new namespaces");
  return sys::unshare(context.unshare_flags);
}

// The parent moves them, with its rights over the host's, as soon as the namespace is there.
ErrnoOr<> await_net_devices(ChildContext& context) {
  if (context.plan->net_devices.empty()) return {};
  TRY(tell(context, 'N'));
  return expect(context, 'N');
}

ErrnoOr<> root(ChildContext& context) {
  return builds_early(context) ? ErrnoOr<>{} : prepare_root(context);
}

ErrnoOr<> mounts(ChildContext& context) { return run_mounts(context, false); }

// The changes of a machine view outlive us in whoever holds their directory.
ErrnoOr<> hand_over_layers(ChildContext& context) {
  if (!context.want_layers || context.layers_fd < 0) return {};
  int fds[] = {context.layers_fd};
  return sys::send_message(FdRef(context.report_fd), "L", fds);
}

ErrnoOr<> early_hooks(ChildContext& context) {
  TRY(hand_over_layers(context));
  const auto& hooks = context.plan->hooks;
  if (hooks.prestart.empty() && hooks.create_runtime.empty() && hooks.create_container.empty()) {
    return {};
  }
  TRY(tell(context, 'H'));
  return expect(context, 'C');
}

ErrnoOr<> make_working_directory(ChildContext& context) {
  if (!context.process->create_cwd) return {};
  note(context, Operation::kMakeTarget, context.process->cwd);
  auto made = open_in_root(context, context.process->cwd, Make::kDirectory);
  // A read-only root, or a directory that only the user can reach: entering it will tell.
  if (!made && made.error().value != EROFS && made.error().value != EACCES) {
    return std::unexpected(made.error());
  }
  return {};
}

ErrnoOr<> masks(ChildContext& context) {
  TRY(make_working_directory(context));
  return run_final_mounts(context);
}

ErrnoOr<> set_names(ChildContext& context) {
  const auto& plan = *context.plan;
  note(context, Operation::kNone, plan.hostname);
  if (!plan.hostname.empty()) {
    TRY(sys::call_void(SYS_sethostname, plan.hostname.data(), plan.hostname.size()));
  }
  note(context, Operation::kNone, plan.domainname);
  if (!plan.domainname.empty()) {
    TRY(sys::call_void(SYS_setdomainname, plan.domainname.data(), plan.domainname.size()));
  }
  return {};
}

// CVE-2025-52881: sysctls are written through a procfs of our own that nobody else can see, never
// through the container's /proc.
ErrnoOr<Fd> own_procfs(ChildContext& context) {
  Fd filesystem = TRY(sys::fsopen("proc"));
  TRY(sys::fsconfig_create(filesystem));
  auto tree = sys::fsmount(filesystem, 0);
  if (tree || tree.error().value != EPERM) return tree;
  // A user namespace may not make one more; the host's is still visible before the pivot.
  (void)context;
  return sys::openat(sys::kCwd, "/proc", O_PATH | O_DIRECTORY);
}

ErrnoOr<> write_sysctls(ChildContext& context) {
  const auto& sysctls = context.plan->sysctls;
  if (sysctls.empty()) return {};
  note(context, Operation::kMount, "proc");
  Fd proc = TRY(own_procfs(context));
  Fd base =
      TRY(sys::openat2(proc, "sys", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
  for (std::size_t i = 0; i < sysctls.size(); ++i) {
    note(context, Operation::kWrite, sysctls[i].key, static_cast<int>(i));
    Fd file = TRY(sys::openat2(base, sysctls[i].path.c_str(), O_WRONLY,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
    TRY(sys::write(file, sysctls[i].value.data(), sysctls[i].value.size()));
  }
  return {};
}

// All device nodes are made: their rules may take effect.
ErrnoOr<> ask_for_device_rules(ChildContext& context) {
  return context.await_device_rules ? tell(context, 'D') : ErrnoOr<>{};
}

ErrnoOr<> launch(ChildContext& context) {
  if (!context.made_by_launcher) TRY(expect(context, 'G'));
  if (context.devices_task_fd >= 0) {
    note(context, Operation::kWrite, "tasks of the devices cgroup");
    TRY(sys::write(FdRef(context.devices_task_fd), "0", 1));
  }
  // Set anew: the change of credentials cleared it.
  TRY(sys::prctl(PR_SET_PDEATHSIG, context.end_with_parent ? SIGKILL : 0, 0, 0, 0));
  context.report->launched = 1;
  return start_launcher(context);
}

ErrnoOr<> exec_console(ChildContext& context) {
  TRY(open_exec_console(context));
  return take_console(context);
}

constexpr Step kInitSteps[] = {
    {ChildStep::kPrepare, prepare},
    {ChildStep::kJoinCgroup, join_cgroups},
    {ChildStep::kJoinNamespaces, join_namespaces},
    {ChildStep::kIdMaps, map_ids},
    {ChildStep::kBecomeRoot, become_root},
    {ChildStep::kEarlyNetwork, make_network},
    {ChildStep::kEarlyRoot, early_root},
    {ChildStep::kEarlyMounts, early_mounts},
    {ChildStep::kLateJoins, join_what_was_made},
    {ChildStep::kNamespaces, make_own_namespaces},
    {ChildStep::kLoopback, loopback},
    {ChildStep::kNetDevices, await_net_devices},
    {ChildStep::kRoot, root},
    {ChildStep::kMounts, mounts},
    {ChildStep::kHostname, set_names},
    {ChildStep::kSysctl, write_sysctls},
    {ChildStep::kHooks, early_hooks},
    {ChildStep::kMasks, masks},
    {ChildStep::kPivot, pivot_into_root},
    {ChildStep::kPropagation, apply_root_propagation},
    {ChildStep::kConsole, take_console},
    {ChildStep::kDeviceRules, ask_for_device_rules},
    {ChildStep::kLimits, apply_limits},
    {ChildStep::kScheduling, apply_scheduling},
    {ChildStep::kWorkingDirectory, enter_working_directory},
    {ChildStep::kKeyring, join_session_keyring},
    {ChildStep::kSeccomp, prepare_seccomp},
    {ChildStep::kCredentials, become_user},
    {ChildStep::kFindProgram, find_program},
    {ChildStep::kLauncher, launch},
};

// process.execCPUAffinity: the processors before the cgroup is joined, and those afterwards.
ErrnoOr<> join_exec_cgroups(ChildContext& context) {
  const auto& process = *context.process;
  note(context, Operation::kNone, "process.execCPUAffinity");
  if (!process.cpus_initial.empty()) TRY(set_affinity(process.cpus_initial));
  TRY(join_cgroups(context));
  if (process.cpus_final.empty()) return {};
  note(context, Operation::kNone, "process.execCPUAffinity.final");
  return set_affinity(process.cpus_final);
}

// A process that joins a running container. Our own /proc/self is that of the host's until the
// namespaces are entered.
constexpr Step kExecSteps[] = {
    {ChildStep::kPrepare, prepare},
    {ChildStep::kJoinCgroup, join_exec_cgroups},
    {ChildStep::kJoinNamespaces, join_namespaces},
    {ChildStep::kBecomeRoot, become_root},
    {ChildStep::kConsole, exec_console},
    {ChildStep::kLimits, apply_limits},
    {ChildStep::kScheduling, apply_scheduling},
    {ChildStep::kWorkingDirectory, enter_working_directory},
    {ChildStep::kKeyring, join_session_keyring},
    {ChildStep::kSeccomp, prepare_seccomp},
    {ChildStep::kCredentials, become_user},
    {ChildStep::kFindProgram, find_program},
    {ChildStep::kLauncher, launch},
};

// --- mounts of a running container

// Nothing of the container may look at us: who shares its namespaces with the host could.
ErrnoOr<> hide(ChildContext& context) {
  TRY(die_with_parent(context));
  TRY(sys::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  note(context, Operation::kOpenSource, "/proc/self/fd");
  context.own_fds_fd = TRY(sys::openat(sys::kCwd, "/proc/self/fd", O_PATH | O_DIRECTORY)).release();
  sys::raw(SYS_umask, 0);
  return {};
}

// Where setns(2) has left us: at the root of the mount namespace.
ErrnoOr<> take_root(ChildContext& context) {
  context.root_fd = TRY(sys::openat(sys::kCwd, "/", O_PATH | O_DIRECTORY)).release();
  return {};
}

ErrnoOr<> change_mounts(ChildContext& context) {
  auto done = run_mounts(context, false);
  if (done) done = run_final_mounts(context);
  if (done) return {};
  ChildReport failed = *context.report;
  (void)unmount_targets(context, static_cast<std::size_t>(std::max(failed.index, 0)));
  *context.report = failed;
  return done;
}

constexpr Step kMountChangeSteps[] = {
    {ChildStep::kPrepare, hide},           {ChildStep::kJoinNamespaces, join_namespaces},
    {ChildStep::kBecomeRoot, become_root}, {ChildStep::kRoot, take_root},
    {ChildStep::kMounts, change_mounts},
};

// --- the intermediate process
// -----------------------------------------------------------------------

// Into a namespace of the host only a process of the host's user namespace gets, into one of the
// new user namespace's kin perhaps only a process of that one: what refuses us now is tried again
// from there.
ErrnoOr<> enter_user_namespace(ChildContext& context) {
  if (!context.user_namespace_after_joins) return {};
  std::erase_if(context.joins, [](const JoinNamespace& join) {
    return sys::setns(join.fd, join.clone_flag).has_value();
  });
  note(context, Operation::kNone, "", static_cast<int>(NamespaceKind::kUser));
  TRY(sys::unshare(CLONE_NEWUSER));
  auto method = context.plan->namespaces.ids.method;
  bool mapped_from_outside =
      method == plan::IdMapMethod::kDirect || method == plan::IdMapMethod::kHelpers;
  return mapped_from_outside ? tell(context, 'U') : ErrnoOr<>{};
}

ErrnoOr<> enter_namespaces(ChildContext& context) {
  context.intermediate = false;  // these steps are its own
  auto done = enter_user_namespace(context);
  if (done) done = join_namespaces(context);
  if (done) done = map_ids(context);
  if (done) done = become_root(context);
  context.intermediate = true;
  return done;
}

// time_namespaces(7): the offsets can be set only before the first process enters, so by
// unshare(2).
ErrnoOr<> make_time_namespace(ChildContext& context) {
  const auto& namespaces = context.plan->namespaces;
  if (namespaces.steps.empty() || !namespaces.is_new(NamespaceKind::kTime)) return {};
  TRY(sys::unshare(0x80 /* CLONE_NEWTIME */));
  // The files of a process that is not dumpable belong to root of the host; no other process can
  // reach us yet.
  TRY(sys::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
  for (const auto& [clock, offset] : namespaces.time_offsets) {
    char text[64];
    bool boot = clock == "boottime";
    char* at = text;
    for (char c : std::string_view(boot ? "boottime " : "monotonic ")) *at++ = c;
    at = std::to_chars(at, at + 22, offset.seconds).ptr;
    *at++ = ' ';
    at = std::to_chars(at, at + 12, offset.nanoseconds).ptr;
    TRY(write_text(context, "/proc/self/timens_offsets",
                   std::string_view(text, static_cast<std::size_t>(at - text))));
  }
  return sys::call_void(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
}

constexpr Step kIntermediateSteps[] = {
    {ChildStep::kPrepare, die_with_parent},
    {ChildStep::kJoinNamespaces, enter_namespaces},
    {ChildStep::kTimeNamespace, make_time_namespace},
};

}  // namespace

void run_intermediate_child(ChildContext& context, void (*next)(ChildContext&)) {
  run_steps(context, std::begin(kIntermediateSteps), std::end(kIntermediateSteps));
  clone_args args{};
  args.flags = context.init_clone_flags | std::uint64_t{CLONE_PARENT};
  if (context.init_cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(static_cast<unsigned>(context.init_cgroup_fd));
  }
  auto pid = sys::call(SYS_clone3, &args, sizeof args);
  if (!pid) fail(context, ChildStep::kJoinNamespaces, pid.error());
  if (*pid == 0) next(context);
  context.report->init_pid = static_cast<std::int32_t>(*pid);
  sys::exit_process(0);
}

ErrnoOr<> bring_loopback_up() {
  Fd socket = TRY(sys::call_fd(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return sys::call_void(SYS_ioctl, socket.number(), SIOCSIFFLAGS, &request);
}

void note(ChildContext& context, Operation operation, std::string_view object, int index) {
  auto& report = *context.report;
  report.operation = operation;
  report.index = index;
  std::size_t size =
      object.size() < sizeof report.object ? object.size() : sizeof report.object - 1;
  if (size != 0) std::memcpy(report.object, object.data(), size);
  report.object[size] = '\0';
}

void run_init_child(ChildContext& context) {
  run_steps(context, std::begin(kInitSteps), std::end(kInitSteps));
  sys::exit_process(1);
}

void run_exec_outside(ChildContext& context) {
  context.new_session = false;  // the launcher's process makes it
  context.made_by_launcher = true;
  run_steps(context, std::begin(kExecSteps), std::end(kExecSteps));
  sys::exit_process(1);
}

void run_mount_change(ChildContext& context) {
  run_steps(context, std::begin(kMountChangeSteps), std::end(kMountChangeSteps));
  context.report->launched = 1;
  sys::exit_process(0);
}

void run_exec_child(ChildContext& context) {
  run_steps(context, std::begin(kExecSteps), std::end(kExecSteps));
  sys::exit_process(1);
}

}  // namespace caisson::linux
