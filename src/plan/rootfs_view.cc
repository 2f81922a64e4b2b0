// A throw-away copy-on-write view of this machine as a root file system.
//
// With privilege: an overlay over "/", and one more over every other file system that can be
// reached, each with a layer of its own for the changes. Without (or in a new user namespace) the
// host's mounts are locked together, and the kernel refuses an overlay over a directory that has
// mounts below it: the root is an empty tmpfs, directories without mounts below are overlaid one by
// one, and those on the way to a mount are made anew and filled entry by entry. What belongs to the
// running system and not to its files is fresh: /proc, /sys, /dev, /tmp, /run.
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "plan/host_mounts.h"
#include "plan/passes.h"
#include "plan/paths.h"
#include "plan/sandbox.h"

namespace caisson::plan {
namespace {

constexpr auto kReplaced =
    std::to_array<std::string_view>({"/proc", "/sys", "/dev", "/tmp", "/run"});
// Fresh, but their old content may be where the user stands.
constexpr auto kReplacedFiles = std::to_array<std::string_view>({"/tmp", "/run", "/dev/shm"});

bool is_replaced(std::string_view path) {
  return std::ranges::any_of(kReplaced,
                             [&](std::string_view each) { return at_or_below(path, each); });
}

// A mount there is the /run of old; the directory below it stays as it is.
bool is_old_run(std::string_view path) { return at_or_below(path, "/var/run"); }

class View {
 public:
  View(const Input& in, const NamespacePlan& namespaces, MountPlan& plan, MountSink sink)
      : in_(in), namespaces_(namespaces), plan_(plan), sink_(sink) {
    mounts_ = reachable_mounts(in.host.mounts);
    for (const DirectoryEntry& entry : in.host.root_entries) {
      const std::string path = clean_path(entry.path);
      if (path == "/") continue;
      std::string parent = clean_path(std::string_view(path).substr(0, path.rfind('/')));
      entries_[std::move(parent)].push_back(&entry);
    }
    // The sandbox's overlays are its own: no namespace of the host stands in their way.
    pieces_ =
        !wants_sandbox(in.spec) && (!in.host.privileged || in_any_user_namespace(in, namespaces));
  }

  Result<> build();

 private:
  bool is_overridden(std::string_view path) const;

  void add_whole_root();
  void add_mounts_below(std::string_view path, bool spare_replaced);
  void add_mount_of_host(const HostMount& mount);

  void add_entries(const std::string& directory);
  void add_entry(const DirectoryEntry& entry);
  void add_directory(const std::string& path, bool readable);

  MountStep step(MountOp op, std::string_view path) const;
  void overlay(std::string_view path, std::string layer);
  void readonly_bind(std::string_view path);
  void empty_directory(std::string_view path);
  std::string next_layer() { return cat("m", ++layers_); }

  Result<> add_fresh();
  void add_current_directory();
  void add_layer_for_current_directory(const std::string& here);

  const Input& in_;
  const NamespacePlan& namespaces_;
  MountPlan& plan_;
  MountSink sink_;
  std::vector<const HostMount*> mounts_;
  std::map<std::string, std::vector<const DirectoryEntry*>> entries_;
  bool pieces_ = false;
  int layers_ = 0;
};

Result<> View::build() {
  plan_.root.empty_tmpfs = pieces_;
  if (pieces_) {
    if (!entries_.contains("/")) {
      return std::unexpected(unsupported("the root directory of this machine cannot be listed")
                                 .cure("Name a root file system with --rootfs."));
    }
    add_entries("/");
  } else {
    add_whole_root();
  }
  TRY(add_fresh());
  add_current_directory();
  return {};
}

// The spec mounts something there, or above it, itself.
bool View::is_overridden(std::string_view path) const {
  return std::ranges::any_of(in_.spec.mounts, [&](const spec::Mount& mount) {
    return at_or_below(path, clean_path(mount.destination));
  });
}

// --- with privilege

void View::add_whole_root() {
  overlay("/", "root");
  sink_.steps.back().optional = false;
  add_mounts_below("/", true);
}

void View::add_mounts_below(std::string_view path, bool spare_replaced) {
  for (const HostMount* mount : mounts_below(mounts_, path)) {
    const bool replaced = is_replaced(mount->mount_point) || is_old_run(mount->mount_point);
    if (is_kernel_filesystem(mount->fs_type) || (spare_replaced && replaced)) continue;
    add_mount_of_host(*mount);
  }
}

void View::add_mount_of_host(const HostMount& mount) {
  if (!mount.readable) {
    in_.notices.push_back(
        cat("view: ", mount.mount_point, " cannot be read by us and is left out"));
    return;
  }
  if (mount.is_directory && !mount.readonly) return overlay(mount.mount_point, next_layer());
  if (!mount.is_directory && !mount.readonly) {
    in_.notices.push_back(
        cat("view: ", mount.mount_point, " is a mounted file and can only be read"));
  }
  readonly_bind(mount.mount_point);
}

// --- piece by piece

void View::add_entries(const std::string& directory) {
  auto found = entries_.find(directory);
  if (found == entries_.end()) {
    in_.notices.push_back(cat("view: ", directory, " cannot be listed and is empty"));
    return;
  }
  std::vector<const DirectoryEntry*> sorted = found->second;
  std::ranges::sort(sorted, {},
                    [](const DirectoryEntry* entry) -> const std::string& { return entry->path; });
  bool has_files = false;
  for (const DirectoryEntry* entry : sorted) {
    has_files |= entry->type != 'd' && entry->type != 'l';
    add_entry(*entry);
  }
  if (has_files && directory != "/") {
    in_.notices.push_back(
        cat("view: mounts below ", directory,
            " keep it from being copied on write: files directly in it can only be read"));
  }
}

void View::add_entry(const DirectoryEntry& entry) {
  const std::string path = clean_path(entry.path);
  if (std::ranges::find(kReplaced, path) != kReplaced.end()) return;
  if (entry.type == 'd') return add_directory(path, entry.readable);
  if (entry.type != 'l') return readonly_bind(path);
  MountStep link = step(MountOp::kSymlink, path);
  link.source = entry.link_target;
  sink_.steps.push_back(std::move(link));
}

void View::add_directory(const std::string& path, bool readable) {
  const HostMount* mount = mount_at(mounts_, path);
  if (mount != nullptr && (is_kernel_filesystem(mount->fs_type) || is_old_run(path))) {
    return empty_directory(path);
  }
  if (!readable || (mount != nullptr && !mount->readable)) {
    in_.notices.push_back(cat("view: ", path, " cannot be read by us and is empty"));
    return empty_directory(path);
  }
  if (!mounts_below(mounts_, path).empty()) {
    empty_directory(path);
    return add_entries(path);
  }
  if (mount != nullptr && mount->readonly) return readonly_bind(path);
  overlay(path, next_layer());
}

// --- steps

MountStep View::step(MountOp op, std::string_view path) const {
  MountStep out;
  out.op = op;
  out.target = path;
  out.origin = cat("view of ", path);
  // One odd file system of the host must not keep the container from starting.
  out.optional = true;
  return out;
}

void View::overlay(std::string_view path, std::string layer) {
  MountStep out = step(MountOp::kOverlayView, path);
  out.source = path;
  out.layer = std::move(layer);
  out.attr_set = MOUNT_ATTR_NODEV;
  out.fallback_readonly_bind = true;
  if (in_.limited()) out.attr_set |= MOUNT_ATTR_NOSUID;
  // The extended attributes "trusted." are for root of the host.
  if (pieces_) out.options.push_back({"userxattr", ""});
  sink_.steps.push_back(std::move(out));
}

void View::readonly_bind(std::string_view path) {
  MountStep out = step(MountOp::kBind, path);
  out.source = path;
  out.if_missing = IfMissing::kMakeLikeSource;
  out.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  if (in_.limited()) out.attr_set |= MOUNT_ATTR_NOSUID;
  sink_.steps.push_back(std::move(out));
}

void View::empty_directory(std::string_view path) {
  sink_.steps.push_back(step(MountOp::kDirectory, path));
}

// --- fresh

struct Fresh {
  std::string_view path, type;
  std::string_view options;
  bool optional = false;
};

constexpr Fresh kFresh[] = {
    {"/proc", "proc", "nosuid,nodev,noexec"},
    {"/sys", "sysfs", "ro,nosuid,nodev,noexec"},
    {"/sys/fs/cgroup", "cgroup", "ro,nosuid,nodev,noexec", true},
    {"/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
    {"/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"},
    {"/dev/shm", "tmpfs", "nosuid,nodev,noexec,mode=1777"},
    {"/dev/mqueue", "mqueue", "nosuid,nodev,noexec", true},
    {"/tmp", "tmpfs", "nosuid,nodev,mode=1777"},
    {"/run", "tmpfs", "nosuid,nodev,mode=755"},
};

Result<> View::add_fresh() {
  // Group 5 is tty on every distribution.
  const bool has_tty_group = is_mapped(in_, namespaces_, IdKind::kGroup, 5);
  for (const Fresh& fresh : kFresh) {
    if (is_overridden(fresh.path)) continue;
    if (fresh.type == "cgroup" && in_.host.cgroup.mode == CgroupMode::kNone) continue;
    spec::Mount mount;
    mount.destination = fresh.path;
    mount.type = mount.source = fresh.type;
    for (std::string_view option : split(fresh.options, ',')) mount.options.emplace_back(option);
    if (fresh.type == "devpts" && has_tty_group) mount.options.push_back("gid=5");
    const std::size_t first = sink_.steps.size();
    TRY(add_mount(in_, namespaces_, mount, "view default", sink_));
    for (std::size_t i = first; i < sink_.steps.size(); ++i)
      sink_.steps[i].optional = fresh.optional;
  }
  return {};
}

// Whoever starts a command from /tmp/project means the files there.
// A change below a directory copies all those above it, with their owners. In a user namespace the
// kernel does not (EOVERFLOW) when an owner is not mapped: the user's own directory below those of
// others gets a layer that begins with it.
void View::add_layer_for_current_directory(const std::string& here) {
  if (!pieces_ || is_replaced(here) || !mounts_below(mounts_, here).empty()) return;
  const bool has_layer = std::ranges::any_of(sink_.steps, [&](const MountStep& step) {
    return step.op == MountOp::kOverlayView && step.target == here;
  });
  const bool in_layer = std::ranges::any_of(sink_.steps, [&](const MountStep& step) {
    return step.op == MountOp::kOverlayView && at_or_below(here, step.target);
  });
  if (has_layer || !in_layer) return;
  overlay(here, next_layer());
  sink_.steps.back().fallback_readonly_bind = false;  // what is below already is better
  sink_.steps.back().optional = true;
  sink_.steps.back().origin = cat("current directory ", here);
}

void View::add_current_directory() {
  const std::string here = clean_path(in_.host.current_directory);
  const bool hidden = std::ranges::any_of(
      kReplacedFiles, [&](std::string_view each) { return at_or_below(here, each); });
  if (is_overridden(here)) return;
  if (!hidden) return add_layer_for_current_directory(here);
  const std::size_t first = sink_.steps.size();
  if (pieces_ && !mounts_below(mounts_, here).empty()) {
    add_directory(here, true);
  } else {
    overlay(here, next_layer());
    if (!pieces_) add_mounts_below(here, false);
  }
  for (std::size_t i = first; i < sink_.steps.size(); ++i)
    sink_.steps[i].origin = cat("current directory ", here);
}

}  // namespace

Result<> add_machine_view(const Input& in, const NamespacePlan& namespaces, MountPlan& plan,
                          MountSink sink) {
  if (auto done = View(in, namespaces, plan, sink).build(); !done) {
    return std::unexpected(std::move(done).error().doing("lay out a view of this machine"));
  }
  return {};
}

}  // namespace caisson::plan
