#include "sandbox/boot/mounts.h"

#include <fcntl.h>
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
  Result<> run(const MountStep& step);
  Result<> new_filesystem(const MountStep& step);
  Result<> bind(const MountStep& step);
  Result<> bind_inside(const MountStep& step);
  Result<> overlay_view(const MountStep& step);
  Result<> copy_up(const MountStep& step);
  Result<> set_attributes(const MountStep& step);
  Result<> readonly_path(const MountStep& step);
  Result<> mask(const MountStep& step);
  Result<> symlink(const MountStep& step);
  Result<> directory(const MountStep& step);
  Result<> device_node(const MountStep& step);
  Result<> seal_root();

  ErrnoOr<vfs::Path> find(const std::string& path, bool follow = true);
  ErrnoOr<vfs::Path> target_of(const MountStep& step, bool wants_directory);
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
    filesystem = TRY(filesystems_.overlay(std::move(filesystem), plan_.sandbox->overlay_size));
  }
  auto dentry = vfs::Dentry::make_root(filesystem->root());
  mounts_ = vfs::MountNamespace::create(
      make_ref<vfs::Mount>(std::move(filesystem), std::move(dentry), MS_RELATIME, "none"));
  return {};
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
    case MountOp::kPropagation:  // private and slave: nothing outside to hear from
    case MountOp::kCgroup:       // sysfs has the empty directory
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

ErrnoOr<vfs::Path> Builder::target_of(const MountStep& step, bool wants_directory) {
  auto found = find(step.target, !step.no_symlink_target);
  if (found || found.error().value != ENOENT) return found;
  if (step.if_missing == IfMissing::kFail || step.if_missing == IfMissing::kSkip) return found;
  std::string path;
  auto parts = split(step.target, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    append(path, "/", parts[i]);
    if (find(path)) continue;
    bool last = i + 1 == parts.size();
    TRY(make_mount_point(path, !last || wants_directory));
  }
  return find(step.target, !step.no_symlink_target);
}

// An empty Path: the step is to be left out.
Result<vfs::Path> Builder::point_for(const MountStep& step, bool wants_directory) {
  auto point = target_of(step, wants_directory);
  if (point) return *point;
  bool skipped = step.if_missing == IfMissing::kSkip && point.error().value == ENOENT;
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

Result<> Builder::new_filesystem(const MountStep& step) {
  if (step.origin == "default /tmp" && !default_tmp_is_needed(step)) return {};
  vfs::Path point = TRY(point_for(step, true));
  if (!point) return {};
  auto filesystem = filesystems_.make(step, point);
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
  auto filesystem = TRY(filesystems_.overlay(std::move(host), plan_.sandbox->overlay_size));
  vfs::Path point = TRY(point_for(step, is_directory));
  if (!point) return {};
  auto attached = attach(std::move(filesystem), step, point);
  if (attached || step.optional) return {};
  return std::unexpected(failed(attached.error(), step, "mount on"));
}

Result<> Builder::copy_up(const MountStep& step) {
  vfs::Path point = TRY(point_for(step, true));
  if (!point) return {};
  auto filesystem = TRY(filesystems_.make(step, point));
  auto copied = copy_tree(point, *filesystem, caller_);
  if (!copied) return std::unexpected(failed(copied.error(), step, "copy what is in"));
  auto attached = attach(std::move(filesystem), step, point);
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
  for (const auto& mount : mounts_->mounts()) {
    vfs::Path root{mount, mount->root()};
    if (mount == place->mount || !vfs::is_reachable(root, *place)) continue;
    mount->set_flags(with_attributes(mount->flags(), set, clear));
  }
  return {};
}

Result<> Builder::readonly_path(const MountStep& step) {
  auto place = find(step.target, false);
  if (!place) return {};
  auto clone = mounts_->clone(*place, true);
  if (!clone) return std::unexpected(failed(clone.error(), step, "make read-only"));
  (*clone)->set_flags((*clone)->flags() | MS_RDONLY);
  auto attached = mounts_->attach(std::move(*clone), *place);
  if (attached) return {};
  return std::unexpected(failed(attached.error(), step, "make read-only"));
}

Result<> Builder::mask(const MountStep& step) {
  auto place = find(step.target, false);
  if (!place || place->inode() == nullptr) return {};
  if (place->inode()->is_directory()) {
    MountStep cover = step;
    cover.op = MountOp::kNewFilesystem;
    cover.type = cover.source = "tmpfs";
    cover.attr_set = MOUNT_ATTR_RDONLY;
    auto filesystem = TRY(filesystems_.make(cover, *place));
    auto attached = attach(std::move(filesystem), cover, *place);
    if (attached) return {};
    return std::unexpected(failed(attached.error(), step, "mask"));
  }
  auto null = find("/dev/null");
  if (!null) return std::unexpected(failed(null.error(), step, "mask"));
  auto clone = mounts_->clone(*null, false);
  ErrnoOr<> attached = clone ? mounts_->attach(std::move(*clone), *place)
                             : ErrnoOr<>(std::unexpected(clone.error()));
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
