#include "spec/default_spec.h"

#include <iterator>

#include "spec/oci_writer.h"

namespace caisson::spec {
namespace {

constexpr std::string_view kCapabilityNames[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

static_assert(std::size(kCapabilityNames) == kLastCapability + 1);

constexpr std::string_view kDefaultCapabilities[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",     "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",    "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT",
};

Capabilities same_in_all_sets(const Strings& names) {
  Capabilities capabilities;
  capabilities.bounding = names;
  capabilities.effective = names;
  capabilities.permitted = names;
  return capabilities;
}

}  // namespace

std::span<const std::string_view> default_capabilities() { return kDefaultCapabilities; }
std::span<const std::string_view> capability_names() { return kCapabilityNames; }

std::vector<Mount> default_mounts(bool one_id) {
  Strings pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (!one_id) pts.emplace_back("gid=5");
  auto mount = [](std::string destination, std::string type, std::string source, Strings options) {
    Mount out;
    out.destination = std::move(destination);
    out.type = std::move(type);
    out.source = std::move(source);
    out.options = std::move(options);
    return out;
  };
  return {
      mount("/proc", "proc", "proc", {}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts", pts),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}),
  };
}

Strings default_masked_paths() {
  return {"/proc/acpi",        "/proc/asound",        "/proc/kcore",
          "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug",   "/proc/scsi",
          "/proc/interrupts",  "/sys/firmware",       "/sys/devices/virtual/powercap"};
}

Strings default_readonly_paths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

ContainerSpec default_oci_spec(bool rootless, std::uint32_t uid, std::uint32_t gid) {
  ContainerSpec out;
  out.oci_version = kOciVersion;
  out.root = Root{.path = "rootfs", .readonly = true};
  out.hostname = "caisson";
  Process& process = out.process.emplace();
  process.terminal = true;
  process.args = {"sh"};
  process.env = {std::string(kDefaultPath), "TERM=xterm"};
  process.cwd = "/";
  process.capabilities = same_in_all_sets({"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"});
  process.rlimits = {{.type = "RLIMIT_NOFILE", .soft = 1024, .hard = 1024}};
  process.no_new_privileges = true;
  out.mounts = default_mounts(rootless);
  Linux& os = out.linux_part.emplace();
  for (auto kind : {NamespaceKind::kPid, NamespaceKind::kNetwork, NamespaceKind::kIpc,
                    NamespaceKind::kUts, NamespaceKind::kMount, NamespaceKind::kCgroup}) {
    os.namespaces.push_back({.kind = kind, .path = {}});
  }
  if (rootless) {
    os.namespaces.push_back({.kind = NamespaceKind::kUser, .path = {}});
    os.uid_mappings = {{.container_id = 0, .host_id = uid, .size = 1}};
    os.gid_mappings = {{.container_id = 0, .host_id = gid, .size = 1}};
  } else {
    os.resources.devices = {
        {.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  }
  os.masked_paths = default_masked_paths();
  os.readonly_paths = default_readonly_paths();
  return out;
}

}  // namespace caisson::spec
