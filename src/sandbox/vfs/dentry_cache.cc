#include "sandbox/vfs/dentry_cache.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace caisson::sandbox::vfs {

Ref<Dentry> DentryCache::find(Dentry& directory, std::string_view name) {
  std::uint32_t hash = ChildTable::hash_of(name);
  for (;;) {
    Locked lock(directory.children_mutex_);
    Dentry* child = directory.children_.find(name, hash);
    if (child == nullptr) return nullptr;
    if (child->try_add_ref()) {
      // Looked at first, so that a name in use by many stays a line that many may read.
      if (!child->used_.load(std::memory_order_relaxed))
        child->used_.store(true, std::memory_order_relaxed);
      return Ref<Dentry>::adopt(child);
    }
    // Its last user is just about to put it among the unused or to take it out of the table.
  }
}

ErrnoOr<Ref<Dentry>> DentryCache::lookup(const Ref<Dentry>& directory, std::string_view name) {
  if (directory->inode()->caches_names())
    if (Ref<Dentry> known = find(*directory, name)) return known;
  Locked lock(directory->lock());
  return lookup_locked(directory, name);
}

ErrnoOr<Ref<Dentry>> DentryCache::lookup_locked(const Ref<Dentry>& directory,
                                                std::string_view name) {
  Inode& inode = *directory->inode();
  Ref<Dentry> known = find(*directory, name);
  // What is mounted on stays, even where names are asked for each time.
  if (known && (inode.caches_names() || known->is_mount_point())) return known;
  if (directory->is_removed()) return std::unexpected(Errno{ENOENT});
  ErrnoOr<Ref<Inode>> found = inode.lookup(name);
  if (!found && found.error().value != ENOENT) return std::unexpected(found.error());
  if (known) {
    if (found && known->inode() == found->get()) return known;
    forget(*known);
  }
  if (found) return add(directory, name, *std::move(found));
  auto absent = Ref<Dentry>::adopt(new Dentry(directory, name, nullptr));
  if (inode.caches_names() && inode.caches_absent_names() && !inode.filesystem().revalidates()) {
    Locked lock(directory->children_mutex_);
    directory->children_.add(*absent);
  } else {
    absent->removed_.store(true, std::memory_order_release);
  }
  return absent;
}

Ref<Dentry> DentryCache::add(const Ref<Dentry>& directory, std::string_view name,
                             Ref<Inode> inode) {
  auto made = Ref<Dentry>::adopt(new Dentry(directory, name, std::move(inode)));
  if (Ref<Dentry> before = find(*directory, name)) forget(*before);
  Locked lock(directory->children_mutex_);
  directory->children_.add(*made);
  return made;
}

Ref<Dentry> DentryCache::make_unnamed(const Ref<Dentry>& directory, std::string name,
                                      Ref<Inode> inode) {
  auto made = Ref<Dentry>::adopt(new Dentry(directory, name, std::move(inode)));
  made->removed_.store(true, std::memory_order_release);
  return made;
}

void DentryCache::forget(Dentry& dentry) { remove(dentry); }

void DentryCache::remove(Dentry& dentry) {
  dentry.removed_.store(true, std::memory_order_release);
  {
    Locked lock(dentry.parent_->children_mutex_);
    if (dentry.listed_) dentry.parent_->children_.remove(dentry);
  }
  // The reference among the unused would keep an object alive that nobody can reach.
  dentry.cache().unlink_unused(dentry);
}

void DentryCache::move(Dentry& moved, const Ref<Dentry>& directory, std::string_view name,
                       Dentry* replaced, bool exchange) {
  Ref<Dentry> from = moved.parent_;
  // What is known of the new name, if it is not `replaced` itself: that it is absent.
  if (Ref<Dentry> before = find(*directory, name); before && before.get() != replaced)
    forget(*before);
  if (replaced != nullptr && !exchange) remove(*replaced);
  Locked tree(tree_mutex_);
  auto leave = [](Dentry& dentry) {
    Locked lock(dentry.parent_->children_mutex_);
    if (dentry.listed_) dentry.parent_->children_.remove(dentry);
  };
  auto enter = [](Dentry& dentry, const Ref<Dentry>& parent, std::string new_name) {
    Locked lock(parent->children_mutex_);
    dentry.name_ = std::move(new_name);
    dentry.hash_ = ChildTable::hash_of(dentry.name_);
    parent->children_.add(dentry);
    dentry.parent_ = parent;
  };
  std::string old_name = moved.name_;
  leave(moved);
  if (replaced != nullptr && exchange) {
    leave(*replaced);
    enter(*replaced, from, std::move(old_name));
  }
  enter(moved, directory, std::string(name));
}

// --- unused dentries

void DentryCache::mounted() {
  Locked lock(unused_mutex_);
  ++mounts_;
}

bool DentryCache::unmounted() {
  {
    Locked lock(unused_mutex_);
    if (--mounts_ != 0) return false;
  }
  drop_unused();
  return true;
}

void DentryCache::set_limit(std::size_t limit) {
  {
    Locked lock(unused_mutex_);
    limit_ = limit;
  }
  evict_to(limit);
}

void DentryCache::drop_unused() { evict_to(0); }

std::size_t DentryCache::unused() const {
  Locked lock(unused_mutex_);
  return count_;
}

void DentryCache::push_newest(Dentry& dentry) {
  dentry.older_ = newest_;
  dentry.newer_ = nullptr;
  (newest_ != nullptr ? newest_->newer_ : oldest_) = &dentry;
  newest_ = &dentry;
  ++count_;
}

// Called with the last reference dropped: the list's own becomes the first one again.
bool DentryCache::keep(Dentry& dentry) {
  std::size_t limit = 0;
  Ref<Filesystem> alive;  // others may take the dentry out again, and with it the last of all
  {
    Locked lock(unused_mutex_);
    if (mounts_ == 0) return false;
    dentry.add_ref();
    push_newest(dentry);
    if (count_ <= limit_) return true;
    limit = limit_;
    alive = Ref<Filesystem>::share(&dentry.parent_->inode_->filesystem());
  }
  evict_to(limit);
  return true;
}

// The oldest with the list's reference, as long as there are too many.
Dentry* DentryCache::take_oldest() {
  Locked lock(unused_mutex_);
  std::size_t limit = evict_to_;
  // Found since it came here: once more to the other end. Each is spared once, so this ends.
  while (count_ > limit && limit != 0 &&
         oldest_->used_.exchange(false, std::memory_order_relaxed) && oldest_ != newest_) {
    Dentry& spared = *oldest_;
    oldest_ = spared.newer_;
    oldest_->older_ = nullptr;
    --count_;
    push_newest(spared);
  }
  if (count_ <= limit) {
    evicting_ = false;
    return nullptr;
  }
  Dentry* taken = oldest_;
  oldest_ = taken->newer_;
  (oldest_ != nullptr ? oldest_->older_ : newest_) = nullptr;
  taken->newer_ = taken->older_ = nullptr;
  --count_;
  return taken;
}

void DentryCache::evict_to(std::size_t limit) {
  {
    // What is evicted makes its parent unused: the one who evicts goes on with that.
    Locked lock(unused_mutex_);
    evict_to_ = evicting_ ? std::min(evict_to_, limit) : limit;
    if (std::exchange(evicting_, true)) return;
  }
  while (Dentry* dentry = take_oldest()) release(*dentry);
}

// Gives the list's reference back, and takes the dentry out of the tree if nobody else has one.
void DentryCache::release(Dentry& dentry) {
  Ref<Dentry> held = Ref<Dentry>::adopt(&dentry);
  Ref<Dentry> parent = dentry.parent();
  Locked lock(parent->children_mutex_);
  if (dentry.reference_count() != 1 || !dentry.listed_) return;
  parent->children_.remove(dentry);
  dentry.removed_.store(true, std::memory_order_release);
}

void DentryCache::unlink_unused(Dentry& dentry) {
  {
    Locked lock(unused_mutex_);
    bool kept = dentry.older_ != nullptr || dentry.newer_ != nullptr || oldest_ == &dentry;
    if (!kept) return;
    (dentry.older_ != nullptr ? dentry.older_->newer_ : oldest_) = dentry.newer_;
    (dentry.newer_ != nullptr ? dentry.newer_->older_ : newest_) = dentry.older_;
    dentry.newer_ = dentry.older_ = nullptr;
    --count_;
  }
  dentry.drop_ref();
}

}  // namespace caisson::sandbox::vfs
