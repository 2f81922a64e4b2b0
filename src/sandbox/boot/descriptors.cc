#include "sandbox/boot/descriptors.h"

#include <sys/mount.h>

#include <utility>

#include "sys/file.h"
#include "sys/mount.h"

namespace caisson::sandbox::boot {

using plan::MountOp;

bool shows_host(const plan::MountStep& step) {
  bool binds = step.op == MountOp::kBind && !step.source_in_root;
  return binds || step.op == MountOp::kOverlayView;
}

namespace {

void add_upper(const plan::SandboxPlan& sandbox, std::vector<HostPlace>& places) {
  if (!sandbox.overlay_root || sandbox.overlay_directory.empty()) return;
  places.push_back({.path = sandbox.overlay_directory,
                    .target = kUpperTarget,
                    .origin = "annotations.org.caisson.overlay",
                    .is_root = false,
                    .optional = false,
                    .writable = true,
                    .recursive = false});
}

}  // namespace

std::vector<HostPlace> host_places(const plan::Plan& plan) {
  std::vector<HostPlace> places;
  const auto& root = plan.mounts.root;
  bool overlaid = plan.sandbox && plan.sandbox->overlay_root;
  if (!root.machine_view) {
    places.push_back({.path = root.path,
                      .target = "/",
                      .origin = "root.path",
                      .is_root = true,
                      .optional = false,
                      .writable = !root.readonly && !overlaid,
                      .recursive = false});
    if (plan.sandbox) add_upper(*plan.sandbox, places);
  }
  for (const auto& step : plan.mounts.steps) {
    if (!shows_host(step)) continue;
    bool view = step.op == MountOp::kOverlayView;
    bool readonly = view || (step.attr_set & MOUNT_ATTR_RDONLY) != 0;
    places.push_back({.path = step.source,
                      .target = step.target,
                      .origin = step.origin,
                      .is_root = step.target == "/",
                      .optional = step.optional,
                      .writable = !readonly,
                      .recursive = !view && step.recursive});
    if (places.back().is_root && view && plan.sandbox) add_upper(*plan.sandbox, places);
  }
  return places;
}

namespace {

// A directory as a mount of its own, so that nothing else that is mounted below it is in reach;
// without the right to make one, as it stands. A file by a descriptor that can be read from, as a
// file cannot be opened again by its descriptor alone.
ErrnoOr<Fd> open_place(const HostPlace& place) {
  auto info = TRY(sys::fstatat(sys::kCwd, place.path.c_str()));
  if (!S_ISDIR(info.st_mode)) {
    int access = place.writable ? O_RDWR : O_RDONLY;
    return sys::openat(sys::kCwd, place.path.c_str(), access | O_NONBLOCK | O_NOCTTY);
  }
  unsigned flags = OPEN_TREE_CLONE | (place.recursive ? AT_RECURSIVE : 0U);
  auto tree = sys::open_tree(sys::kCwd, place.path.c_str(), flags);
  if (tree) return tree;
  return sys::openat(sys::kCwd, place.path.c_str(), O_PATH);
}

}  // namespace

Result<std::vector<Fd>> open_host_places(const std::vector<HostPlace>& places) {
  std::vector<Fd> opened;
  opened.reserve(places.size());
  for (const auto& place : places) {
    auto fd = open_place(place);
    if (fd) {
      opened.push_back(std::move(*fd));
      continue;
    }
    if (place.optional) {
      opened.emplace_back();
      continue;
    }
    return std::unexpected(
        Error(fd.error())
            .doing(place.is_root ? "open the root file system " : "open mount source ", place.path)
            .where(place.origin)
            .cure("create the source on the host or correct the path")
            .step("mounts")
            .code("mount.source"));
  }
  return opened;
}

Dispenser::Dispenser(std::vector<Fd> descriptors, std::vector<HostPlace> places)
    : descriptors_(std::move(descriptors)), places_(std::move(places)) {}

Result<> Dispenser::check() const {
  if (descriptors_.size() == places_.size()) return {};
  std::string what = descriptors_.size() < places_.size()
                         ? cat("none is left for ", places_[descriptors_.size()].target)
                         : cat(descriptors_.size() - places_.size(), " are left over");
  return std::unexpected(Error::invalid(cat(descriptors_.size(), " descriptors for ",
                                            places_.size(), " mounts: ", what))
                             .doing("take the descriptors of the mounts"));
}

Result<Fd> Dispenser::take(const std::string& target) {
  if (next_ >= places_.size() || next_ >= descriptors_.size()) {
    return std::unexpected(Error::invalid("no descriptor is left").doing("mount on ", target));
  }
  if (places_[next_].target != target) {
    return std::unexpected(Error::invalid(cat("the next descriptor is for ", places_[next_].target))
                               .doing("mount on ", target));
  }
  return std::move(descriptors_[next_++]);
}

Result<> Dispenser::check_empty() const {
  if (next_ == places_.size()) return {};
  std::string names;
  for (std::size_t i = next_; i < places_.size(); ++i)
    append(names, names.empty() ? "" : ", ", places_[i].target);
  return std::unexpected(Error::invalid(cat("descriptors are left over: ", names))
                             .doing("take the descriptors of the mounts"));
}

}  // namespace caisson::sandbox::boot
