// ContainerSpec: what a container shall be, as a value, whoever described it.
//
// The shape follows the OCI runtime specification 1.3 for Linux; readers of other descriptions
// (command line, LXC config) fill the same structure. "Not set" and zero differ everywhere, hence
// the optionals. Readers check syntax, types and enumerations; validate() in spec/validate.h checks
// what spans fields. Nothing here knows about the host: that is plan/.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace caisson::spec {

using Strings = std::vector<std::string>;

// --- process ---

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;  // UINT64_MAX means RLIM_INFINITY
  friend bool operator==(const Rlimit&, const Rlimit&) = default;
};

// Names as in capabilities(7), "CAP_CHOWN". Unknown names are kept: the plan warns of them.
struct Capabilities {
  Strings bounding, effective, inheritable, permitted, ambient;
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
  friend bool operator==(const User&, const User&) = default;
};

struct ConsoleSize {
  std::uint16_t height = 0;
  std::uint16_t width = 0;
  friend bool operator==(const ConsoleSize&, const ConsoleSize&) = default;
};

struct Scheduler {
  std::string policy;  // SCHED_OTHER FIFO RR BATCH ISO IDLE DEADLINE, with the "SCHED_" prefix
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  Strings flags;                                        // "SCHED_FLAG_RESET_ON_FORK", ...
  std::uint64_t runtime = 0, deadline = 0, period = 0;  // ns
  friend bool operator==(const Scheduler&, const Scheduler&) = default;
};

struct IoPriority {
  std::string io_class;  // IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE
  int priority = 0;      // 0..7
  friend bool operator==(const IoPriority&, const IoPriority&) = default;
};

struct ExecCpuAffinity {
  std::string initial, final_set;  // cpu lists, "0-3,7"
  friend bool operator==(const ExecCpuAffinity&, const ExecCpuAffinity&) = default;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  Strings args;
  Strings env;  // "NAME=value"
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<std::string> apparmor_profile;
  std::optional<std::string> selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
  friend bool operator==(const Process&, const Process&) = default;
};

// --- file systems ---

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
  friend bool operator==(const IdMapping&, const IdMapping&) = default;
};

struct Root {
  std::string path;
  bool readonly = false;
  friend bool operator==(const Root&, const Root&) = default;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  Strings options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  friend bool operator==(const Mount&, const Mount&) = default;
};

// --- hooks ---

struct Hook {
  std::string path;
  Strings args;
  std::optional<Strings> env;  // absent: that of the runtime, or of the process in the container
  std::optional<int> timeout;  // seconds, above 0
  friend bool operator==(const Hook&, const Hook&) = default;
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
  friend bool operator==(const Hooks&, const Hooks&) = default;
};

// --- linux ---

enum class NamespaceKind { kPid, kNetwork, kMount, kIpc, kUts, kUser, kCgroup, kTime };
inline constexpr int kNamespaceKinds = 8;

struct Namespace {
  NamespaceKind kind{};
  std::string path;  // empty: a new one
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Device {
  std::string path;
  char type = 'c';  // c b u p
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid, gid;
  friend bool operator==(const Device&, const Device&) = default;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';                           // a b c
  std::optional<std::int64_t> major, minor;  // absent: any
  std::string access;                        // of "rwm"; empty: "rwm"
  friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};

struct MemoryResources {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;  // bytes, -1 unlimited
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
  friend bool operator==(const MemoryResources&, const MemoryResources&) = default;
};

struct CpuResources {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;                            // us, below 1: unlimited
  std::optional<std::uint64_t> burst, period, realtime_period;  // us
  std::optional<std::int64_t> realtime_runtime;                 // us
  std::optional<std::string> cpus, mems;                        // lists, "0-3,7"
  std::optional<std::int64_t> idle;
  friend bool operator==(const CpuResources&, const CpuResources&) = default;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
  friend bool operator==(const WeightDevice&, const WeightDevice&) = default;
};

struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
  friend bool operator==(const ThrottleDevice&, const ThrottleDevice&) = default;
};

struct BlockIoResources {
  std::optional<std::uint16_t> weight, leaf_weight;
  std::vector<WeightDevice> weight_devices;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
  friend bool operator==(const BlockIoResources&, const BlockIoResources&) = default;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
  friend bool operator==(const HugepageLimit&, const HugepageLimit&) = default;
};

struct NetworkPriority {
  std::string name;
  std::uint32_t priority = 0;
  friend bool operator==(const NetworkPriority&, const NetworkPriority&) = default;
};

struct NetworkResources {
  std::optional<std::uint32_t> class_id;
  std::vector<NetworkPriority> priorities;
  friend bool operator==(const NetworkResources&, const NetworkResources&) = default;
};

struct RdmaLimit {
  std::optional<std::uint32_t> hca_handles, hca_objects;
  friend bool operator==(const RdmaLimit&, const RdmaLimit&) = default;
};

struct Resources {
  // Absent and empty differ from the peers' defaults: absent still gets the default deny list.
  std::vector<DeviceRule> devices;
  std::optional<MemoryResources> memory;
  std::optional<CpuResources> cpu;
  std::optional<std::int64_t> pids_limit;  // -1 unlimited; 0 is a legal limit
  std::optional<BlockIoResources> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<NetworkResources> network;
  std::map<std::string, RdmaLimit> rdma;
  std::map<std::string, std::string> unified;
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;  // SCMP_CMP_NE LT LE EQ GE GT MASKED_EQ
  friend bool operator==(const SeccompArg&, const SeccompArg&) = default;
};

struct SeccompRule {
  Strings names;
  std::string action;  // SCMP_ACT_...
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
  friend bool operator==(const SeccompRule&, const SeccompRule&) = default;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  Strings architectures;         // SCMP_ARCH_...
  std::optional<Strings> flags;  // SECCOMP_FILTER_FLAG_...; absent: SPEC_ALLOW, empty: none
  std::string listener_path, listener_metadata;
  std::vector<SeccompRule> rules;
  friend bool operator==(const Seccomp&, const Seccomp&) = default;
};

struct TimeOffset {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  friend bool operator==(const TimeOffset&, const TimeOffset&) = default;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  Strings schemata;
  bool enable_monitoring = false;
  friend bool operator==(const IntelRdt&, const IntelRdt&) = default;
};

struct MemoryPolicy {
  std::string mode, nodes;  // MPOL_..., "0-1"
  Strings flags;            // MPOL_F_...
  friend bool operator==(const MemoryPolicy&, const MemoryPolicy&) = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::map<std::string, std::string> net_devices;  // host name -> name inside ("" keeps it)
  std::string cgroups_path;
  Resources resources;
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::string rootfs_propagation;  // "", shared, slave, private, unbindable (and r-forms)
  Strings masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<std::string> personality;  // "LINUX", "LINUX32"
  std::optional<MemoryPolicy> memory_policy;
  friend bool operator==(const Linux&, const Linux&) = default;
};

// --- the whole ---

// What no OCI config can say: how the root is made when there is no bundle.
enum class RootSource {
  kDirectory,    // root.path is the root file system
  kMachineView,  // a throw-away copy-on-write view of this machine
};

struct ContainerSpec {
  std::string oci_version;
  std::string bundle;  // absolute path; relative sources are below it; empty without a bundle
  RootSource root_source = RootSource::kDirectory;
  std::optional<Root> root;
  std::optional<Process> process;
  std::string hostname, domainname;
  std::vector<Mount> mounts;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  std::optional<Linux> linux_part;
  friend bool operator==(const ContainerSpec&, const ContainerSpec&) = default;
};

}  // namespace caisson::spec
