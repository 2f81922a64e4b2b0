// DentryCache: what changes the tree of dentries of one file system, and keeps those that nobody
// uses up to a limit, the least recently used going first.
//
// Locks, in the order in which they are taken (docs/sandbox.md, "Locks of the VFS"):
//   rename_lock()   one rename between directories at a time, so that no ancestor moves meanwhile
//   Dentry::lock()  a directory; ancestors before descendants
//   (locks of the file system's own inodes)
//   tree lock       names and parents of dentries
//   children locks  a directory's table; two of them only under the tree lock
//   unused lock     the list of unused dentries
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/dentry.h"

namespace caisson::sandbox::vfs {

class DentryCache {
 public:
  static constexpr std::size_t kLimit = 16384;
  explicit DentryCache(std::size_t limit = kLimit) : limit_(limit) {}
  DentryCache(const DentryCache&) = delete;
  DentryCache& operator=(const DentryCache&) = delete;
  ~DentryCache() = default;

  // What is known of a name; null: nothing. A dentry without an inode: it is absent.
  static Ref<Dentry> find(Dentry& directory, std::string_view name);
  // The same, but asks the file system for what is not known, under the directory's lock.
  static ErrnoOr<Ref<Dentry>> lookup(const Ref<Dentry>& directory, std::string_view name);
  // The same for those who hold that lock. ENOENT is a dentry without an inode.
  static ErrnoOr<Ref<Dentry>> lookup_locked(const Ref<Dentry>& directory, std::string_view name);

  // --- under the locks of the directories
  // A name was made; what was known of it is forgotten.
  static Ref<Dentry> add(const Ref<Dentry>& directory, std::string_view name, Ref<Inode> inode);
  // An object that has no name in the directory, but would have had it there (O_TMPFILE).
  static Ref<Dentry> make_unnamed(const Ref<Dentry>& directory, std::string name, Ref<Inode> inode);
  // A name was removed.
  static void remove(Dentry& dentry);
  // It stands for something else now, or for nothing: it is asked for again.
  static void forget(Dentry& dentry);
  // `replaced` (may be null) goes, or with `exchange` takes the place of `moved`.
  void move(Dentry& moved, const Ref<Dentry>& directory, std::string_view name, Dentry* replaced,
            bool exchange);

  Mutex& rename_lock() { return rename_mutex_; }

  // --- unused dentries are kept while the file system is mounted.
  void mounted();
  bool unmounted();  // true: that was the last mount
  // Forgets the unused ones, as far as nothing below them is used.
  void drop_unused();
  std::size_t unused() const;
  void set_limit(std::size_t limit);

 private:
  friend class Dentry;
  bool keep(Dentry& dentry);
  void evict_to(std::size_t limit);
  Dentry* take_oldest();
  void push_newest(Dentry& dentry);
  void unlink_unused(Dentry& dentry);
  static void release(Dentry& dentry);

  Mutex rename_mutex_;
  mutable Mutex tree_mutex_;
  mutable Mutex unused_mutex_;
  Dentry *oldest_ = nullptr, *newest_ = nullptr;
  std::size_t count_ = 0;
  std::size_t limit_;
  std::size_t mounts_ = 0;
  bool evicting_ = false;  // one thread does it for all, down to:
  std::size_t evict_to_ = 0;
};

}  // namespace caisson::sandbox::vfs
