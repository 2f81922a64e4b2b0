#include "plan/host_mounts.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "plan/paths.h"

namespace caisson::plan {
namespace {

class Table {
 public:
  explicit Table(const std::vector<HostMount>& mounts) {
    for (const HostMount& mount : mounts) {
      by_id_[mount.id] = &mount;
      if (mount.parent_id != mount.id) children_[mount.parent_id].insert(mount.mount_point);
    }
  }

  bool is_visible(const HostMount& mount) { return is_reachable(mount, 0) && !is_covered(mount); }

 private:
  const HostMount* parent_of(const HostMount& mount) const {
    auto found = by_id_.find(mount.parent_id);
    return found == by_id_.end() || mount.parent_id == mount.id ? nullptr : found->second;
  }

  bool has_child(int parent, std::string_view path) const {
    auto found = children_.find(parent);
    return found != children_.end() && found->second.contains(path);
  }

  bool is_covered(const HostMount& mount) const { return has_child(mount.id, mount.mount_point); }

  // Another child of the same parent stands on a directory above.
  bool is_under_sibling(const HostMount& mount, const HostMount& parent) const {
    std::string_view path = mount.mount_point;
    while (path.size() > 1) {
      auto slash = path.rfind('/');
      path = slash == 0 || slash == path.npos ? std::string_view("/") : path.substr(0, slash);
      if (!below(path, parent.mount_point)) return false;
      if (has_child(parent.id, path)) return true;
    }
    return false;
  }

  // `depth` ends cycles, which only a made-up table can have.
  bool is_reachable(const HostMount& mount, std::size_t depth) {
    if (depth > by_id_.size()) return false;
    auto known = reachable_.find(&mount);
    if (known != reachable_.end()) return known->second;
    const HostMount* parent = parent_of(mount);
    bool reachable = true;
    if (parent != nullptr) {
      const bool stands_on_root = mount.mount_point == parent->mount_point;
      reachable = is_reachable(*parent, depth + 1) && (stands_on_root || !is_covered(*parent)) &&
                  !is_under_sibling(mount, *parent);
    }
    reachable_[&mount] = reachable;
    return reachable;
  }

  std::unordered_map<int, const HostMount*> by_id_;
  std::unordered_map<int, std::unordered_set<std::string_view>> children_;
  std::unordered_map<const HostMount*, bool> reachable_;
};

}  // namespace

std::vector<const HostMount*> reachable_mounts(const std::vector<HostMount>& mounts) {
  Table table(mounts);
  std::vector<const HostMount*> out;
  for (const HostMount& mount : mounts) {
    if (table.is_visible(mount)) out.push_back(&mount);
  }
  auto path_of = [](const HostMount* mount) -> const std::string& { return mount->mount_point; };
  std::ranges::stable_sort(out, {}, path_of);
  // Of two on one place the later one is on top.
  std::ranges::reverse(out);
  auto rest = std::ranges::unique(out, {}, path_of);
  out.erase(rest.begin(), rest.end());
  std::ranges::reverse(out);
  return out;
}

const HostMount* mount_at(std::span<const HostMount* const> mounts, std::string_view path) {
  auto path_of = [](const HostMount* mount) { return std::string_view(mount->mount_point); };
  auto found = std::ranges::lower_bound(mounts, path, {}, path_of);
  return found != mounts.end() && path_of(*found) == path ? *found : nullptr;
}

std::vector<const HostMount*> mounts_below(std::span<const HostMount* const> mounts,
                                           std::string_view path) {
  std::vector<const HostMount*> out;
  for (const HostMount* mount : mounts) {
    if (below(mount->mount_point, path)) out.push_back(mount);
  }
  return out;
}

bool is_kernel_filesystem(std::string_view type) {
  static constexpr auto kTypes = std::to_array<std::string_view>({
      "autofs",     "binfmt_misc", "bpf",       "cgroup",   "cgroup2", "configfs",
      "debugfs",    "devpts",      "devtmpfs",  "efivarfs", "fusectl", "hugetlbfs",
      "mqueue",     "nfsd",        "nsfs",      "proc",     "pstore",  "resctrl",
      "rpc_pipefs", "securityfs",  "selinuxfs", "sysfs",    "tracefs",
  });
  return std::ranges::find(kTypes, type) != kTypes.end();
}

}  // namespace caisson::plan
