// Mounts: file systems put together to the tree that a mount namespace shows.
#pragma once

#include <sys/mount.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/dentry.h"
#include "sandbox/vfs/user_namespace.h"

namespace caisson::sandbox::vfs {

class Mount;
class MountNamespace;

// MS_NOSYMFOLLOW, which the C library's header lacks.
inline constexpr std::uint64_t kNoSymlinkFollow = 256;

// A place in the tree of a namespace.
struct Path {
  Ref<Mount> mount;
  Ref<Dentry> dentry;
  Inode* inode() const { return dentry ? dentry->inode() : nullptr; }
  explicit operator bool() const { return static_cast<bool>(dentry); }
  friend bool operator==(const Path&, const Path&) = default;
};

class Mount : public RefCounted {
 public:
  // `flags`: MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_NOATIME MS_NODIRATIME MS_RELATIME.
  // `root`: what it shows, a dentry of `filesystem` (a bind shows a part).
  Mount(Ref<Filesystem> filesystem, Ref<Dentry> root, std::uint64_t flags, std::string source);

  Filesystem& filesystem() const { return *filesystem_; }
  const Ref<Dentry>& root() const { return root_; }
  std::uint64_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(std::uint64_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  bool readonly() const { return (flags() & MS_RDONLY) != 0; }
  const std::string& source() const { return source_; }  // as in mountinfo
  std::uint64_t id() const { return id_; }
  // Where it is attached; empty for a namespace's root and for a detached mount.
  Path mount_point() const;
  bool is_attached() const;

  state::Tag save_tag() const { return state::Tag::kMount; }
  Result<> save(state::Writer& to);
  static Result<Ref<Mount>> restore(state::Reader& from);

 private:
  friend class MountNamespace;
  ~Mount() override;
  Ref<Filesystem> filesystem_;
  Ref<Dentry> root_;
  std::atomic<std::uint64_t> flags_;
  std::string source_;
  std::uint64_t id_;
  // The tree: under one lock for all namespaces, since mounts go from one to another.
  Mount* parent_ = nullptr;
  Ref<Dentry> point_;
  std::vector<Ref<Mount>> children_;
  MountNamespace* owner_ = nullptr;
  std::uint64_t copied_from_ = 0;  // id of the mount that MountNamespace::copy() copied
  bool expiring_ = false;          // MNT_EXPIRE was asked for, and nobody came by since
};

// Mounts of one namespace at most, as fs.mount-max of Linux.
inline constexpr std::size_t kMostMounts = 100000;

// The mount tree that a group of tasks sees.
class MountNamespace : public RefCounted {
 public:
  static Ref<MountNamespace> create(Ref<Mount> root);
  Path root() const;  // of the topmost mount at "/"

  // Covers `point` (a file covers a file, a directory a directory; else ENOTDIR).
  ErrnoOr<> attach(Ref<Mount> mount, const Path& point);
  // EBUSY while something is mounted below or in use; MNT_DETACH takes the whole tree off.
  ErrnoOr<> detach(const Path& path, int flags);
  ErrnoOr<> move(const Path& from, const Path& to);
  // A mount (with `recursive`: and those below it) that shows `source`, not attached yet.
  ErrnoOr<Ref<Mount>> clone(const Path& source, bool recursive);
  ErrnoOr<> pivot(const Path& new_root, const Path& put_old);
  // A copy of the whole tree; places in the old one are translated by `translate`.
  Ref<MountNamespace> copy();
  Path translate(const MountNamespace& from, const Path& path) const;

  // The mount that covers this place, followed to the topmost; or the place itself.
  Path cross_down(Path path) const;
  // If the place is a mount's root: the place that it covers (repeatedly); else itself.
  Path cross_up(Path path, const Path& root) const;
  // All mounts, parents before children.
  std::vector<Ref<Mount>> mounts() const;
  std::uint64_t id() const { return id_; }  // inode number of /proc/PID/ns/mnt
  // Whose capabilities count for its mounts; null: the sandbox's own. Before others see it.
  Ref<UserNamespace> owner;

  state::Tag save_tag() const { return state::Tag::kMountNamespace; }
  Result<> save(state::Writer& to);
  static Result<Ref<MountNamespace>> restore(state::Reader& from);

 private:
  using Key = std::pair<const Mount*, const Dentry*>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<const void*>()(key.first) * 31 + std::hash<const void*>()(key.second);
    }
  };
  MountNamespace();
  ~MountNamespace() override;
  // All of these under the lock of the trees.
  static std::vector<Mount*> tree_of(Mount& top);
  static Ref<Mount> copy_tree(Mount& top, const Ref<Dentry>& root, bool recursive);
  static void connect(Mount& mount, Mount& parent, const Ref<Dentry>& point);
  Ref<Mount> disconnect(Mount& mount);
  void own(Mount& top);
  void disown(Mount& top);
  Path down(Path path) const;
  bool reaches(const Mount& ancestor, const Path& path) const;
  ErrnoOr<> check_detach(const Path& path, int flags) const;
  ErrnoOr<> check_pivot(const Path& new_root, const Path& put_old, const Mount& root) const;

  Ref<Mount> root_;
  std::unordered_map<Key, Mount*, KeyHash> mounted_;  // what covers a place
  std::uint64_t id_;
};

}  // namespace caisson::sandbox::vfs
