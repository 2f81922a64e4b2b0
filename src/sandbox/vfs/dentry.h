// Dentries: the cache of names. A dentry is one name in one directory of one file system; it holds
// its parent, the parent only lists it. Unused ones are kept for a while (dentry_cache.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::vfs {

class Dentry;

// The names below a directory that are known: a hash table linked through the dentries themselves.
class ChildTable {
 public:
  Dentry* find(std::string_view name, std::uint32_t hash) const;
  void add(Dentry& child);
  void remove(Dentry& child);
  static std::uint32_t hash_of(std::string_view name);

 private:
  void grow();
  Dentry*& bucket(std::uint32_t hash) const { return buckets_[hash & (bucket_count_ - 1)]; }
  std::unique_ptr<Dentry*[]> buckets_;
  std::uint32_t bucket_count_ = 0;  // a power of two, or none yet
  std::uint32_t size_ = 0;
};

class Dentry : public RefCounted {
 public:
  // The root of a file system, or an object without a name (then `name` is for /proc only). Keeps
  // the file system alive, and so do all dentries below it.
  static Ref<Dentry> make_root(Ref<Inode> inode, std::string name = "/");

  Ref<Dentry> parent() const;  // itself for a root
  std::string name() const;
  Inode* inode() const { return inode_.get(); }  // null: the name is known to be absent
  bool is_root() const { return !has_parent_; }
  // The name was removed while the object is still in use: " (deleted)" in /proc.
  bool is_removed() const { return removed_.load(std::memory_order_acquire); }
  // Whether some mount of some namespace covers it.
  bool is_mount_point() const { return mounts_.load(std::memory_order_acquire) != 0; }
  bool is_below(const Dentry& ancestor) const;  // or the same

  // The lock of a directory: its names are looked up for the first time, made and removed under it.
  Mutex& lock() { return mutex_; }

  state::Tag save_tag() const { return state::Tag::kDentry; }
  Result<> save(state::Writer& to);
  static Result<Ref<Dentry>> restore(state::Reader& from);

 private:
  friend class ChildTable;
  friend class DentryCache;
  friend class Mount;
  friend class MountNamespace;
  Dentry(Ref<Dentry> parent, std::string_view name, Ref<Inode> inode);
  ~Dentry() override;
  void last_reference_dropped() override;
  bool ends_itself();
  DentryCache& cache() const;

  Mutex mutex_;
  mutable Mutex children_mutex_;
  const bool has_parent_;
  bool listed_ = false;  // in the parent's table: under the parent's children_mutex_
  std::atomic<bool> removed_{false};
  std::atomic<bool> used_{false};  // found since the cache last looked at it
  std::uint32_t hash_;
  std::atomic<std::uint32_t> mounts_{0};
  Ref<Dentry> parent_;                // changed by renames, under the cache's tree lock
  std::string name_;                  // and both parents' children_mutex_
  const Ref<Inode> inode_;            // never changes: a name that is made gets a new dentry
  Ref<Filesystem> filesystem_;        // of a root
  ChildTable children_;               // under children_mutex_
  Dentry* next_in_bucket_ = nullptr;  // under the parent's children_mutex_
  Dentry *older_ = nullptr, *newer_ = nullptr;  // among the unused: under the cache's lock
};

}  // namespace caisson::sandbox::vfs
