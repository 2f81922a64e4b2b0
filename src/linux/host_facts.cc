#include "linux/host_facts.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/prctl.h>

#include <algorithm>
#include <optional>

#include "linux/host_view.h"
#include "linux/mountinfo.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::CgroupFacts;
using plan::CgroupHierarchy;
using plan::CgroupMode;
using plan::HostFacts;

constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

// Inode of the initial user namespace (PROC_USER_INIT_INO, include/linux/proc_ns.h).
constexpr std::uint64_t kInitialUserNamespace = 0xEFFFFFFDU;

long file_system(const std::string& path) {
  auto info = sys::statfs(path.c_str());
  return info ? info->f_type : 0;
}

bool exists(const std::string& path) {
  return sys::faccessat(sys::kCwd, path.c_str(), F_OK).has_value();
}

// --- identity ---

// user_namespaces(7): a range a line, of its first id here, its first id outside and its length.
std::vector<spec::IdMapping> read_id_map(const char* path) {
  std::vector<spec::IdMapping> map;
  auto text = sys::read_file(sys::kCwd, path);
  if (!text) return map;
  for (auto line : split(trim(*text), '\n')) {
    std::uint32_t numbers[3] = {};
    std::size_t count = 0;
    for (auto word : split(line, ' ')) {
      auto number = parse_number<std::uint32_t>(word);
      if (number && count < std::size(numbers)) numbers[count++] = *number;
    }
    if (count == std::size(numbers)) map.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return map;
}

Result<> read_identity(HostFacts& facts) {
  facts.uid = sys::geteuid();
  facts.gid = sys::getegid();
  long count = TRY_CTX(sys::call(SYS_getgroups, 0, nullptr), "read the supplementary groups");
  facts.groups.resize(static_cast<std::size_t>(count));
  if (count > 0) {
    TRY_CTX(sys::call(SYS_getgroups, count, facts.groups.data()), "read the supplementary groups");
  }
  auto ns = sys::fstatat(sys::kCwd, "/proc/self/ns/user");
  if (!ns && ns.error().value == ENOENT && !exists("/proc/self/stat")) {
    return std::unexpected(Error::with_cause(ENOENT, "/proc is not mounted")
                               .doing("look at this host")
                               .cure("Mount it: mount -t proc proc /proc.")
                               .code("host.proc"));
  }
  // A kernel without user namespaces has no such file, and everybody is in the initial one.
  facts.in_user_namespace = ns && ns->st_ino != kInitialUserNamespace;
  if (facts.in_user_namespace) {
    auto text = sys::read_file(sys::kCwd, "/proc/self/setgroups");
    facts.setgroups_denied = text && text->starts_with("deny");
    facts.uid_map = read_id_map("/proc/self/uid_map");
    facts.gid_map = read_id_map("/proc/self/gid_map");
  }
  return {};
}

struct OwnCapabilities {
  std::uint64_t effective = 0, permitted = 0;
};

std::optional<OwnCapabilities> own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (!sys::call(SYS_capget, &header, data)) return std::nullopt;
  auto joined = [](std::uint32_t low, std::uint32_t high) {
    return std::uint64_t{high} << 32 | low;
  };
  return OwnCapabilities{joined(data[0].effective, data[1].effective),
                         joined(data[0].permitted, data[1].permitted)};
}

void read_capabilities(HostFacts& facts) {
  auto own = own_capabilities();
  if (!own) return;
  facts.privileged = (own->effective >> CAP_SYS_ADMIN & 1) != 0;
  facts.own_capabilities = own->permitted;
}

// As /proc/sys/kernel/cap_last_cap says, by asking for the bits around the usual one: no file.
int last_capability() {
  auto known = [](int bit) { return sys::prctl(PR_CAPBSET_READ, bit, 0, 0, 0).has_value(); };
  int last = 40;  // CAP_CHECKPOINT_RESTORE, Linux 5.9
  while (last > 0 && !known(last)) --last;
  while (last < 63 && known(last + 1)) ++last;
  return last;
}

// --- cgroups ---

struct OwnCgroup {  // one line of /proc/self/cgroup
  std::string_view controllers, path;
  bool v2 = false;
};

// Kept in the kernel's order, v2 last.
std::vector<OwnCgroup> parse_own_cgroups(std::string_view text) {
  std::vector<OwnCgroup> own;
  std::optional<OwnCgroup> unified;
  for (auto line : split(text, '\n')) {
    auto [id, rest] = split_once(line, ':');
    auto [controllers, path] = split_once(rest, ':');
    if (!path.starts_with('/')) continue;
    if (controllers.empty()) {
      unified = OwnCgroup{"", path, true};
    } else {
      own.push_back({controllers, path, false});
    }
  }
  // The kernel lists the highest hierarchy number first.
  std::ranges::reverse(own);
  if (unified) own.push_back(*unified);
  return own;
}

// Where mount tools put a hierarchy; empty when it is not there.
std::string usual_place(const OwnCgroup& own, bool v2_root) {
  if (own.v2) {
    std::string place = v2_root ? kCgroupRoot : cat(kCgroupRoot, "/unified");
    return v2_root || file_system(place) == CGROUP2_SUPER_MAGIC ? place : std::string();
  }
  std::string_view name = own.controllers;
  if (name.starts_with("name=")) name.remove_prefix(5);
  std::string place = cat(kCgroupRoot, '/', name);
  return file_system(place) == CGROUP_SUPER_MAGIC ? place : std::string();
}

bool is_mount_of(const MountInfo& info, const OwnCgroup& own) {
  if (own.v2) return info.mount.fs_type == "cgroup2";
  if (info.mount.fs_type != "cgroup") return false;
  auto options = split(info.super_options, ',');
  for (auto name : split(own.controllers, ',')) {
    if (std::ranges::find(options, name) == options.end()) return false;
  }
  return true;
}

// The mount table, read when a hierarchy is not at its usual place or shows only a part of itself.
class CgroupMounts {
 public:
  // Sets mount point, and own path as seen below it; false when the hierarchy is not mounted.
  Result<bool> find(const OwnCgroup& own, CgroupHierarchy& out) {
    if (!mounts_) {
      std::string text =
          TRY_CTX(sys::read_file(sys::kCwd, "/proc/self/mountinfo"), "read /proc/self/mountinfo");
      mounts_ = visible_mounts(TRY(parse_mountinfo(text)));
    }
    auto found = std::ranges::find_if(
        *mounts_, [&](const MountInfo& info) { return is_mount_of(info, own); });
    if (found == mounts_->end()) return false;
    out.mount_point = found->mount.mount_point;
    out.own_path = below_root(own.path, found->mount.root);
    return true;
  }

 private:
  // In a container that shares the host's cgroup namespace the mount's root is not the hierarchy's,
  // and paths in /proc begin with it.
  static std::string below_root(std::string_view path, std::string_view root) {
    if (root == "/" || !path.starts_with(root)) return std::string(path);
    path.remove_prefix(root.size());
    if (path.empty()) return "/";
    return path[0] == '/' ? std::string(path) : std::string(cat(root, path));
  }

  std::optional<std::vector<MountInfo>> mounts_;
};

// An outer container's cgroup is "/.." or unseen below the mount when namespaces don't agree.
bool own_path_shows(const CgroupHierarchy& hierarchy) {
  return hierarchy.own_path == "/" || exists(cat(hierarchy.mount_point, hierarchy.own_path));
}

Result<> read_cgroups(HostFacts& facts) {
  const bool v2_root = file_system(kCgroupRoot) == CGROUP2_SUPER_MAGIC;
  auto text = sys::read_file(sys::kCwd, "/proc/self/cgroup");
  if (!text) return {};  // a kernel without cgroups
  CgroupFacts& cgroup = facts.cgroup;
  CgroupMounts mounts;
  bool v1 = false, v2 = false;
  for (const auto& own : parse_own_cgroups(*text)) {
    // Where v2 has the place of honour, v1 hierarchies that the kernel still lists serve others.
    if (v2_root && !own.v2) continue;
    CgroupHierarchy hierarchy;
    hierarchy.controllers = own.controllers;
    hierarchy.v2 = own.v2;
    hierarchy.own_path = own.path;
    hierarchy.mount_point = usual_place(own, v2_root);
    const bool usual = !hierarchy.mount_point.empty();
    if ((!usual || !own_path_shows(hierarchy)) && !TRY(mounts.find(own, hierarchy)) && !usual) {
      continue;
    }
    if (facts.uid != 0 || facts.in_user_namespace) {
      hierarchy.writable =
          sys::faccessat(sys::kCwd, cat(hierarchy.mount_point, hierarchy.own_path).c_str(), W_OK,
                         AT_EACCESS)
              .has_value();
    }
    (own.v2 ? v2 : v1) = true;
    cgroup.hierarchies.push_back(std::move(hierarchy));
  }
  cgroup.mode = v1 ? (v2 ? CgroupMode::kHybrid : CgroupMode::kV1)
                   : (v2 ? CgroupMode::kV2 : CgroupMode::kNone);
  return {};
}

void read_v2_controllers(CgroupFacts& cgroup) {
  if (cgroup.hierarchies.empty() || !cgroup.hierarchies.back().v2) return;
  const auto& unified = cgroup.hierarchies.back();
  auto text = sys::read_file(sys::kCwd, cat(unified.mount_point, "/cgroup.controllers").c_str());
  if (!text) return;
  for (auto name : split(trim(*text), ' ')) {
    if (!name.empty()) cgroup.v2_controllers.emplace_back(name);
  }
}

// Without swap accounting (swapaccount=0, no CONFIG_MEMCG_SWAP) v1 has no memsw files. The v2 root
// shows none either way; there a missing file is seen when it is written.
bool swap_accounting(const CgroupFacts& cgroup) {
  for (const auto& hierarchy : cgroup.hierarchies) {
    if (hierarchy.v2) continue;
    auto names = split(hierarchy.controllers, ',');
    if (std::ranges::find(names, "memory") == names.end()) continue;
    return exists(cat(hierarchy.mount_point, "/memory.memsw.limit_in_bytes"));
  }
  return true;
}

bool apparmor_enabled() {
  auto text = sys::read_file(sys::kCwd, "/sys/module/apparmor/parameters/enabled");
  return text && text->starts_with('Y');
}

}  // namespace

Result<HostFacts> read_process_facts() {
  HostFacts facts;
  TRY(read_identity(facts));
  read_capabilities(facts);
  facts.last_capability = last_capability();
  facts.apparmor = apparmor_enabled();
  facts.selinux = file_system("/sys/fs/selinux") == SELINUX_MAGIC;
  return facts;
}

Result<HostFacts> read_host_facts(bool for_view) {
  HostFacts facts = TRY(read_process_facts());
  TRY(read_cgroups(facts));
  read_v2_controllers(facts.cgroup);
  facts.machine_swap_accounting = swap_accounting(facts.cgroup);
  facts.kcore = exists("/proc/kcore");
  if (for_view) TRY(read_host_view(facts));
  return facts;
}

}  // namespace caisson::linux
