#include "sandbox/vfs/mount.h"

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

// Links of mounts with one another. Taken for a few loads and stores at a time; what is dropped is
// dropped after it.
Mutex& tree_lock() {
  static constinit Mutex mutex;
  return mutex;
}

std::uint64_t next_id() {
  static constinit std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

// Inode numbers of namespaces are in a range of their own in Linux too (PROC_DYNAMIC_FIRST).
std::uint64_t next_namespace_id() {
  static constinit std::atomic<std::uint64_t> next{0xF0000000};
  return next.fetch_add(1, std::memory_order_relaxed);
}

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

bool is_directory(const Dentry& dentry) {
  return dentry.inode() != nullptr && dentry.inode()->is_directory();
}

}  // namespace

// --- Mount

Mount::Mount(Ref<Filesystem> filesystem, Ref<Dentry> root, std::uint64_t flags, std::string source)
    : filesystem_(std::move(filesystem)),
      root_(std::move(root)),
      flags_(flags),
      source_(std::move(source)),
      id_(next_id()) {
  filesystem_->names().mounted();
}

Mount::~Mount() {
  children_.clear();
  // Names are kept while mounted: the references to those that are unused go with the last mount.
  if (filesystem_->names().unmounted()) filesystem_->watches().unmounted();
}

Path Mount::mount_point() const {
  Locked lock(tree_lock());
  if (parent_ == nullptr) return {};
  return {Ref<Mount>::share(parent_), point_};
}

bool Mount::is_attached() const {
  Locked lock(tree_lock());
  return owner_ != nullptr;
}

// --- MountNamespace: the tree, under its lock

std::vector<Mount*> MountNamespace::tree_of(Mount& top) {
  std::vector<Mount*> found, next{&top};
  while (!next.empty()) {
    Mount* mount = next.back();
    next.pop_back();
    found.push_back(mount);
    for (auto child = mount->children_.rbegin(); child != mount->children_.rend(); ++child)
      next.push_back(child->get());
  }
  return found;
}

void MountNamespace::connect(Mount& mount, Mount& parent, const Ref<Dentry>& point) {
  mount.parent_ = &parent;
  mount.point_ = point;
  parent.children_.push_back(Ref<Mount>::share(&mount));
  point->mounts_.fetch_add(1, std::memory_order_acq_rel);
}

// The reference that the parent had.
Ref<Mount> MountNamespace::disconnect(Mount& mount) {
  auto& siblings = mount.parent_->children_;
  auto at = std::find(siblings.rbegin(), siblings.rend(), Ref<Mount>::share(&mount));
  Ref<Mount> held = std::move(*at);
  siblings.erase(std::next(at).base());
  mounted_.erase({mount.parent_, mount.point_.get()});
  mount.point_->mounts_.fetch_sub(1, std::memory_order_acq_rel);
  mount.parent_ = nullptr;
  mount.point_ = nullptr;
  return held;
}

void MountNamespace::own(Mount& top) {
  for (Mount* mount : tree_of(top)) {
    mount->owner_ = this;
    if (mount->parent_ != nullptr) mounted_[{mount->parent_, mount->point_.get()}] = mount;
  }
}

void MountNamespace::disown(Mount& top) {
  for (Mount* mount : tree_of(top)) {
    mount->owner_ = nullptr;
    if (mount->parent_ != nullptr) mounted_.erase({mount->parent_, mount->point_.get()});
  }
}

Path MountNamespace::down(Path path) const {
  while (path.dentry->is_mount_point()) {
    auto found = mounted_.find({path.mount.get(), path.dentry.get()});
    if (found == mounted_.end()) break;
    path = {Ref<Mount>::share(found->second), found->second->root_};
  }
  return path;
}

// Whether `path` lies in `ancestor` or in what is mounted below it.
bool MountNamespace::reaches(const Mount& ancestor, const Path& path) const {
  for (const Mount* mount = path.mount.get(); mount != nullptr; mount = mount->parent_)
    if (mount == &ancestor) return true;
  return false;
}

Ref<Mount> MountNamespace::copy_tree(Mount& top, const Ref<Dentry>& root, bool recursive) {
  auto copy_one = [](Mount& mount, const Ref<Dentry>& shown) {
    auto made = make_ref<Mount>(mount.filesystem_, shown, mount.flags(), mount.source_);
    made->copied_from_ = mount.id_;
    return made;
  };
  Ref<Mount> copy = copy_one(top, root);
  if (!recursive) return copy;
  std::vector<std::pair<Mount*, Mount*>> next{{&top, copy.get()}};
  while (!next.empty()) {
    auto [from, to] = next.back();
    next.pop_back();
    for (const Ref<Mount>& child : from->children_) {
      if (from == &top && !child->point_->is_below(*root)) continue;
      Ref<Mount> made = copy_one(*child, child->root_);
      connect(*made, *to, child->point_);
      next.emplace_back(child.get(), made.get());
    }
  }
  return copy;
}

// --- MountNamespace

MountNamespace::MountNamespace() : id_(next_namespace_id()) {}

MountNamespace::~MountNamespace() {
  std::vector<Ref<Mount>> dropped;
  Locked lock(tree_lock());
  std::vector<Mount*> all = tree_of(*root_);
  mounted_.clear();
  for (Mount* mount : all) {
    mount->owner_ = nullptr;
    if (mount->parent_ != nullptr) dropped.push_back(disconnect(*mount));
  }
  lock.unlock();
}

Ref<MountNamespace> MountNamespace::create(Ref<Mount> root) {
  auto made = Ref<MountNamespace>::adopt(new MountNamespace);
  Locked lock(tree_lock());
  made->root_ = std::move(root);
  made->own(*made->root_);
  return made;
}

Path MountNamespace::root() const {
  Locked lock(tree_lock());
  return down({root_, root_->root_});
}

ErrnoOr<> MountNamespace::attach(Ref<Mount> mount, const Path& point) {
  Path target;  // dropped after the lock
  Locked lock(tree_lock());
  target = down(point);
  if (target.mount->owner_ != this || mount->owner_ != nullptr || mount->parent_ != nullptr)
    return failed(EINVAL);
  if (target.dentry->is_removed()) return failed(ENOENT);
  if (is_directory(*target.dentry) != is_directory(*mount->root_)) return failed(ENOTDIR);
  if (mounted_.size() + tree_of(*mount).size() >= kMostMounts) return failed(ENOSPC);
  connect(*mount, *target.mount, target.dentry);
  own(*mount);
  return {};
}

ErrnoOr<> MountNamespace::check_detach(const Path& path, int flags) const {
  if (path.dentry != path.mount->root_ || path.mount->owner_ != this) return failed(EINVAL);
  if ((flags & MNT_EXPIRE) != 0 && (flags & (MNT_FORCE | MNT_DETACH)) != 0) return failed(EINVAL);
  // The root of all has nothing that it could leave to.
  if (path.mount->parent_ == nullptr) return failed((flags & MNT_DETACH) != 0 ? EINVAL : EBUSY);
  if ((flags & MNT_DETACH) != 0) return {};
  // One reference is its parent's, one is that of `path`.
  if (!path.mount->children_.empty() || path.mount->reference_count() > 2) return failed(EBUSY);
  if ((flags & MNT_EXPIRE) != 0 && !std::exchange(path.mount->expiring_, true))
    return failed(EAGAIN);
  return {};
}

ErrnoOr<> MountNamespace::detach(const Path& path, int flags) {
  std::vector<Ref<Mount>> dropped;
  Locked lock(tree_lock());
  TRY(check_detach(path, flags));
  std::vector<Mount*> all = tree_of(*path.mount);
  disown(*path.mount);
  for (Mount* mount : all) dropped.push_back(disconnect(*mount));
  lock.unlock();
  return {};
}

ErrnoOr<> MountNamespace::move(const Path& from, const Path& to) {
  Ref<Mount> held;
  Path target;
  Locked lock(tree_lock());
  target = down(to);
  Mount& mount = *from.mount;
  if (from.dentry != mount.root_ || mount.owner_ != this || mount.parent_ == nullptr ||
      target.mount->owner_ != this)
    return failed(EINVAL);
  if (is_directory(*target.dentry) != is_directory(*mount.root_)) return failed(EINVAL);
  if (reaches(mount, target)) return failed(ELOOP);
  held = disconnect(mount);
  connect(mount, *target.mount, target.dentry);
  own(mount);
  return {};
}

ErrnoOr<Ref<Mount>> MountNamespace::clone(const Path& source, bool recursive) {
  Locked lock(tree_lock());
  if (source.mount->owner_ != this) return failed(EINVAL);
  return copy_tree(*source.mount, source.dentry, recursive);
}

ErrnoOr<> MountNamespace::check_pivot(const Path& new_root, const Path& put_old,
                                      const Mount& root) const {
  if (new_root.mount->owner_ != this || put_old.mount->owner_ != this) return failed(EINVAL);
  if (!is_directory(*new_root.dentry) || !is_directory(*put_old.dentry)) return failed(ENOTDIR);
  if (new_root.mount.get() == &root || put_old.mount.get() == &root) return failed(EBUSY);
  if (new_root.dentry != new_root.mount->root_ || new_root.mount->parent_ == nullptr)
    return failed(EINVAL);
  if (!reaches(*new_root.mount, put_old)) return failed(EINVAL);
  return {};
}

ErrnoOr<> MountNamespace::pivot(const Path& new_root, const Path& put_old) {
  Ref<Mount> old, made;
  Path target;
  Locked lock(tree_lock());
  old = down({root_, root_->root_}).mount;
  target = down(put_old);
  TRY(check_pivot(new_root, target, *old));
  made = disconnect(*new_root.mount);
  if (old->parent_ == nullptr) {
    root_ = made;
  } else {
    Ref<Mount> parent = Ref<Mount>::share(old->parent_);
    Ref<Dentry> point = old->point_;
    (void)disconnect(*old);
    connect(*made, *parent, point);
    own(*made);
  }
  connect(*old, *target.mount, target.dentry);
  own(*old);
  return {};
}

Ref<MountNamespace> MountNamespace::copy() {
  auto made = Ref<MountNamespace>::adopt(new MountNamespace);
  Locked lock(tree_lock());
  made->root_ = copy_tree(*root_, root_->root_, true);
  made->own(*made->root_);
  return made;
}

Path MountNamespace::translate(const MountNamespace& from, const Path& path) const {
  Locked lock(tree_lock());
  if (!path.mount || path.mount->owner_ != &from) return path;
  for (Mount* mount : tree_of(*root_))
    if (mount->copied_from_ == path.mount->id_) return {Ref<Mount>::share(mount), path.dentry};
  return path;
}

Path MountNamespace::cross_down(Path path) const {
  if (!path.dentry->is_mount_point()) return path;
  Locked lock(tree_lock());
  return down(std::move(path));
}

Path MountNamespace::cross_up(Path path, const Path& root) const {
  Locked lock(tree_lock());
  while (path.dentry == path.mount->root_ && path.mount->parent_ != nullptr && path != root)
    path = Path{Ref<Mount>::share(path.mount->parent_), path.mount->point_};
  return path;
}

std::vector<Ref<Mount>> MountNamespace::mounts() const {
  Locked lock(tree_lock());
  std::vector<Ref<Mount>> all;
  for (Mount* mount : tree_of(*root_)) all.push_back(Ref<Mount>::share(mount));
  return all;
}

}  // namespace caisson::sandbox::vfs
