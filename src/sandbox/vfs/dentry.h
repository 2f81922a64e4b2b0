// Dentries: the cache of names. A dentry is one name in one directory of one file system; it holds
// its parent, the parent only lists it. Unused ones are kept for a while (least recently used).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::vfs {

class Mount;

class Dentry : public RefCounted {
 public:
  // The root of a file system, or an object without a name (then `name` is for /proc only).
  static Ref<Dentry> make_root(Ref<Inode> inode, std::string name = "/");

  Ref<Dentry> parent() const;  // itself for a root
  std::string name() const;
  Inode* inode() const;  // null: the name is known to be absent
  bool is_root() const;
  // The name was removed while the object is still in use: " (deleted)" in /proc.
  bool is_removed() const;
  // Whether some mount of some namespace covers it.
  bool is_mount_point() const { return mounts_.load(std::memory_order_acquire) != 0; }
  bool is_below(const Dentry& ancestor) const;  // or the same

  // The lock of a directory: its names are looked up for the first time, made and removed under it.
  Mutex& lock() { return mutex_; }

 private:
  friend class DentryCache;
  friend class Mount;
  friend class MountNamespace;
  Dentry(Ref<Dentry> parent, std::string name, Ref<Inode> inode);
  ~Dentry() override;
  void last_reference_dropped() override;

  Mutex mutex_;
  Ref<Dentry> parent_;
  std::string name_;
  Ref<Inode> inode_;
  std::map<std::string, Dentry*, std::less<>> children_;
  std::atomic<std::uint32_t> mounts_{0};
  bool removed_ = false;
};

}  // namespace caisson::sandbox::vfs
