// The Plan: everything about a container's start, decided. A pure function of ContainerSpec and
// HostFacts (plan/compile.h); executors carry it out step by step and hold no policy of their own.
//
// Numbers are the kernel's own (MOUNT_ATTR_*, CLONE_NEW*, SECCOMP_*), so that an executor
// translates nothing. Everything here is plain data: comparable, printable (plan/dump.h), copyable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/guest.h"
#include "spec/container_spec.h"

namespace caisson::plan {

using spec::IdMapping;
using spec::NamespaceKind;
using Strings = std::vector<std::string>;

// --- mounts ---

enum class MountOp {
  kNewFilesystem,  // fsopen(type), options, mount on target
  kOverlayView,    // overlay over the host's mount at `source`; upper: `layer` in the layers tmpfs
  kBind,           // clone of `source` (recursive: whole tree) on target
  kSetAttributes,  // mount_setattr on what is mounted at target
  kPropagation,    // change propagation of target
  kMask,           // hide target: /dev/null over a file, an empty read-only tmpfs over a directory
  kReadonlyPath,   // clone target onto itself, recursively, and make it read-only
  kSymlink,        // symbolic link at target pointing to `source`
  kDirectory,      // directory at target with `mode` (kept when there already)
  kDeviceNode,     // mknod at target; bind of the host's node when `bind_device`
  kCopyUp,         // tmpfs at target filled with what the root had there (tmpcopyup)
  kCgroup,         // the cgroup file system(s), as the mode of the host wants it
  kConsole,        // the container's pty slave bound on target
  kUnmount,        // running containers: what is mounted on target goes
};

enum class IfMissing {  // the target does not exist
  kMakeDirectory,
  kMakeFile,
  kMakeLikeSource,  // directory or file, as the source is
  kSkip,
  kFail,
};

enum class Phase {
  kBeforePivot,  // built below the new root's descriptor
  kFinal,        // after all mounts and devices: read-only root, masks
};

struct KeyValue {
  std::string key, value;  // an empty value is a flag
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

struct MountStep {
  MountOp op{};
  Phase phase = Phase::kBeforePivot;
  std::string type;    // file system type for kNewFilesystem
  std::string source;  // host path (bind), link target, name shown in mountinfo (file system)
  std::string target;  // absolute, cleaned path inside the container
  std::uint64_t attr_set = 0;                            // MOUNT_ATTR_*
  std::uint64_t attr_clear = 0;                          // MOUNT_ATTR_*
  bool attr_recursive = false;                           // the two above apply to the whole tree
  std::uint64_t recursive_set = 0, recursive_clear = 0;  // by options recursive by name ("rro")
  // bind: flags of the source's mount that no option names stay. False: attr_clear has them.
  bool keep_source_flags = true;
  // ... but what the source has of them is locked in a user namespace (mount_namespaces(7)): it
  // stays, and is refused where an option cleared it by name (`cleared_by_name`).
  bool source_flags_locked = false;
  std::uint64_t cleared_by_name = 0;
  std::uint64_t propagation = 0;  // MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE or 0
  bool propagation_recursive = false;
  bool recursive = false;                             // bind: with what is mounted below
  std::vector<KeyValue> options;                      // for fsconfig(2)
  std::vector<IdMapping> uid_mappings, gid_mappings;  // idmapped mount; empty: none
  bool idmap_recursive = false;                       // the id map is for the whole tree
  bool idmap_joined = false;    // ... and is that of the user namespace that is joined
  bool source_in_root = false;  // bind: the source is a path in the new root, as it then stands
  bool no_symlink_source = false;
  bool copy_symlink = false;       // bind: a source that is a symbolic link is made anew
  bool no_symlink_target = false;  // a link at the target is covered, not followed
  IfMissing if_missing = IfMissing::kMakeDirectory;
  bool optional = false;      // a failure is a notice, not an error
  std::uint32_t mode = 0755;  // of what is created; device node: permission bits
  char device_type = 'c';     // c b p (u is c)
  std::uint32_t major = 0, minor = 0;
  std::optional<std::uint32_t> uid, gid;  // owner of a device node or directory
  bool bind_device = false;               // user namespace: nodes cannot be made, only bound
  // kNewFilesystem: path on the host whose tree is bound instead when the kernel refuses (EPERM):
  // it wants rights over the user namespace that owns the network, pid or IPC namespace shown.
  std::string host_tree;
  bool inside_directory_only = false;  // proc, sysfs: target is a real directory, no symlink
  std::string layer;                   // kOverlayView: directory name in the layers tmpfs
  // kOverlayView: when the kernel refuses the overlay (EINVAL: stacking depth, a lower file system
  // that it does not support), bind the source read-only instead and report that as a notice.
  bool fallback_readonly_bind = false;
  // tmpfs without a mode of its own: its root takes the mode of the directory that it hides.
  bool mode_of_target = false;
  std::string origin;  // what asked for it: "mounts[3]", "default", "view of /home"
};

struct RootPlan {
  std::string path;  // host path of the root file system; empty for a machine view
  bool machine_view = false;
  bool empty_tmpfs = false;       // machine view without privilege: the root is a tmpfs skeleton
  std::uint64_t layers_size = 0;  // of the tmpfs that takes the changes; 0: kernel's default
  bool readonly = false;
  std::uint64_t propagation = 0;  // of "/" after the pivot; 0: private
  bool propagation_recursive = true;
  bool pivot = true;  // false: move the root over "/" and chroot (--no-pivot)
};

struct MountPlan {
  RootPlan root;
  std::vector<MountStep> steps;  // in order; before-pivot ones first, final ones last
};

// --- namespaces and ids ---

enum class NamespaceAction { kKeep, kNew, kJoin };

struct NamespaceStep {
  NamespaceKind kind{};
  NamespaceAction action = NamespaceAction::kKeep;
  std::string path;  // for kJoin
};

enum class IdMapMethod {
  kNone,     // no new user namespace
  kDirect,   // written by us with privilege
  kSingle,   // own id only: setgroups "deny", then the maps; needs no privilege
  kHelpers,  // newuidmap(1) and newgidmap(1)
};

struct IdMapPlan {
  IdMapMethod method = IdMapMethod::kNone;
  std::vector<IdMapping> uid, gid;
  bool deny_setgroups = false;
};

struct NamespacePlan {
  std::vector<NamespaceStep> steps;  // one per kind, in the order of NamespaceKind
  IdMapPlan ids;
  std::map<std::string, spec::TimeOffset> time_offsets;
  bool loopback_up = false;  // new network namespace: bring lo up

  const NamespaceStep& of(NamespaceKind kind) const {
    return steps[static_cast<std::size_t>(kind)];
  }
  bool is_new(NamespaceKind kind) const { return of(kind).action == NamespaceAction::kNew; }
};

// --- cgroups ---

enum class CgroupMode { kNone, kV1, kHybrid, kV2 };

struct CgroupWrite {
  std::string file;  // "memory.max"
  std::string value;
  // Where `file` does not exist: this one takes its place. Empty: none.
  std::string alternative_file, alternative_value;
  bool optional = false;  // a missing file or an unsupported value is no error
  // A refusal (EINVAL) may come from the old value of a file that is written later: tried again
  // then.
  bool again = false;
  std::string field;  // config field that asked for it, for errors: "linux.resources.memory.limit"
};

struct CgroupDirectory {
  std::string controllers;  // "cpu,cpuacct", "name=systemd"; empty for v2
  std::string mount_point;  // "/sys/fs/cgroup/cpu"
  std::string path;         // absolute below the mount point: "/caisson/web"
  bool v2 = false;
  bool required = false;            // a limit asks for it: failure to create or join is an error
  bool inherit_cpuset = false;      // v1 cpuset: copy cpus and mems down the chain before joining
  Strings enable_controllers;       // v2: for cgroup.subtree_control of every ancestor
  std::vector<CgroupWrite> writes;  // in order, before the process joins
};

struct CgroupDevice {  // one rule of the device program or of devices.allow/deny, in order
  bool allow = false;
  char type = 'a';
  std::optional<std::int64_t> major, minor;
  std::string access = "rwm";
  friend bool operator==(const CgroupDevice&, const CgroupDevice&) = default;
};

// A property of a unit of systemd, with its D-Bus type: b i u x t (`number`), s (`text`), ay
// (`text`, the bytes), as (`texts`) or a(ss) (`pairs`).
struct ScopeProperty {
  std::string name, type;
  std::uint64_t number = 0;
  std::string text;
  Strings texts;
  std::vector<KeyValue> pairs;
  // False: a systemd that does not know it loses nothing, the value is written to the cgroup as
  // well.
  bool required = false;
  friend bool operator==(const ScopeProperty&, const ScopeProperty&) = default;
};

// A transient unit of systemd that becomes the container's cgroup. The paths of the directories are
// where it is expected; where it is, the executor sees when it is there.
struct ScopePlan {
  std::string unit;   // "libpod-12ab.scope"
  std::string slice;  // "machine-web.slice"
  bool user = false;  // of the user's own systemd, not of the machine's
  std::vector<ScopeProperty> properties;
};

struct CgroupPlan {
  CgroupMode mode = CgroupMode::kNone;
  std::optional<ScopePlan> scope;            // systemd makes the directories
  std::vector<CgroupDirectory> directories;  // the v2 (or unified) one last
  std::vector<CgroupDirectory> inherited;    // without one of its own: where the caller is
  bool device_rules = false;                 // apply `devices` (by v1 files or a v2 program)
  std::vector<CgroupDevice> devices;
  bool own_namespace = false;
  // Host id of the user to whom the v2 cgroup is handed over (runtime-spec, config-linux, "Cgroup
  // ownership"). Absent: it stays ours.
  std::optional<std::uint32_t> owner;
  // So little memory that the kernel may kill the init while it is being made, and with it all that
  // share its memory.
  bool tight_memory = false;
};

// --- seccomp ---

struct BpfInstruction {  // struct sock_filter of <linux/filter.h>
  std::uint16_t code = 0;
  std::uint8_t jt = 0, jf = 0;
  std::uint32_t k = 0;
  friend bool operator==(const BpfInstruction&, const BpfInstruction&) = default;
};

struct SeccompPlan {
  std::vector<BpfInstruction> program;  // empty: no filter
  std::uint32_t filter_flags = 0;       // SECCOMP_FILTER_FLAG_*
  std::string listener_path, listener_metadata;
  Strings
      unknown_syscalls;  // named by the profile, known to no ABI of this machine's kind; skipped
  // Whether anything is notified: the agent at listener_path gets a descriptor.
  bool has_listener() const { return (filter_flags & 1U << 3 /* NEW_LISTENER */) != 0; }
};

// --- process ---

struct RlimitStep {
  int resource = 0;  // RLIMIT_*
  std::string name;
  std::uint64_t soft = 0, hard = 0;
};

struct CapabilityPlan {  // bit n is capability n
  bool apply = false;
  std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

struct SchedulerPlan {  // struct sched_attr
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

struct MemoryPolicyPlan {
  int mode = 0;                      // MPOL_* | MPOL_F_*
  std::vector<std::uint64_t> nodes;  // bit mask
};

struct ProcessPlan {
  Strings args, env;
  std::string cwd;
  bool create_cwd = true;
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> additional_gids;
  bool set_groups = true;  // false: setgroups(2) is denied or the caller's groups are kept
  std::optional<std::uint32_t> umask;
  bool set_home = false;  // HOME absent: take it from the container's passwd
  CapabilityPlan capabilities;
  std::vector<RlimitStep> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  bool oom_score_adj_optional = false;  // without privilege: may be refused if it is so already
  std::optional<std::string> apparmor_profile, selinux_label;
  std::optional<SchedulerPlan> scheduler;
  std::optional<int> io_priority;  // ioprio value: class << 13 | priority
  std::optional<MemoryPolicyPlan> memory_policy;
  std::optional<std::uint64_t> personality;
  // Bit masks, exec only: before the cgroup is joined, and after. Empty: left alone.
  std::vector<std::uint64_t> cpus_initial, cpus_final;
  bool terminal = false;
  std::uint16_t console_rows = 0, console_columns = 0;
  bool console_keeps_newlines = false;  // "\n" does not leave as "\r\n": no terminal shows it
  bool new_session_keyring = true;
  std::string keyring_name;
  SeccompPlan seccomp;
};

// --- the whole ---

struct SysctlStep {
  std::string key;   // as given, for messages
  std::string path;  // below /proc/sys: "net/ipv4/ip_forward"
  std::string value;
};

struct ResctrlPlan {
  std::string group;             // class of service, below the mount point; empty: the root's
  bool shared = false;           // named by the description: it may exist already
  bool must_exist = false;       // no schemata to make it with
  std::string schemata;          // lines; empty: none are written
  std::string monitoring_group;  // in the class' mon_groups; empty: none
};

// The wall is a kernel of our own (src/sandbox): what is decided for it beside the rest of the
// plan, of which the host's kernel then carries out only the jail (plan/sandbox.h).
enum class FileAccess {
  kExclusive,  // nobody else changes it meanwhile: names and attributes are cached
  kShared,     // asked for again
};

struct SandboxPlan {
  std::string platform;  // "ptrace", "systrap", "systrap,nopatch"; empty: what works best here
  bool host_network = false;
  FileAccess root_access = FileAccess::kExclusive;
  FileAccess mount_access = FileAccess::kShared;
  bool overlay_root = false;       // what is written to "/" stays in the sandbox
  std::string overlay_directory;   // ... in a file in this directory of the host; empty: in memory
  std::uint64_t overlay_size = 0;  // bytes; 0: no limit of its own
  std::string strace;              // host path that takes the log of system calls; empty: none
  Strings strace_calls;            // the calls that are logged, by name; empty: all
  GuestLimits limits;
  // The container in whose sandbox this one runs; empty: a sandbox of its own. The namespaces below
  // are then its first container's, unless they are the container's own.
  std::string joined;
  bool own_pids = true, own_ipc = true, own_names = true;
};

struct Plan {
  std::string id;
  std::string bundle;
  std::optional<SandboxPlan> sandbox;  // absent: the wall is the host's kernel
  NamespacePlan namespaces;
  MountPlan mounts;
  CgroupPlan cgroup;
  std::string hostname, domainname;
  std::vector<SysctlStep> sysctls;
  std::map<std::string, std::string> net_devices;
  std::optional<ResctrlPlan> resctrl;
  ProcessPlan process;
  spec::Hooks hooks;
  std::map<std::string, std::string> annotations;
  Strings notices;  // what is limited or skipped, in words, for the user
};

}  // namespace caisson::plan
