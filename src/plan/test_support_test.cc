#include "plan/test_support.h"

namespace caisson::plan::testing {
namespace {

using spec::Mount;

void add_v1(HostFacts& host, const char* controllers, const char* directory) {
  CgroupHierarchy hierarchy;
  hierarchy.controllers = controllers;
  hierarchy.mount_point = std::string("/sys/fs/cgroup/") + directory;
  hierarchy.own_path = "/user.slice";
  host.cgroup.hierarchies.push_back(hierarchy);
}

void add_v2(HostFacts& host, const char* mount_point) {
  CgroupHierarchy hierarchy;
  hierarchy.mount_point = mount_point;
  hierarchy.own_path = "/user.slice";
  hierarchy.v2 = true;
  host.cgroup.hierarchies.push_back(hierarchy);
}

spec::Capabilities default_capabilities() {
  Strings names = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  return {names, names, {}, names, {}};
}

}  // namespace

spec::ContainerSpec default_spec() {
  spec::ContainerSpec spec;
  spec.oci_version = "1.2.0";
  spec.bundle = "/bundle";
  spec.root = spec::Root{"rootfs", true};
  spec.hostname = "caisson";
  spec::Process& process = spec.process.emplace();
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  process.capabilities = default_capabilities();
  process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
  process.no_new_privileges = true;
  spec.mounts = {
      Mount{"/proc", "proc", "proc", {}, {}, {}},
      Mount{"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
      Mount{"/dev/pts",
            "devpts",
            "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
            {},
            {}},
      Mount{"/dev/shm",
            "tmpfs",
            "shm",
            {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"},
            {},
            {}},
      Mount{"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      Mount{"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
      Mount{"/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            {"nosuid", "noexec", "nodev", "relatime", "ro"},
            {},
            {}},
  };
  spec::Linux& os = spec.linux_part.emplace();
  for (auto kind : {NamespaceKind::kPid, NamespaceKind::kNetwork, NamespaceKind::kIpc,
                    NamespaceKind::kUts, NamespaceKind::kMount, NamespaceKind::kCgroup}) {
    os.namespaces.push_back({kind, ""});
  }
  os.resources.devices = {{false, 'a', {}, {}, "rwm"}};
  os.masked_paths = {"/proc/acpi", "/proc/kcore", "/sys/firmware"};
  os.readonly_paths = {"/proc/bus", "/proc/sys"};
  return spec;
}

spec::ContainerSpec rootless_spec() {
  spec::ContainerSpec spec = default_spec();
  spec::Linux& os = *spec.linux_part;
  std::erase_if(os.namespaces,
                [](const spec::Namespace& each) { return each.kind == NamespaceKind::kNetwork; });
  os.namespaces.push_back({NamespaceKind::kUser, ""});
  os.uid_mappings = os.gid_mappings = {{0, 1000, 1}};
  os.resources.devices.clear();
  return spec;
}

spec::Resources no_limits() { return {}; }

HostFacts root_host(CgroupMode mode) {
  HostFacts host;
  host.privileged = true;
  host.kcore = true;
  host.cgroup.mode = mode;
  if (mode == CgroupMode::kV1 || mode == CgroupMode::kHybrid) {
    add_v1(host, "cpuset", "cpuset");
    add_v1(host, "cpu,cpuacct", "cpu,cpuacct");
    add_v1(host, "blkio", "blkio");
    add_v1(host, "memory", "memory");
    add_v1(host, "devices", "devices");
    add_v1(host, "freezer", "freezer");
    add_v1(host, "pids", "pids");
    add_v1(host, "hugetlb", "hugetlb");
    add_v1(host, "net_cls,net_prio", "net_cls,net_prio");
    add_v1(host, "rdma", "rdma");
    add_v1(host, "name=systemd", "systemd");
  }
  if (mode == CgroupMode::kHybrid) add_v2(host, "/sys/fs/cgroup/unified");
  if (mode == CgroupMode::kV2) {
    add_v2(host, "/sys/fs/cgroup");
    host.cgroup.v2_controllers = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"};
  }
  return host;
}

HostFacts user_host() {
  HostFacts host = root_host(CgroupMode::kV2);
  host.privileged = false;
  host.uid = host.gid = 1000;
  host.cgroup.hierarchies[0].own_path = "/user.slice/user-1000.slice/session-2.scope";
  host.cgroup.hierarchies[0].writable = false;
  return host;
}

spec::ContainerSpec view_spec(bool user_namespace) {
  spec::ContainerSpec spec = user_namespace ? rootless_spec() : default_spec();
  spec.bundle.clear();
  spec.root.reset();
  spec.root_source = spec::RootSource::kMachineView;
  spec.mounts.clear();
  return spec;
}

namespace {

void mount(HostFacts& host, int id, int parent, const char* path, const char* type,
           const char* source = "none") {
  HostMount each;
  each.id = id;
  each.parent_id = parent;
  each.root = "/";
  each.mount_point = path;
  each.fs_type = type;
  each.source = source;
  host.mounts.push_back(each);
}

void entry(HostFacts& host, const char* path, char type = 'd', const char* link = "") {
  host.root_entries.push_back({path, type, link, true});
}

}  // namespace

void add_simple_mounts(HostFacts& host) {
  mount(host, 22, 27, "/proc", "proc");
  mount(host, 23, 27, "/sys", "sysfs");
  mount(host, 24, 27, "/dev", "devtmpfs");
  mount(host, 25, 24, "/dev/shm", "tmpfs");
  mount(host, 27, 1, "/", "ext4", "/dev/vda1");
  mount(host, 28, 27, "/run", "tmpfs");
  mount(host, 29, 23, "/sys/fs/cgroup", "cgroup2");
  for (const char* path : {"/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/sys",
                           "/tmp", "/usr", "/var"}) {
    entry(host, path);
  }
  entry(host, "/bin", 'l', "usr/bin");
  entry(host, "/lib", 'l', "usr/lib");
  entry(host, "/swapfile", 'f');
  host.current_directory = "/home/ann";
}

void add_many_mounts(HostFacts& host) {
  add_simple_mounts(host);
  mount(host, 30, 27, "/home", "xfs", "/dev/vdb1");
  mount(host, 31, 27, "/srv/data/old", "ext4", "/dev/vdc1");
  mount(host, 32, 27, "/srv/data", "ext4", "/dev/vdd1");  // hides the one before
  mount(host, 33, 27, "/media/disc", "iso9660", "/dev/sr0");
  host.mounts.back().readonly = true;
  mount(host, 34, 27, "/etc/machine-id", "tmpfs");
  host.mounts.back().is_directory = false;
  mount(host, 35, 30, "/home/bob/cloud", "fuse.sshfs", "bob@cloud:");
  host.mounts.back().readable = false;
  mount(host, 36, 27, "/var/lib/nfs/rpc_pipefs", "rpc_pipefs");
  mount(host, 37, 28, "/run/user/1000", "tmpfs");
  mount(host, 38, 27, "/tmp", "tmpfs");
  for (const char* path :
       {"/srv", "/media", "/srv/data", "/srv/www", "/media/disc", "/home/ann", "/home/bob",
        "/home/bob/cloud", "/home/bob/notes", "/var/lib", "/var/tmp", "/var/lib/nfs",
        "/var/lib/apt", "/var/lib/nfs/rpc_pipefs", "/var/lib/nfs/sm", "/etc/ssl"}) {
    entry(host, path);
  }
  entry(host, "/etc/passwd", 'f');
  entry(host, "/etc/machine-id", 'f');
  entry(host, "/var/run", 'l', "/run");
  host.current_directory = "/tmp/project";
}

Options test_options() {
  Options options;
  options.id = options.default_cgroup_name = "web";
  options.cgroup_parent = "/caisson";
  return options;
}

}  // namespace caisson::plan::testing
