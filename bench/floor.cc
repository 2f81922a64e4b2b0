// The lower bound for `run`: just the system calls that the default OCI configuration needs on this
// host, with nothing read, parsed, checked or kept for later. What a runtime adds to this figure is
// its own cost.
//
// The configuration is compiled in: that of `runc spec` with a read-only root and no terminal
// (namespaces pid, net, ipc, uts, mnt, and cgroup on v2; seven mounts; six device nodes; masked and
// read-only paths; three capabilities; RLIMIT_NOFILE 1024; no_new_privs). `bench/run --self-test`
// holds the result against what runc and crun make.
//
// Not a runtime: no console, no hooks, no create/start split, no signal forwarding, no error
// recovery beyond removing the control groups. It trusts its root file system.

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "floor_devices.h"

namespace {

constexpr int kMaxSteps = 64;
constexpr int kMaxHierarchies = 16;
constexpr int kMaxPath = 512;
constexpr long kCgroup2Magic = 0x63677270;
constexpr unsigned kRelTree = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

struct Options {
  const char* rootfs = nullptr;
  const char* id = "caisson-floor";
  const char* cgroup = nullptr;  // below the root of each hierarchy; nullptr: the id
  const char* state_root = "/run/caisson-floor";
  const char* pin = nullptr;  // device program pinned here (bpffs); nullptr: load it on every start
  const char* tiny =
      nullptr;  // pinned mount namespace that holds one empty tmpfs; nullptr: pivot_root
  const char* seccomp = nullptr;  // file with raw struct sock_filter records
  bool steps = false;
  int repeat = 1;
  char** argv = nullptr;
};

struct Stamp {
  const char* name;
  std::int64_t at;
};

// Shared by parent and child: the child runs on the parent's memory until it executes the payload.
struct Run {
  const Options* options;
  bool unified = false;  // /sys/fs/cgroup itself is cgroup2
  int hierarchies = 0;
  std::array<char[kMaxPath], kMaxHierarchies> cgroup_paths;
  std::array<const char*, kMaxHierarchies> hierarchy_names;
  std::array<int, kMaxHierarchies> tasks_fds;
  std::array<int, kMaxHierarchies> cgroup_trees;
  int unified_fd = -1;
  int rootfs_tree = -1;
  int rootfs_place = -1;
  int tiny_fd = -1;
  int home_fd = -1;
  int device_program = -1;
  const std::vector<sock_filter>* filter = nullptr;
  int stamp_count = 0;
  std::array<Stamp, kMaxSteps> stamps;
  const char* failed_step = nullptr;
  int failed_errno = 0;
};

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void stamp(Run& run, const char* name) {
  if (!run.options->steps || run.stamp_count == kMaxSteps) return;
  run.stamps[static_cast<std::size_t>(run.stamp_count++)] = {name, now_ns()};
}

[[noreturn]] void die(const char* step) {
  std::fprintf(stderr, "floor: %s: %s\n", step, std::strerror(errno));
  std::exit(125);
}

int must(int result, const char* step) {
  if (result < 0) die(step);
  return result;
}

// In the child there is nobody to tell but the parent, through the memory both share.
int child_must(Run& run, long result, const char* step) {
  if (result >= 0) return static_cast<int>(result);
  run.failed_step = step;
  run.failed_errno = errno;
  _exit(125);
}

int sys_open_tree(int dir, const char* path, unsigned flags) {
  return static_cast<int>(syscall(SYS_open_tree, dir, path, flags));
}
int sys_move_mount(int from, int to_dir, const char* to_path) {
  const unsigned flags =
      MOVE_MOUNT_F_EMPTY_PATH | (*to_path == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  return static_cast<int>(syscall(SYS_move_mount, from, "", to_dir, to_path, flags));
}
int sys_mount_setattr(int mount, std::uint64_t set) {
  mount_attr attributes{};
  attributes.attr_set = set;
  return static_cast<int>(
      syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes));
}

int sys_bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

int load_device_program(const std::vector<bpf_insn>& code, const char* pin) {
  bpf_attr attributes{};
  if (pin != nullptr) {
    attributes.pathname = reinterpret_cast<std::uintptr_t>(pin);
    const int pinned = sys_bpf(BPF_OBJ_GET, attributes);
    if (pinned >= 0) return pinned;
    attributes = bpf_attr{};
  }
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<std::uintptr_t>(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = reinterpret_cast<std::uintptr_t>("GPL");
  const int program = must(sys_bpf(BPF_PROG_LOAD, attributes), "load the device program");
  if (pin != nullptr) {
    attributes = bpf_attr{};
    attributes.pathname = reinterpret_cast<std::uintptr_t>(pin);
    attributes.bpf_fd = static_cast<std::uint32_t>(program);
    // Another floor may have been quicker.
    if (sys_bpf(BPF_OBJ_PIN, attributes) < 0 && errno != EEXIST) die("pin the device program");
  }
  return program;
}

void attach_device_program(int cgroup, int program) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<std::uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  must(sys_bpf(BPF_PROG_ATTACH, attributes), "attach the device program");
}

// The v1 hierarchies that this host mounts below /sys/fs/cgroup; a host that lacks one is not an
// error.
constexpr std::array<const char*, 13> kHierarchyNames{
    "cpu",  "cpuacct", "cpuset",  "memory",  "devices",    "freezer", "blkio",
    "pids", "systemd", "hugetlb", "net_cls", "perf_event", "rdma"};

void write_file(int dir, const char* name, const char* text, std::size_t size) {
  const int fd = must(openat(dir, name, O_WRONLY | O_CLOEXEC), name);
  if (write(fd, text, size) < 0) die(name);
  close(fd);
}

// A new v1 cpuset is empty and takes no task before it has the processors and nodes of its parent.
void copy_cpuset(int parent, int child, const char* name) {
  std::array<char, 256> text{};
  const int fd = must(openat(parent, name, O_RDONLY | O_CLOEXEC), name);
  const ssize_t size = read(fd, text.data(), text.size());
  close(fd);
  if (size > 0) write_file(child, name, text.data(), static_cast<std::size_t>(size));
}

void allow_devices(int cgroup) {
  write_file(cgroup, "devices.deny", "a", 1);
  const int fd = must(openat(cgroup, "devices.allow", O_WRONLY | O_CLOEXEC), "devices.allow");
  for (const DeviceRule& rule : kDeviceRules) {
    if (write(fd, rule.v1, std::strlen(rule.v1)) < 0) die(rule.v1);
  }
  close(fd);
}

// Finds out once per process which hierarchies there are: a real runtime has that from its facts
// about the host.
void probe_cgroups(Run& run) {
  struct statfs info{};
  must(statfs("/sys/fs/cgroup", &info), "statfs /sys/fs/cgroup");
  run.unified = info.f_type == kCgroup2Magic;
  if (run.unified) return;
  for (const char* name : kHierarchyNames) {
    std::array<char, kMaxPath> path{};
    std::snprintf(path.data(), path.size(), "/sys/fs/cgroup/%s/tasks", name);
    if (access(path.data(), F_OK) != 0) continue;
    const auto index = static_cast<std::size_t>(run.hierarchies++);
    run.hierarchy_names[index] = name;
    std::snprintf(run.cgroup_paths[index], kMaxPath, "/sys/fs/cgroup/%s/%s", name,
                  run.options->cgroup);
  }
}

const char* unified_path(const Run& run) {
  static std::array<char, kMaxPath> path{};
  std::snprintf(path.data(), path.size(), "/sys/fs/cgroup/%s%s", run.unified ? "" : "unified/",
                run.options->cgroup);
  return path.data();
}

void make_v1_cgroup(Run& run, std::size_t index) {
  const char* path = run.cgroup_paths[index];
  const char* name = run.hierarchy_names[index];
  must(mkdir(path, 0755), path);
  const int dir = must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
  if (std::strcmp(name, "cpuset") == 0) {
    const int parent = must(openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cpuset");
    copy_cpuset(parent, dir, "cpuset.cpus");
    copy_cpuset(parent, dir, "cpuset.mems");
    close(parent);
  } else if (std::strcmp(name, "devices") == 0) {
    stamp(run, "cgroups v1: directories up to devices");
    allow_devices(dir);
    stamp(run, "cgroups v1: device rules");
  }
  run.tasks_fds[index] = must(openat(dir, "tasks", O_WRONLY | O_CLOEXEC), "tasks");
  close(dir);
}

void make_cgroups(Run& run, const std::vector<bpf_insn>& program) {
  for (int i = 0; i < run.hierarchies; ++i) make_v1_cgroup(run, static_cast<std::size_t>(i));
  if (run.hierarchies > 0) stamp(run, "cgroups v1: other directories");
  const char* path = unified_path(run);
  must(mkdir(path, 0755), path);
  run.unified_fd = must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
  stamp(run, "cgroup v2: mkdir");
  if (!run.unified) return;
  run.device_program = load_device_program(program, run.options->pin);
  stamp(run, "device program: load");
  attach_device_program(run.unified_fd, run.device_program);
  close(run.device_program);
  stamp(run, "device program: attach");
}

void remove_cgroups(Run& run) {
  for (int i = 0; i < run.hierarchies; ++i) {
    const auto index = static_cast<std::size_t>(i);
    close(run.tasks_fds[index]);
    if (rmdir(run.cgroup_paths[index]) != 0) perror(run.cgroup_paths[index]);
  }
  close(run.unified_fd);
  if (rmdir(unified_path(run)) != 0) perror(unified_path(run));
}

struct Option {
  const char* key;
  const char* value;  // nullptr: a flag
};

// A new file system, not yet attached. Up to three options after the source.
int new_mount(Run& run, const char* type, const char* source, std::initializer_list<Option> options,
              unsigned attributes) {
  const int context = child_must(run, syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
  child_must(run, syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", source, 0), source);
  for (const Option& option : options) {
    const auto command = option.value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    child_must(run, syscall(SYS_fsconfig, context, command, option.key, option.value, 0),
               option.key);
  }
  child_must(run, syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), type);
  const int mount =
      child_must(run, syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes), type);
  close(context);
  return mount;
}

int attach(Run& run, int mount, int dir, const char* target) {
  child_must(run, sys_move_mount(mount, dir, target), target);
  return mount;
}

constexpr unsigned kNoDevExecSuid = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

void fill_dev(Run& run, int dev) {
  struct Node {
    const char* name;
    unsigned major;
    unsigned minor;
  };
  constexpr std::array<Node, 6> kNodes{{{"null", 1, 3},
                                        {"zero", 1, 5},
                                        {"full", 1, 7},
                                        {"random", 1, 8},
                                        {"urandom", 1, 9},
                                        {"tty", 5, 0}}};
  for (const Node& node : kNodes) {
    child_must(run, mknodat(dev, node.name, S_IFCHR | 0666, makedev(node.major, node.minor)),
               node.name);
  }
  constexpr std::array<std::array<const char*, 2>, 5> kLinks{{{"/proc/self/fd", "fd"},
                                                              {"/proc/self/fd/0", "stdin"},
                                                              {"/proc/self/fd/1", "stdout"},
                                                              {"/proc/self/fd/2", "stderr"},
                                                              {"pts/ptmx", "ptmx"}}};
  for (const auto& link : kLinks) child_must(run, symlinkat(link[0], dev, link[1]), link[1]);
  for (const char* dir : {"pts", "shm", "mqueue"}) child_must(run, mkdirat(dev, dir, 0755), dir);
}

int make_dev(Run& run, int root) {
  const int dev = new_mount(run, "tmpfs", "tmpfs", {{"mode", "755"}, {"size", "65536k"}},
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
  attach(run, dev, root, "dev");
  stamp(run, "mount /dev");
  fill_dev(run, dev);
  stamp(run, "6 nodes, 5 links, 3 directories");
  close(attach(
      run,
      new_mount(run, "devpts", "devpts", {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}},
                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
      dev, "pts"));
  stamp(run, "mount /dev/pts");
  close(attach(
      run, new_mount(run, "tmpfs", "shm", {{"mode", "1777"}, {"size", "65536k"}}, kNoDevExecSuid),
      dev, "shm"));
  stamp(run, "mount /dev/shm");
  close(attach(run, new_mount(run, "mqueue", "mqueue", {}, kNoDevExecSuid), dev, "mqueue"));
  stamp(run, "mount /dev/mqueue");
  return dev;
}

void mount_cgroups(Run& run, int sys) {
  if (run.unified) {
    close(attach(run, new_mount(run, "cgroup2", "cgroup", {}, kNoDevExecSuid | MOUNT_ATTR_RDONLY),
                 sys, "fs/cgroup"));
    stamp(run, "mount /sys/fs/cgroup");
    return;
  }
  const int top = new_mount(run, "tmpfs", "cgroup", {{"mode", "755"}}, kNoDevExecSuid);
  attach(run, top, sys, "fs/cgroup");
  for (int i = 0; i < run.hierarchies; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const char* name = run.hierarchy_names[index];
    child_must(run, mkdirat(top, name, 0755), name);
    attach(run, run.cgroup_trees[index], top, name);
  }
  close(top);
  stamp(run, "mount /sys/fs/cgroup and v1 hierarchies");
}

// Covers those of `names` that exist. The last gets the mask itself and the others copies of it:
// closing a clone that was never attached waits for an RCU grace period.
void mask_all(Run& run, int mask, int dir, std::initializer_list<const char*> names) {
  const char* last = nullptr;
  for (const char* name : names) {
    // A failed look-up is cheaper than a clone that cannot be placed.
    if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (last != nullptr)
      close(attach(run, child_must(run, sys_open_tree(mask, "", kRelTree | AT_EMPTY_PATH), last),
                   dir, last));
    last = name;
  }
  if (last != nullptr) attach(run, mask, dir, last);
  close(mask);
}

void mask_paths(Run& run, int proc, int dev) {
  const int null = child_must(run, sys_open_tree(dev, "null", kRelTree), "/dev/null");
  child_must(run, sys_mount_setattr(null, MOUNT_ATTR_RDONLY), "/dev/null");
  mask_all(run, null, proc,
           {"kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug"});
  stamp(run, "masked files");
  const int empty = new_mount(run, "tmpfs", "tmpfs", {{"size", "0k"}}, MOUNT_ATTR_RDONLY);
  mask_all(run, empty, run.rootfs_tree, {"proc/acpi", "proc/asound", "proc/scsi", "sys/firmware"});
  stamp(run, "masked directories");
}

void protect_paths(Run& run, int proc) {
  for (const char* name : {"bus", "fs", "irq", "sys", "sysrq-trigger"}) {
    const int tree = sys_open_tree(proc, name, kRelTree | AT_RECURSIVE);
    if (tree < 0 && errno == ENOENT) continue;
    child_must(run, tree, name);
    child_must(run, sys_mount_setattr(tree, MOUNT_ATTR_RDONLY), name);
    close(attach(run, tree, proc, name));
  }
  stamp(run, "read-only paths");
}

void enter_root(Run& run, int root) {
  child_must(run, fchdir(root), "root");
  if (run.options->tiny != nullptr) {
    child_must(run, chroot("."), "chroot");
    stamp(run, "chroot");
    return;
  }
  child_must(run, syscall(SYS_pivot_root, ".", "."), "pivot_root");
  stamp(run, "pivot_root");
  child_must(run, umount2(".", MNT_DETACH), "old root");
  stamp(run, "detach the old root");
}

void build_root(Run& run) {
  const int root = run.rootfs_tree;
  if (run.options->tiny == nullptr) {
    mount_attr private_mounts{};
    private_mounts.propagation = MS_PRIVATE;
    child_must(run,
               syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private_mounts,
                       sizeof private_mounts),
               "/");
    stamp(run, "make / private");
    attach(run, root, AT_FDCWD, run.options->rootfs);
  } else {
    attach(run, root, AT_FDCWD, "/");
  }
  stamp(run, "attach the root");
  const int proc = attach(run, new_mount(run, "proc", "proc", {}, 0), root, "proc");
  stamp(run, "mount /proc");
  const int dev = make_dev(run, root);
  const int sys = attach(
      run, new_mount(run, "sysfs", "sysfs", {}, kNoDevExecSuid | MOUNT_ATTR_RDONLY), root, "sys");
  stamp(run, "mount /sys");
  mount_cgroups(run, sys);
  mask_paths(run, proc, dev);
  protect_paths(run, proc);
  child_must(run, sys_mount_setattr(root, MOUNT_ATTR_RDONLY), "read-only root");
  stamp(run, "read-only root");
  enter_root(run, root);
}

void set_up_host_names(Run& run) {
  const int fd = child_must(run, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  child_must(run, ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
  close(fd);
  child_must(run, sethostname("runc", 4), "hostname");
  stamp(run, "lo up, hostname");
}

void set_up_process(Run& run) {
  const rlimit files{1024, 1024};
  child_must(run, setrlimit(RLIMIT_NOFILE, &files), "rlimit");
  child_must(run, syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, run.options->id), "keyring");
  setsid();
  child_must(run, syscall(SYS_setgroups, 0, nullptr), "setgroups");
  umask(022);
  stamp(run, "rlimit, keyring, setsid, setgroups");
}

void drop_privileges(Run& run) {
  constexpr std::uint32_t kKept =
      1U << CAP_AUDIT_WRITE | 1U << CAP_KILL | 1U << CAP_NET_BIND_SERVICE;
  for (unsigned cap = 0; cap <= CAP_LAST_CAP; ++cap) {
    if (cap < 32 && (kKept >> cap & 1U) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) break;
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  data[0] = {kKept, kKept, 0};
  child_must(run, syscall(SYS_capset, &header, data.data()), "capset");
  child_must(run, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  stamp(run, "capabilities, no_new_privs");
  if (run.filter == nullptr) return;
  const sock_fprog program{static_cast<unsigned short>(run.filter->size()),
                           const_cast<sock_filter*>(run.filter->data())};
  child_must(run, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
  stamp(run, "seccomp filter");
}

[[noreturn]] void run_payload(Run& run) {
  static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char term_variable[] = "TERM=xterm";
  std::array<char*, 3> environment{path_variable, term_variable, nullptr};
  child_must(run, syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
  for (const char* dir :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::array<char, kMaxPath> path{};
    std::snprintf(path.data(), path.size(), "%s/%s", dir, run.options->argv[0]);
    if (access(path.data(), X_OK) != 0) continue;
    stamp(run, "look-up in PATH");
    execve(path.data(), run.options->argv, environment.data());
    break;
  }
  child_must(run, -1, run.options->argv[0]);
  __builtin_unreachable();
}

[[noreturn]] [[gnu::noinline]] void child_main(Run& run) {
  stamp(run, "clone3");
  umask(0);
  for (int i = 0; i < run.hierarchies; ++i) {
    // "0" in `tasks` moves this one thread without the lock that waits for an RCU grace period.
    child_must(run, write(run.tasks_fds[static_cast<std::size_t>(i)], "0", 1),
               run.hierarchy_names[static_cast<std::size_t>(i)]);
  }
  if (run.hierarchies > 0) stamp(run, "cgroups v1: joins");
  if (run.unified) {
    // Not by clone3: there the namespace would be rooted at the cgroup of the *parent*.
    child_must(run, unshare(CLONE_NEWCGROUP), "cgroup namespace");
    stamp(run, "cgroup namespace");
  }
  build_root(run);
  set_up_host_names(run);
  set_up_process(run);
  drop_privileges(run);
  run_payload(run);
}

// vfork with flags: the child borrows memory and stack, the parent sleeps until it has executed the
// payload.
[[gnu::noinline]] long vfork_into(clone_args& arguments, Run& run) {
#if defined(__x86_64__)
  long result = SYS_clone3;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(&arguments), "S"(sizeof arguments)
                   : "rcx", "r11", "memory");
  if (result < 0) {
    errno = static_cast<int>(-result);
    result = -1;
  }
#elif defined(__aarch64__)
  // There the wrapper keeps its return address in a register, so the child cannot spoil it.
  const long result = syscall(SYS_clone3, &arguments, sizeof arguments);
#else
#error "vfork_into: how does this architecture enter the kernel?"
#endif
  if (result == 0) child_main(run);
  return result;
}

void open_sources(Run& run) {
  run.rootfs_tree = must(sys_open_tree(AT_FDCWD, run.options->rootfs, kRelTree | AT_RECURSIVE),
                         run.options->rootfs);
  for (int i = 0; i < run.hierarchies; ++i) {
    const auto index = static_cast<std::size_t>(i);
    run.cgroup_trees[index] =
        must(sys_open_tree(AT_FDCWD, run.cgroup_paths[index], kRelTree), run.cgroup_paths[index]);
    must(sys_mount_setattr(run.cgroup_trees[index], kNoDevExecSuid | MOUNT_ATTR_RDONLY),
         "cgroup tree");
  }
  stamp(run, "clone rootfs and cgroup trees");
}

void close_sources(Run& run) {
  close(run.rootfs_tree);
  for (int i = 0; i < run.hierarchies; ++i) close(run.cgroup_trees[static_cast<std::size_t>(i)]);
}

void write_state(const Run& run) {
  std::array<char, kMaxPath> path{};
  std::snprintf(path.data(), path.size(), "%s/%s", run.options->state_root, run.options->id);
  must(mkdir(path.data(), 0700), path.data());
  std::snprintf(path.data(), path.size(), "%s/%s/state", run.options->state_root, run.options->id);
  const int fd =
      must(open(path.data(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), path.data());
  if (write(fd, "running\n", 8) != 8) die("state");
  close(fd);
}

void remove_state(const Run& run) {
  std::array<char, kMaxPath> path{};
  std::snprintf(path.data(), path.size(), "%s/%s/state", run.options->state_root, run.options->id);
  unlink(path.data());
  std::snprintf(path.data(), path.size(), "%s/%s", run.options->state_root, run.options->id);
  rmdir(path.data());
}

int run_once(Run& run, const std::vector<bpf_insn>& program) {
  run.stamp_count = 0;
  stamp(run, "start");
  write_state(run);
  stamp(run, "state directory");
  make_cgroups(run, program);
  open_sources(run);
  if (run.tiny_fd >= 0) {
    must(setns(run.tiny_fd, CLONE_NEWNS), "setns");
    stamp(run, "enter the tiny mount namespace");
  }
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND | CLONE_NEWNS |
                    CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<std::uint64_t>(run.unified_fd);
  const long child = vfork_into(arguments, run);
  if (child < 0) die("clone3");
  stamp(run, "execve, parent wakes");
  close_sources(run);
  int status = 0;
  must(static_cast<int>(waitpid(static_cast<pid_t>(child), &status, 0)), "waitpid");
  stamp(run, "payload, exit, namespace teardown");
  // A real runtime keeps directory descriptors instead of coming back; the cost is the same few
  // microseconds.
  if (run.tiny_fd >= 0) {
    must(setns(run.home_fd, CLONE_NEWNS), "setns back");
    stamp(run, "leave the tiny mount namespace");
  }
  remove_cgroups(run);
  stamp(run, "cgroups: rmdir");
  remove_state(run);
  stamp(run, "remove state");
  if (run.failed_step != nullptr) {
    std::fprintf(stderr, "floor: %s: %s\n", run.failed_step, std::strerror(run.failed_errno));
    return 125;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Makes the pinned namespace of --tiny: one empty read-only tmpfs as root, nothing else.
int make_tiny(const char* pin) {
  const int original = must(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "namespace");
  const int target = must(open(pin, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), pin);
  close(target);
  for (int attempt = 0; attempt < 16; ++attempt) {
    // The kernel refuses to pin a namespace whose id is below that of the one it is pinned in, and
    // ids are handed out per processor: try from each.
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(attempt % static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))),
            &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    must(unshare(CLONE_NEWNS), "unshare");
    mount_attr private_mounts{};
    private_mounts.propagation = MS_PRIVATE;
    must(static_cast<int>(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private_mounts,
                                  sizeof private_mounts)),
         "/");
    const int context =
        must(static_cast<int>(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)), "tmpfs");
    must(static_cast<int>(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0)),
         "tmpfs");
    const int empty =
        must(static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY)),
             "tmpfs");
    must(sys_move_mount(empty, AT_FDCWD, "/tmp"), "/tmp");
    must(fchdir(empty), "tmpfs");
    must(static_cast<int>(syscall(SYS_pivot_root, ".", ".")), "pivot_root");
    must(umount2(".", MNT_DETACH), "old root");
    // There is no /proc here to name the new namespace by: clone it into a descriptor through a
    // thread of nobody.
    const int self = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
    constexpr unsigned long kGetMountNamespace =
        _IO(0xFF, 3);  // PIDFD_GET_MNT_NAMESPACE, Linux 6.11
    const int made = ioctl(self, kGetMountNamespace, 0);
    must(made, "PIDFD_GET_MNT_NAMESPACE");
    must(setns(original, CLONE_NEWNS), "setns back");
    const int tree = sys_open_tree(made, "", kRelTree | AT_EMPTY_PATH);
    if (tree >= 0 && sys_move_mount(tree, AT_FDCWD, pin) == 0) return 0;
    close(made);
    close(self);
    close(empty);
    close(context);
  }
  die("pin the tiny mount namespace");
}

std::int64_t percentile(std::vector<std::int64_t>& values, int percent) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) * static_cast<std::size_t>(percent) / 100];
}

void print_steps(const std::vector<std::vector<Stamp>>& runs) {
  std::fprintf(stderr, "%-46s %9s %9s %9s   (us, %zu runs)\n", "step", "min", "p10", "median",
               runs.size());
  const std::size_t count = runs.front().size();
  for (std::size_t step = 1; step <= count; ++step) {
    const bool total = step == count;
    std::vector<std::int64_t> costs;
    for (const auto& run : runs) {
      if (run.size() != count) continue;
      costs.push_back(total ? run.back().at - run.front().at : run[step].at - run[step - 1].at);
    }
    const auto us = [&](int percent) {
      return static_cast<double>(percentile(costs, percent)) / 1000.0;
    };
    std::fprintf(stderr, "%-46s %9.1f %9.1f %9.1f\n", total ? "TOTAL" : runs.front()[step].name,
                 us(0), us(10), us(50));
  }
}

std::vector<sock_filter> read_filter(const char* path) {
  std::vector<sock_filter> filter(BPF_MAXINSNS);
  const int fd = must(open(path, O_RDONLY | O_CLOEXEC), path);
  const ssize_t size = read(fd, filter.data(), filter.size() * sizeof(sock_filter));
  close(fd);
  if (size <= 0) die(path);
  filter.resize(static_cast<std::size_t>(size) / sizeof(sock_filter));
  return filter;
}

[[noreturn]] void usage() {
  std::fputs(
      "usage: floor --rootfs DIR [--id NAME] [--cgroup PATH] [--pin FILE] [--tiny FILE] [--seccomp "
      "FILE] [--steps]\n"
      "             [--repeat N] [--state DIR] -- COMMAND...\n"
      "       floor --make-tiny FILE    pin an empty mount namespace for --tiny\n"
      "--rootfs  root file system with proc, dev, sys in it          --id       name of the state "
      "directory\n"
      "--pin     keep the device program here (bpffs, v2 only)       --cgroup   control group "
      "(default: the id)\n"
      "--tiny    start from the namespace of --make-tiny             --seccomp  raw struct "
      "sock_filter records\n"
      "--steps   print what each step cost                           --repeat   run N times, print "
      "percentiles\n"
      "--state   parent of the state directory (/run/caisson-floor)\n",
      stderr);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (std::strcmp(argv[i], "--steps") == 0) {
      options.steps = true;
      continue;
    }
    if (i + 1 >= argc) usage();
    const char* value = argv[i + 1];
    if (std::strcmp(argv[i], "--rootfs") == 0)
      options.rootfs = value;
    else if (std::strcmp(argv[i], "--id") == 0)
      options.id = value;
    else if (std::strcmp(argv[i], "--state") == 0)
      options.state_root = value;
    else if (std::strcmp(argv[i], "--cgroup") == 0)
      options.cgroup = value;
    else if (std::strcmp(argv[i], "--pin") == 0)
      options.pin = value;
    else if (std::strcmp(argv[i], "--tiny") == 0)
      options.tiny = value;
    else if (std::strcmp(argv[i], "--seccomp") == 0)
      options.seccomp = value;
    else if (std::strcmp(argv[i], "--repeat") == 0)
      options.repeat = std::max(1, std::atoi(value));
    else if (std::strcmp(argv[i], "--make-tiny") == 0)
      std::exit(make_tiny(value));
    else
      usage();
    ++i;
  }
  if (i + 1 >= argc || options.rootfs == nullptr) usage();
  options.argv = argv + i + 1;
  if (options.cgroup == nullptr) options.cgroup = options.id;
  // The way home from --tiny ends in the root directory.
  options.rootfs = realpath(options.rootfs, nullptr);
  if (options.rootfs == nullptr) die("--rootfs");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  static Run run;
  run.options = &options;
  const std::vector<bpf_insn> program = device_program();
  std::vector<sock_filter> filter;
  if (options.seccomp != nullptr) {
    filter = read_filter(options.seccomp);
    run.filter = &filter;
  }
  if (mkdir(options.state_root, 0700) != 0 && errno != EEXIST) die(options.state_root);
  if (options.tiny != nullptr) {
    run.tiny_fd = must(open(options.tiny, O_RDONLY | O_CLOEXEC), options.tiny);
    run.home_fd = must(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "namespace");
  }
  probe_cgroups(run);
  std::vector<std::vector<Stamp>> runs;
  for (int i = 0; i < options.repeat; ++i) {
    const int status = run_once(run, program);
    if (status != 0) return status;
    if (options.steps) runs.emplace_back(run.stamps.begin(), run.stamps.begin() + run.stamp_count);
  }
  if (options.steps) print_steps(runs);
  return 0;
}
