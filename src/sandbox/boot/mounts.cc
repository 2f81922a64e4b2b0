#include "sandbox/boot/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/boot/boot_caller.h"
#include "sandbox/boot/copy_up.h"

namespace caisson::sandbox::boot {
namespace {

using plan::IfMissing;
using plan::MountOp;
using plan::MountStep;

// MOUNT_ATTR_* and the flag of mount(2) that says the same.
struct Flag {
  std::uint64_t attribute, flag;
};
constexpr Flag kFlags[] = {
    {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, vfs::kNoSymlinkFollow},
};

constexpr std::uint64_t kMaskFlags = std::uint64_t{MS_RDONLY | MS_RELATIME};

std::uint64_t with_attributes(std::uint64_t flags, std::uint64_t set, std::uint64_t clear) {
  for (const auto& each : kFlags) {
    if ((clear & each.attribute) != 0) flags &= ~each.flag;
    if ((set & each.attribute) != 0) flags |= each.flag;
  }
  constexpr std::uint64_t kTimes = MS_NOATIME | MS_STRICTATIME | MS_RELATIME;
  if ((clear & MOUNT_ATTR__ATIME) != 0) flags = (flags & ~kTimes) | MS_RELATIME;
  if ((set & MOUNT_ATTR_NOATIME) != 0) flags = (flags & ~kTimes) | MS_NOATIME;
  if ((set & MOUNT_ATTR_STRICTATIME) != 0) flags = (flags & ~kTimes) | MS_STRICTATIME;
  return flags;
}

class Builder {
 public:
  Builder(const plan::Plan& plan, Dispenser& dispenser, Filesystems& filesystems)
      : plan_(plan), dispenser_(dispenser), filesystems_(filesystems) {}

  Result<Ref<vfs::MountNamespace>> build();

 private:
  Result<> make_root();
  Result<Ref<vfs::Filesystem>> overlaid_root(Ref<vfs::Filesystem> lower);
  Result<> run(const MountStep& step);
  Result<> new_filesystem(const MountStep& step);
  Result<> bind(const MountStep& step);
  Result<Ref<vfs::Filesystem>> make_filesystem(const MountStep& step, const vfs::Path& point,
                                               bool covers);
  Result<> bind_inside(const MountStep& step);
  Result<> overlay_view(const MountStep& step);
  Result<> copy_up(const MountStep& step);
  Result<> cgroup(const MountStep& step);
  Result<> set_attributes(const MountStep& step);
  void change_below(const vfs::Path& top, std::uint64_t set, std::uint64_t clear);
  Result<> readonly_path(const MountStep& step);
  Result<Ref<vfs::Mount>> empty_mask(const MountStep& step, const vfs::Path& place);
  Result<Ref<vfs::Filesystem>> small_filesystem(const MountStep& step, unsigned inodes,
                                                const vfs::Path& place);
  ErrnoOr<vfs::Path> container_null();
  Result<Ref<vfs::Mount>> null_mask(const MountStep& step, const vfs::Path& place);
  Result<> mask(const MountStep& step);
  Result<> symlink(const MountStep& step);
  Result<> directory(const MountStep& step);
  Result<> device_node(const MountStep& step);
  Result<> seal_root();

  ErrnoOr<vfs::Path> find(const std::string& path, bool follow = true);
  ErrnoOr<vfs::Path> existing_target(const MountStep& step);
  ErrnoOr<vfs::Path> target_of(const MountStep& step, bool wants_directory);
  ErrnoOr<> make_way(const std::string& path, bool wants_directory);
  ErrnoOr<> make_mount_point(const std::string& path, bool directory);
  ErrnoOr<> attach(Ref<vfs::Filesystem> filesystem, const MountStep& step, const vfs::Path& point);
  ErrnoOr<vfs::Path> mount_at(const std::string& path);
  bool default_tmp_is_needed(const MountStep& step);
  Result<vfs::Path> point_for(const MountStep& step, bool wants_directory);
  vfs::WalkContext walk() { return caller_.walk(*mounts_); }

  const plan::Plan& plan_;
  Dispenser& dispenser_;
  Filesystems& filesystems_;
  BootCaller caller_;
  Ref<vfs::MountNamespace> mounts_;
  Ref<vfs::Filesystem> empty_mask_;
};

Error failed(Errno error, const MountStep& step, std::string_view what) {
  return Error(error).doing(what, " ", step.target).where(step.origin).step("mounts");
}

Result<Ref<vfs::MountNamespace>> Builder::build() {
  TRY(dispenser_.check());
  TRY(make_root());
  for (const auto& step : plan_.mounts.steps) {
    // The root of a view stands already.
    if (step.op == MountOp::kOverlayView && step.target == "/") continue;
    TRY(run(step));
  }
  TRY(seal_root());
  TRY(dispenser_.check_empty());
  return mounts_;
}

Result<> Builder::make_root() {
  bool exclusive = plan_.sandbox->root_access == plan::FileAccess::kExclusive;
  Fd root = TRY(dispenser_.take("/"));
  auto host = TRY(filesystems_.host(std::move(root), exclusive, "/", dispenser_.taken() - 1));
  Ref<vfs::Filesystem> filesystem = std::move(host);
  if (plan_.sandbox->overlay_root) {
    filesystem = TRY(overlaid_root(std::move(filesystem)));
  }
  auto dentry = vfs::Dentry::make_root(filesystem->root());
  mounts_ = vfs::MountNamespace::create(
      make_ref<vfs::Mount>(std::move(filesystem), std::move(dentry), MS_RELATIME, "none"));
  return {};
}

Result<Ref<vfs::Filesystem>> Builder::overlaid_root(Ref<vfs::Filesystem> lower) {
  const auto& sandbox = *plan_.sandbox;
  if (sandbox.overlay_directory.empty())
    return filesystems_.overlay(std::move(lower), sandbox.overlay_size, "/");
  Fd place = TRY(dispenser_.take(kUpperTarget));
  auto upper = TRY(filesystems_.host(std::move(place), true, kUpperTarget, dispenser_.taken() - 1));
  return filesystems_.overlay(std::move(lower), std::move(upper));
}

Result<> Builder::run(const MountStep& step) {
  switch (step.op) {
    case MountOp::kNewFilesystem: return new_filesystem(step);
    case MountOp::kOverlayView: return overlay_view(step);
    case MountOp::kBind: return bind(step);
    case MountOp::kSetAttributes: return set_attributes(step);
    case MountOp::kMask: return mask(step);
    case MountOp::kReadonlyPath: return readonly_path(step);
    case MountOp::kSymlink: return symlink(step);
    case MountOp::kDirectory: return directory(step);
    case MountOp::kDeviceNode: return device_node(step);
    case MountOp::kCopyUp: return copy_up(step);
    case MountOp::kCgroup: return cgroup(step);
    case MountOp::kPropagation:  // private and slave: nothing outside to hear from
    case MountOp::kConsole:      // the terminal is the guest's own: see terminal_bridge.h
    case MountOp::kUnmount: return {};
  }
  return {};
}

// --- places

ErrnoOr<vfs::Path> Builder::find(const std::string& path, bool follow) {
  vfs::WalkFlags flags;
  flags.follow_last = follow;
  return vfs::walk(walk(), path, flags);
}

// In memory: the host's files are not ours to add to.
ErrnoOr<> Builder::make_mount_point(const std::string& path, bool directory) {
  auto last = TRY(vfs::walk_to_parent(walk(), path));
  return vfs::make_mount_point(last.directory, last.name, directory ? S_IFDIR : S_IFREG);
}

ErrnoOr<vfs::Path> Builder::existing_target(const MountStep& step) {
  vfs::WalkFlags flags;
  flags.follow_last = !step.no_symlink_target;
  if (step.inside_directory_only) flags.resolve = RESOLVE_NO_SYMLINKS;
  auto place = TRY(vfs::walk(walk(), step.target, flags));
  // Inside a procfs only names without links count: see linux/mounts_child.cc.
  bool in_proc = place.mount->filesystem().type() == "proc";
  if (!in_proc || step.phase == plan::Phase::kFinal) return place;
  flags.resolve = RESOLVE_NO_SYMLINKS;
  return vfs::walk(walk(), step.target, flags);
}

ErrnoOr<vfs::Path> Builder::target_of(const MountStep& step, bool wants_directory) {
  auto found = existing_target(step);
  if (found || found.error().value != ENOENT) return found;
  if (step.if_missing == IfMissing::kFail || step.if_missing == IfMissing::kSkip) return found;
  TRY(make_way(step.target, wants_directory));
  return existing_target(step);
}

// What is missing on the way to `path`, what links name included: `real` is the way so far.
ErrnoOr<> Builder::make_way(const std::string& path, bool wants_directory) {
  constexpr int kMaxLinks = 40;  // as path_resolution(7)
  std::string real, rest = path;
  for (int links = 0;;) {
    std::size_t begin = rest.find_first_not_of('/');
    if (begin == std::string::npos) return {};
    std::size_t end = std::min(rest.find('/', begin), rest.size());
    std::string name = rest.substr(begin, end - begin);
    rest.erase(0, end);
    if (name == ".") continue;
    if (name == "..") {
      real.resize(real.empty() ? 0 : real.rfind('/'));
      continue;
    }
    std::string parent = real;
    append(real, "/", name);
    auto part = find(real, false);
    if (!part && part.error().value == ENOENT) {
      bool last = rest.find_first_not_of('/') == std::string::npos;
      TRY(make_mount_point(real, !last || wants_directory));
      part = find(real, false);
    }
    if (!part) return std::unexpected(part.error());
    if (part->inode() == nullptr || part->inode()->type() != S_IFLNK) continue;
    if (++links > kMaxLinks) return std::unexpected(Errno{ELOOP});
    std::string link = TRY(part->inode()->read_link(nullptr));
    real = link.starts_with('/') ? "" : parent;
    rest = cat(link, "/", rest);
  }
}

// An empty Path: the step is to be left out.
Result<vfs::Path> Builder::point_for(const MountStep& step, bool wants_directory) {
  auto point = target_of(step, wants_directory);
  if (point) return *point;
  bool absent = point.error().value == ENOENT || point.error().value == ENOTDIR;
  bool skipped = step.if_missing == IfMissing::kSkip && absent;
  if (skipped || step.optional) return vfs::Path();
  return std::unexpected(failed(point.error(), step, "mount on"));
}

ErrnoOr<> Builder::attach(Ref<vfs::Filesystem> filesystem, const MountStep& step,
                          const vfs::Path& point) {
  std::uint64_t flags = with_attributes(MS_RELATIME, step.attr_set | step.recursive_set,
                                        step.attr_clear | step.recursive_clear);
  auto dentry = vfs::Dentry::make_root(filesystem->root());
  auto mount = make_ref<vfs::Mount>(std::move(filesystem), std::move(dentry), flags,
                                    step.source.empty() ? "none" : step.source);
  return mounts_->attach(std::move(mount), point);
}

// The root of the mount that stands on a path. EINVAL: nothing is mounted there.
ErrnoOr<vfs::Path> Builder::mount_at(const std::string& path) {
  auto place = TRY(find(path));
  if (place.dentry != place.mount->root()) return std::unexpected(Errno{EINVAL});
  return place;
}

// --- steps

// Only where the image has none, or an empty one.
bool Builder::default_tmp_is_needed(const MountStep& step) {
  auto place = find(step.target, false);
  if (!place) return true;
  if (!place->inode() || !place->inode()->is_directory()) return false;
  return directory_is_empty(*place, caller_);
}

// A tmpfs takes the mode of a directory that it covers, not of one that was made for it.
Result<Ref<vfs::Filesystem>> Builder::make_filesystem(const MountStep& step, const vfs::Path& point,
                                                      bool covers) {
  if (!step.mode_of_target || covers) return filesystems_.make(step, point);
  MountStep fresh = step;
  fresh.mode_of_target = false;
  return filesystems_.make(fresh, point);
}

Result<> Builder::new_filesystem(const MountStep& step) {
  if (step.origin == "default /tmp" && !default_tmp_is_needed(step)) return {};
  bool covers = existing_target(step).has_value();
  vfs::Path point = TRY(point_for(step, true));
  if (!point) return {};
  auto filesystem = make_filesystem(step, point, covers);
  if (!filesystem && step.optional) return {};
  if (!filesystem) return std::unexpected(std::move(filesystem).error().where(step.origin));
  auto attached = attach(std::move(*filesystem), step, point);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::bind_inside(const MountStep& step) {
  auto source = find(step.source);
  if (!source) return std::unexpected(failed(source.error(), step, "find the source of"));
  bool is_directory = source->inode() && source->inode()->is_directory();
  vfs::Path point = TRY(point_for(step, is_directory));
  if (!point) return {};
  auto clone = mounts_->clone(*source, step.recursive);
  if (!clone) return std::unexpected(failed(clone.error(), step, "bind on"));
  (*clone)->set_flags(with_attributes((*clone)->flags(), step.attr_set | step.recursive_set,
                                      step.attr_clear | step.recursive_clear));
  auto attached = mounts_->attach(std::move(*clone), point);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::bind(const MountStep& step) {
  if (step.source_in_root) return bind_inside(step);
  Fd source = TRY(dispenser_.take(step.target));
  if (!source) return {};
  bool exclusive = plan_.sandbox->mount_access == plan::FileAccess::kExclusive;
  auto filesystem =
      TRY(filesystems_.host(std::move(source), exclusive, step.target, dispenser_.taken() - 1));
  vfs::Path point = TRY(point_for(step, filesystem->root()->is_directory()));
  if (!point) return {};
  auto attached = attach(std::move(filesystem), step, point);
  if (attached || step.optional) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::overlay_view(const MountStep& step) {
  Fd source = TRY(dispenser_.take(step.target));
  if (!source) return {};
  auto host = TRY(filesystems_.host(std::move(source), true, step.target, dispenser_.taken() - 1));
  bool is_directory = host->root()->is_directory();
  auto filesystem =
      TRY(filesystems_.overlay(std::move(host), plan_.sandbox->overlay_size, step.target));
  vfs::Path point = TRY(point_for(step, is_directory));
  if (!point) return {};
  auto attached = attach(std::move(filesystem), step, point);
  if (attached || step.optional) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::copy_up(const MountStep& step) {
  bool covers = existing_target(step).has_value();
  vfs::Path point = TRY(point_for(step, true));
  if (!point) return {};
  auto filesystem = TRY(make_filesystem(step, point, covers));
  auto copied = copy_tree(point, *mounts_, *filesystem, caller_);
  if (!copied) return std::unexpected(failed(copied.error(), step, "copy what is in"));
  auto attached = attach(std::move(filesystem), step, point);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::cgroup(const MountStep& step) {
  vfs::Path point = TRY(point_for(step, true));
  if (!point) return {};
  auto attached = attach(filesystems_.cgroup(), step, point);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::set_attributes(const MountStep& step) {
  auto place = mount_at(step.target);
  if (!place) {
    if (step.optional) return {};
    return std::unexpected(failed(place.error(), step, "remount"));
  }
  place->mount->set_flags(with_attributes(place->mount->flags(), step.attr_set | step.recursive_set,
                                          step.attr_clear | step.recursive_clear));
  if (!step.attr_recursive && step.recursive_set == 0 && step.recursive_clear == 0) return {};
  std::uint64_t set = step.recursive_set | (step.attr_recursive ? step.attr_set : 0);
  std::uint64_t clear = step.recursive_clear | (step.attr_recursive ? step.attr_clear : 0);
  change_below(*place, set, clear);
  return {};
}

// The mounts below a mount's root.
void Builder::change_below(const vfs::Path& top, std::uint64_t set, std::uint64_t clear) {
  for (const auto& mount : mounts_->mounts()) {
    vfs::Path root{mount, mount->root()};
    if (mount == top.mount || !vfs::is_reachable(root, top)) continue;
    mount->set_flags(with_attributes(mount->flags(), set, clear));
  }
}

Result<> Builder::readonly_path(const MountStep& step) {
  vfs::Path place = TRY(point_for(step, true));
  if (!place) return {};
  auto clone = mounts_->clone(place, true);
  if (!clone) return std::unexpected(failed(clone.error(), step, "make read-only"));
  (*clone)->set_flags((*clone)->flags() | MS_RDONLY);
  vfs::Path top{*clone, (*clone)->root()};
  auto attached = mounts_->attach(std::move(*clone), place);
  if (!attached) return std::unexpected(failed(attached.error(), step, "make read-only"));
  change_below(top, MOUNT_ATTR_RDONLY, 0);
  return {};
}

Result<Ref<vfs::Filesystem>> Builder::small_filesystem(const MountStep& step, unsigned inodes,
                                                       const vfs::Path& place) {
  MountStep cover = step;
  cover.type = "tmpfs";
  cover.options = {{"mode", "755"}, {"size", "4096"}, {"nr_inodes", cat(inodes)}};
  return filesystems_.make(cover, place);
}

// One empty file system for all directories, as on the host.
Result<Ref<vfs::Mount>> Builder::empty_mask(const MountStep& step, const vfs::Path& place) {
  if (!empty_mask_) empty_mask_ = TRY(small_filesystem(step, 1, place));
  return make_ref<vfs::Mount>(empty_mask_, vfs::Dentry::make_root(empty_mask_->root()), kMaskFlags,
                              "tmpfs");
}

// The container's own null device, whose mode and owner are its own to change. What else stands
// there would show itself.
ErrnoOr<vfs::Path> Builder::container_null() {
  vfs::WalkFlags flags;
  flags.resolve = RESOLVE_NO_SYMLINKS;
  auto null = TRY(vfs::walk(walk(), "/dev/null", flags));
  auto attributes = TRY(null.inode()->attributes());
  bool is_null = S_ISCHR(attributes.mode) && attributes.special_device == makedev(1, 3);
  if (!is_null) return std::unexpected(Errno{ENODEV});
  return null;
}

Result<Ref<vfs::Mount>> Builder::null_mask(const MountStep& step, const vfs::Path& place) {
  if (auto null = container_null()) {
    auto clone = mounts_->clone(*null, false);
    if (clone) return std::move(*clone);
  }
  auto filesystem = TRY(small_filesystem(step, 2, place));
  auto root = vfs::Dentry::make_root(filesystem->root());
  vfs::WalkContext inside = walk();
  inside.base = {make_ref<vfs::Mount>(filesystem, std::move(root), std::uint64_t{0}, "tmpfs"),
                 nullptr};
  inside.base.dentry = inside.base.mount->root();
  auto made = vfs::make_node(inside, "null", S_IFCHR | 0666, makedev(1, 3));
  auto null = made ? vfs::walk(inside, "null", {}) : std::unexpected(made.error());
  if (!null) return std::unexpected(failed(null.error(), step, "make a null device to mask"));
  return make_ref<vfs::Mount>(std::move(filesystem), null->dentry, kMaskFlags, "tmpfs");
}

Result<> Builder::mask(const MountStep& step) {
  vfs::Path place = TRY(point_for(step, true));
  if (!place || place.inode() == nullptr) return {};
  Ref<vfs::Mount> cover;
  if (place.inode()->is_directory()) {
    cover = TRY(empty_mask(step, place));
  } else {
    cover = TRY(null_mask(step, place));
  }
  auto attached = mounts_->attach(std::move(cover), place);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "mask"));
}

Result<> Builder::symlink(const MountStep& step) {
  auto made = vfs::make_symlink(walk(), step.source, step.target);
  if (made || made.error().value == EEXIST || step.optional) return {};
  return std::unexpected(failed(made.error(), step, "make the link"));
}

Result<> Builder::directory(const MountStep& step) {
  auto made = vfs::make_directory(walk(), step.target, step.mode);
  if (!made) {
    if (made.error().value == EEXIST || step.optional) return {};
    return std::unexpected(failed(made.error(), step, "make the directory"));
  }
  vfs::AttributeChange change;
  change.mode = step.mode;
  change.uid = step.uid;
  change.gid = step.gid;
  auto place = find(step.target, false);
  if (place) (void)vfs::change(*place, caller_.credentials(), change);
  return {};
}

Result<> Builder::device_node(const MountStep& step) {
  std::uint32_t type = step.device_type == 'p'   ? S_IFIFO
                       : step.device_type == 'b' ? S_IFBLK
                                                 : S_IFCHR;
  std::uint32_t mode = type | (step.mode & 07777);
  auto made = vfs::make_node(walk(), step.target, mode, makedev(step.major, step.minor));
  if (!made) {
    if (made.error().value == EEXIST || step.optional) return {};
    return std::unexpected(failed(made.error(), step, "make the device"));
  }
  vfs::AttributeChange change;
  change.mode = step.mode & 07777;
  if (step.uid) change.uid = *step.uid;
  if (step.gid) change.gid = *step.gid;
  auto place = find(step.target, false);
  if (place) (void)vfs::change(*place, caller_.credentials(), change);
  return {};
}

// The root could not be read-only while mount points were made in it.
Result<> Builder::seal_root() {
  if (!plan_.mounts.root.readonly) return {};
  auto root = mounts_->root();
  root.mount->set_flags(root.mount->flags() | MS_RDONLY);
  return {};
}

}  // namespace

Result<Ref<vfs::MountNamespace>> build_mounts(const plan::Plan& plan, Dispenser& dispenser,
                                              Filesystems& filesystems) {
  return Builder(plan, dispenser, filesystems).build();
}

}  // namespace caisson::sandbox::boot
