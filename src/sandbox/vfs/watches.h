// Watches: who is told of what happens to the inodes of one file system (inotify(7)). Kinds of
// watches derive from Watch; where something happens, the functions at the end are called. They
// cost one load while nobody watches.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/vfs/dentry.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::vfs {

class File;
struct Path;

struct WatchEvent {
  std::uint32_t mask = 0;      // IN_* of inotify(7), with IN_ISDIR
  std::uint32_t cookie = 0;    // joins the two names of a rename
  std::string_view name = {};  // in a directory that is watched; empty: the inode itself
  bool of_removed_name = false;
};

// One inode watched by somebody. It keeps the name by which it was made, so that the inode stays
// the same one, until that was the last name.
class Watch : public RefCounted {
 public:
  explicit Watch(Ref<Dentry> place);
  Inode& inode() const { return *inode_; }

  // --- by Watches, under its lock: no lock of a directory or a file system may be taken.
  // False: it wants no more.
  virtual bool happened(const WatchEvent& event) = 0;
  // It is watched no more: it ended by happened(), or the inode or the file system did.
  virtual void ended() = 0;

 protected:
  ~Watch() override;

 private:
  friend class Watches;
  const Ref<Filesystem> filesystem_;
  const Ref<Inode> inode_;
  Ref<Dentry> place_;  // under the lock of Watches
};

class Watches {
 public:
  bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }
  void add(Ref<Watch> watch);
  // False: it ended before. Nothing is told.
  bool remove(Watch& watch);
  void tell(const Inode& inode, const WatchEvent& event);
  // The last name of an inode is gone: its watches wait for the last one who uses it.
  void let_go_of(const Inode& inode);
  // A dentry that was removed is used by nobody any more.
  void name_ended(const Inode& inode);
  void unmounted();

 private:
  struct Watched {
    std::vector<Ref<Watch>> watches;
    bool is_nameless = false;
  };
  void end_all_of(Watched& watched, std::uint32_t mask);

  std::atomic<std::size_t> count_{0};
  Mutex mutex_;
  std::unordered_map<const Inode*, Watched> by_inode_;
};

// --- what happened. To the object at a place, or of an open file: its directory is told as well.
void tell_of(const Path& path, std::uint32_t mask);
void tell_of(const File& file, std::uint32_t mask);
// Its directory is not told.
void tell_of_self(Inode& inode, std::uint32_t mask);
// A name in a directory that stands for `object`.
void tell_of_name(Inode& directory, std::string_view name, const Inode& object, std::uint32_t mask,
                  std::uint32_t cookie = 0);
// A name was removed, or another took its place: the directory's lock is held. After this nothing
// but `victim` holds the name.
void tell_of_lost_name(Inode& object);
// For the two names of a rename.
std::uint32_t next_watch_cookie();

}  // namespace caisson::sandbox::vfs
