// What the executor's parent and child sides share.
//
// The child builds the container from inside its new namespaces. It may run in its parent's memory
// (CLONE_VM): so it allocates nothing, takes no lock, and reports through ChildReport. Everything
// it needs is prepared by the parent in ChildContext; files of this floor named *_child.cc run
// there.
#pragma once

#include <limits.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"
#include "plan/plan.h"
#include "sys/event.h"
#include "sys/socket.h"

namespace caisson::linux {

class EarlyNetwork;

// The steps of a start inside the new process, in order; names in kChildStepNames.
enum class ChildStep : std::int32_t {
  kNone,
  kPrepare,
  kJoinCgroup,
  kJoinNamespaces,
  kIdMaps,
  kTimeNamespace,
  kBecomeRoot,
  kEarlyNetwork,
  kEarlyRoot,
  kEarlyMounts,
  kLateJoins,
  kNamespaces,
  kLoopback,
  kNetDevices,
  kRoot,
  kMounts,
  kHooks,
  kPivot,
  kMasks,
  kPropagation,
  kHostname,
  kSysctl,
  kConsole,
  kDeviceRules,
  kLimits,
  kScheduling,
  kWorkingDirectory,
  kKeyring,
  kSeccomp,
  kCredentials,
  kFindProgram,
  kLauncher,
  kCount,
};
std::string_view child_step_name(ChildStep step);

// What was being done to the object when a step failed.
enum class Operation : std::int32_t {
  kNone,
  kOpenSource,
  kResolveTarget,
  kMakeTarget,
  kOpenFilesystem,
  kConfigure,
  kMount,
  kAttributes,
  kIdMap,
  kAttach,
  kMakeNode,
  kMakeLink,
  kWrite,
  kRead,
  kDetach,
};
std::string_view operation_name(Operation operation);

// Lives in memory shared by both sides whatever kind of clone made the child.
struct ChildReport {
  std::int32_t error = 0;  // errno of the failed step; 0: none failed
  ChildStep step = ChildStep::kNone;
  std::int32_t index = -1;  // of the mount step, limit, sysctl... concerned
  Operation operation = Operation::kNone;
  char object[PATH_MAX] = {};       // path or name concerned
  char log[512] = {};               // what the kernel said of a file system context
  std::int32_t launched = 0;        // 1: everything was ready and the launcher was about to run
  std::int32_t init_pid = 0;        // set when the init is a grandchild
  std::uint8_t* skipped = nullptr;  // nonzero n: optional or fallen-back mount step n, for notices
  std::int64_t begin_ns[static_cast<int>(ChildStep::kCount)] = {};
  std::int64_t end_ns[static_cast<int>(ChildStep::kCount)] = {};
};

struct JoinNamespace {
  plan::NamespaceKind kind{};
  int clone_flag = 0;
  Fd fd;
};

// What the child joins may be made while it is on its way: then this message brings the
// descriptors, in this order.
struct JoinMessage {
  static constexpr std::size_t kMaxDescriptors = sys::kMaxMessageFds;
  char word = 'J';
  std::uint8_t tasks = 0;               // `tasks` files of v1 hierarchies, to be joined at once
  std::uint8_t devices = 0;             // 0 or 1: the one that is joined last, see CgroupSet
  std::uint8_t await_device_rules = 0;  // see ChildContext
};

// Asks for the id map of mount step `index`; its detached tree comes along. The answer is the word.
struct IdMapMessage {
  char word = 'I';
  std::int32_t index = 0;
};

struct ChildContext {
  const plan::Plan* plan = nullptr;
  const plan::ProcessPlan* process = nullptr;
  ChildReport* report = nullptr;
  bool timed = false;
  bool user_namespace = false;    // a new or joined one: children of its root
  bool sources_by_child = false;  // bind sources could not be opened by the parent

  int parent_fd = -1;    // the parent's end of the conversation: with it open we'd miss its death
  int report_fd = -1;    // the launcher's stream of LaunchReport
  int start_fd = -1;     // listening socket for the launcher, or -1
  int launcher_fd = -1;  // sealed memfd with the launcher
  int launch_data_fd = -1;
  int hook_out = -1, hook_err = -1;  // for the launcher's hooks, or -1
  int console_socket = -1;
  int stdio[3] = {-1, -1, -1};
  int preserve_fds = 0;
  std::vector<int> keep_fds;  // beyond those of preserve_fds
  int program_fd = -1;        // see plan::CreateRequest
  bool want_layers = false;
  bool end_with_parent = false;      // not only while we build, but as long as the program runs
  int devices_task_fd = -1;          // v1 devices: joined last, see CgroupSet
  bool await_scope = false;          // the parent puts us into a scope of systemd when told
  bool await_device_rules = false;   // v1 devices joined first: the parent limits them when told
  std::vector<int> cgroup_task_fds;  // v1: opened "tasks" files
  bool await_joins = false;          // the parent sends a JoinMessage
  EarlyNetwork* early_network = nullptr;
  std::vector<JoinNamespace> joins;
  std::uint64_t unshare_flags = 0;  // namespaces that clone3 could not make
  // Set when the namespaces are entered by an intermediate process, which then makes the init as
  // its sibling: joined user and pid namespaces and time offsets act on children only.
  bool intermediate = false;
  bool made_by_launcher = false;  // run_exec_outside()
  // The new user namespace is made by the intermediate process, which joined the others before.
  bool user_namespace_after_joins = false;
  std::uint64_t clone_flags = 0;       // of the process that spawn() makes
  int cgroup_fd = -1;                  // v2 directory for that process
  std::uint64_t init_clone_flags = 0;  // of the init that an intermediate process makes
  int init_cgroup_fd = -1;
  bool new_session = true;

  // Mount namespace without the host's mounts, of which ours becomes a copy; see empty_namespace.h.
  // What is needed of the host's tree is opened before it is entered.
  int empty_namespace_fd = -1;
  static constexpr std::size_t kMaxHierarchies = 32;
  int hierarchy_fds[kMaxHierarchies] = {};  // v1 cgroups without a cgroup namespace; 0: none

  Fd root_tree;                       // detached clone of the root file system
  std::vector<Fd> sources;            // per mount step: detached clone of its bind source
  std::vector<Fd> id_map_namespaces;  // per mount step: user namespace with the id map
  const char* scratch_dir = nullptr;  // absolute path, on which the layers of a view are mounted

  sys::SignalSet signal_mask;     // to be restored for the program
  std::vector<char*> argv, envp;  // for the launcher; argv[1] and home_slot are filled by the child
  char control[16] = {};          // argv[0]
  char program[PATH_MAX] = {};    // argv[1]
  char home[PATH_MAX] = {};       // "HOME=..." when the plan asks for it
  char scratch[PATH_MAX] = {};

  // State of the child while it builds.
  bool loopback_up = false;
  int root_fd = -1;  // the new root, attached
  std::size_t mounts_made =
      0;                // steps of the first phase that were run before the cgroups were joined
  int own_fds_fd = -1;  // our /proc/self/fd: names what is open for calls that take a path only
  int layers_fd = -1;   // tmpfs that takes the changes of a machine view
  int devpts_fd = -1;
  int null_mask_fd = -1, empty_mask_fd = -1;  // first masks, cloned for the next ones
  int pty_slave = -1;
  const char* cached_parent = nullptr;  // directory part of the last target made, for runs in /dev
  std::size_t cached_parent_length = 0;
  int cached_parent_fd = -1;
};

// --- the child's side
// -------------------------------------------------------------------------------

// Runs all steps of a container's init and never returns.
[[noreturn]] void run_init_child(ChildContext& context);
// Runs the steps of a process that joins a running container and never returns: set up outside of
// the container's pid namespace, where the launcher makes the process, ...
[[noreturn]] void run_exec_outside(ChildContext& context);
// ... or, made by run_intermediate_child(), inside of it.
[[noreturn]] void run_exec_child(ChildContext& context);
// Makes the mount steps of the plan in a running container, from outside of its pid namespace, and
// never returns. All of them or none.
[[noreturn]] void run_mount_change(ChildContext& context);
// Enters namespaces, makes the init (or the joining process) as a child of the caller's parent.
[[noreturn]] void run_intermediate_child(ChildContext& context, void (*next)(ChildContext&));

// Steps, in their files (all return an errno and set context.report's object on failure).
ErrnoOr<> prepare_root(ChildContext& context);
// Steps of the first phase, from where the last call ended; with `without_cgroups` up to the first
// that shows our cgroups or whose memory is to be charged to them.
ErrnoOr<> run_mounts(ChildContext& context, bool without_cgroups);
ErrnoOr<> run_final_mounts(ChildContext& context);
// Takes away what the first `steps` steps have attached.
ErrnoOr<> unmount_targets(ChildContext& context, std::size_t steps);
ErrnoOr<> pivot_into_root(ChildContext& context);
ErrnoOr<> apply_root_propagation(ChildContext& context);
ErrnoOr<> open_bound_cgroups(ChildContext& context);
ErrnoOr<> mount_cgroups(ChildContext& context, const plan::MountStep& step, FdRef target);
ErrnoOr<> overlay_view(ChildContext& context, std::size_t index, const plan::MountStep& step);
ErrnoOr<> make_console(ChildContext& context, const plan::MountStep& step);
ErrnoOr<> take_console(ChildContext& context);
ErrnoOr<> open_exec_console(ChildContext& context);
ErrnoOr<> apply_limits(ChildContext& context);
ErrnoOr<> apply_scheduling(ChildContext& context);
ErrnoOr<> enter_working_directory(ChildContext& context);
ErrnoOr<> set_affinity(const std::vector<std::uint64_t>& cpus);
ErrnoOr<> join_session_keyring(ChildContext& context);
ErrnoOr<> prepare_seccomp(ChildContext& context);
ErrnoOr<> become_user(ChildContext& context);
ErrnoOr<> find_program(ChildContext& context);
ErrnoOr<> start_launcher(ChildContext& context);

// Id map (where `map_ids` says so) and propagation of mount step `index`'s tree, ...
ErrnoOr<> finish_tree(ChildContext& context, int index, const plan::MountStep& step, FdRef tree,
                      bool map_ids);
// ... and before them its attributes: everything that mount_setattr(2) can do.
ErrnoOr<> apply_attributes(ChildContext& context, int index, const plan::MountStep& step,
                           FdRef tree, bool map_ids);
// Needs rights over the tree's file system and over the user namespace `id_map`.
ErrnoOr<> set_id_map(const plan::MountStep& step, FdRef tree, FdRef id_map);

// Sets the loopback device of our network namespace up.
ErrnoOr<> bring_loopback_up();

// Whether `path` lies in /dev, where links of the image's are not followed: what is made there is
// trusted afterwards (CVE-2026-41579).
inline bool in_devices(std::string_view path) { return path.starts_with("/dev/"); }

// Remembers what a failing step was about. `index` as in ChildReport.
void note(ChildContext& context, Operation operation, std::string_view object, int index = -1);

// Opens `path` (absolute, inside the container) below the new root, following links inside it only.
// With `make` the missing directories are made, and the last part as a directory or an empty file.
enum class Make { kNothing, kDirectory, kFile };
ErrnoOr<Fd> open_in_root(ChildContext& context, std::string_view path, Make make,
                         std::uint32_t mode = 0755, bool no_symlinks = false);
// The same for a path whose last part may be a symbolic link, which is not followed. ENOENT: none.
ErrnoOr<Fd> open_link_in_root(ChildContext& context, std::string_view path);
// The directory that holds the last part of `path`, made when missing; `name` is set to that part.
// The descriptor stays the context's own, valid until the next call.
ErrnoOr<FdRef> parent_in_root(ChildContext& context, std::string_view path, const char*& name);
void forget_cached_parent(ChildContext& context);

// --- the parent's side
// ------------------------------------------------------------------------------

// Opens the source of a bind step as a detached clone of its mount.
ErrnoOr<Fd> open_bind_source(const plan::MountStep& step);

}  // namespace caisson::linux
