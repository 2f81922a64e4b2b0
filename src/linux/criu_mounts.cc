#include "linux/criu_mounts.h"

#include <algorithm>
#include <map>
#include <set>

#include "linux/child_report.h"
#include "linux/criu_child.h"
#include "linux/spawn.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::ExternalMount;
using plan::MountOp;

// By this name masks of files stand in the images.
constexpr std::string_view kNull = "/dev/null";
// File systems that do not answer may hold it up.
constexpr int kMountPointsTimeoutMs = 60'000;

// What is mounted at `target` in the container, by its mount's id; 0: nothing of its own.
int mount_at(FdRef root, const std::string& target) {
  auto fd = sys::openat2(root, target.c_str(), O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!fd) return 0;
  auto place = sys::mount_of(*fd);
  return place && place->is_root ? static_cast<int>(place->id) : 0;
}

bool is_same_mount(const MountInfo& a, const MountInfo& b) {
  return a.device == b.device && a.mount.root == b.mount.root;
}

// Whether `path` is below `directory`, which may be "/".
bool is_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.size() > 1;
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

std::string_view rest_below(std::string_view path, std::string_view directory) {
  return directory == "/" ? path : path.substr(directory.size());
}

// Puts the host's mounts together with their names.
class Saved {
 public:
  Saved(FdRef root, const std::vector<MountInfo>& inside, const std::vector<MountInfo>& host)
      : root_(root), host_(host) {
    for (const auto& info : inside) inside_.emplace(info.mount.id, &info);
  }

  void add_externals(const std::vector<ExternalMount>& externals) {
    for (const auto& external : externals) {
      const int id = mount_at(root_, external.name.empty() ? "/" : external.name);
      if (!inside_.contains(id)) continue;
      known_[id] = external;
      if (!external.name.empty()) add(id, external.name);
    }
  }

  // Masks of files are binds of a null device; masks of directories the container's own tmpfs.
  void add_steps(const plan::MountPlan& plan) {
    for (const auto& step : plan.steps) {
      const int id = mount_at(root_, step.target);
      auto found = inside_.find(id);
      if (found == inside_.end() || !planned_.insert(id).second) continue;
      bool masked = step.op == MountOp::kMask && found->second->mount.root != "/";
      if (masked) add(id, std::string(kNull));
    }
  }

  // What came along with a recursive bind: the host has it at the same place below the source.
  // Parents stand before their children in the table.
  void add_what_came_along() {
    for (const auto& [id, info] : inside_) {
      auto parent = known_.find(info->mount.parent_id);
      bool candidate = parent != known_.end() && parent->second.recursive && id != parent->first &&
                       !known_.contains(id) && !planned_.contains(id);
      if (!candidate) continue;
      const auto& above = inside_.at(parent->first)->mount;
      if (!is_below(info->mount.mount_point, above.mount_point)) continue;
      auto rest = rest_below(info->mount.mount_point, above.mount_point);
      ExternalMount here{cat(parent->second.name, rest), cat(parent->second.source, rest), true};
      bool of_the_host = std::ranges::any_of(host_, [&](const MountInfo& other) {
        return other.mount.mount_point == here.source && is_same_mount(other, *info);
      });
      if (!of_the_host) continue;
      add(id, here.name);
      known_[id] = std::move(here);
    }
  }

  CriuPairs take() { return std::move(pairs_); }

 private:
  void add(int id, std::string name) {
    pairs_.push_back({inside_.at(id)->mount.mount_point, std::move(name)});
  }

  FdRef root_;
  const std::vector<MountInfo>& host_;
  std::map<int, const MountInfo*> inside_;
  std::map<int, ExternalMount> known_;
  std::set<int> planned_;
  CriuPairs pairs_;
};

void prepare(ChildContext& context, const plan::Plan& plan, ChildReport* report) {
  context.plan = &plan;
  context.process = &plan.process;
  context.report = report;
  context.sources.resize(plan.mounts.steps.size());
  context.id_map_namespaces.resize(plan.mounts.steps.size());
}

}  // namespace

Result<std::vector<MountInfo>> read_mounts(std::string_view pid) {
  std::string path = cat("/proc/", pid, "/mountinfo");
  return parse_mountinfo(TRY_CTX(sys::read_file(sys::kCwd, path.c_str()), "read ", path));
}

Result<CriuPairs> mounts_to_save(int pid, const plan::Plan& plan,
                                 const std::vector<ExternalMount>& externals) {
  const auto inside = TRY(read_mounts(cat(pid)));
  const auto host = TRY(read_mounts("self"));
  std::string path = cat("/proc/", pid, "/root");
  Fd root = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_PATH | O_DIRECTORY), "open ", path);
  Saved saved(root, inside, host);
  saved.add_externals(externals);
  saved.add_steps(plan.mounts);
  saved.add_what_came_along();
  return saved.take();
}

CriuPairs mounts_to_restore(const std::vector<ExternalMount>& externals,
                            const std::vector<MountInfo>& host) {
  CriuPairs out{{std::string(kNull), std::string(kNull)}};
  for (const auto& external : externals) {
    if (!external.name.empty()) out.push_back({external.name, external.source});
    if (!external.recursive) continue;
    for (const auto& info : host) {
      const auto& place = info.mount.mount_point;
      if (!is_below(place, external.source)) continue;
      out.push_back({cat(external.name, rest_below(place, external.source)), place});
    }
  }
  return out;
}

Result<> make_mount_points(const plan::Plan& plan) {
  plan::Plan points;
  points.mounts = plan::mount_point_plan(plan.mounts);
  auto shared = TRY(SharedReport::create(points.mounts.steps.size()));
  ChildContext context;
  prepare(context, points, shared.get());
  auto forked = TRY_CTX(sys::fork_with_pidfd(), "make mount points");
  if (forked.pid == 0) run_mount_point_child(context);
  NewProcess child(forked.pid, std::move(forked.pidfd));
  bool ended =
      TRY_CTX(sys::wait_readable(child.pidfd(), kMountPointsTimeoutMs), "make mount points");
  if (!ended) return std::unexpected(Error(Errno{ETIMEDOUT}).doing("make mount points"));
  auto status = TRY_CTX(sys::wait_pidfd(child.pidfd()), "make mount points");
  if (status.shell_status() == 0) return {};
  if ((*shared).error != 0) return std::unexpected(child_error(*shared, points, points.process));
  return std::unexpected(Error(Errno{ECHILD}).doing("make mount points"));
}

}  // namespace caisson::linux
