// HostFilesystem: a directory or one file of the host, given as a descriptor, as a file system of
// the sandbox. This process opens the files itself, each by one directory's descriptor and one
// name or beneath the root without symbolic links, so that no rename or link of another process
// leads elsewhere.
//
// No descriptor is kept per inode: an inode knows its directory and name. The few that are kept
// (handles) are those used last.
//
// Locks: a directory's dentry (vfs), then names_mutex_ (what takes names away, and changes by
// name), then HostInode::attributes_mutex_ or HostFilesystem::mutex_, never both. No host call and
// no last reference's end happens under the last two. What only reads by name is done again when
// names were taken away meanwhile (steadily()): it may have met another file under an old name.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/fs/host/files.h"
#include "sandbox/fs/host/id_map.h"
#include "sandbox/fs/special.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class HostInode;

struct HostOptions {
  std::string type = "host";  // as mountinfo shows it
  // Nobody else writes there: names, attributes and absence are cached for good. Otherwise what is
  // cached is held against the host once per walk.
  bool exclusive = true;
  IdMap uids, gids;
  std::size_t cached_handles = 256;  // inodes whose descriptors stay open unused
  HostFiles* gofer = nullptr;        // null: none; outlives the file system
  // What stands behind device nodes; null: nothing, ENXIO. Those of the host are never opened.
  Ref<SpecialFiles> special;
};

// A descriptor of the host, shared by open files: positions are the sandbox's own.
class Handle : public RefCounted {
 public:
  explicit Handle(Fd fd) : fd_(std::move(fd)) {}
  FdRef fd() const { return fd_; }

 private:
  Fd fd_;
};

// What a handle is good for. Directories have kRead only, opened with O_PATH.
enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };

// Which file of the host something is. The time of birth tells files apart that got the same number
// one after the other.
struct HostIdentity {
  std::uint64_t device = 0, inode = 0;
  std::int64_t born = 0;
  friend bool operator==(const HostIdentity&, const HostIdentity&) = default;
};

// One statx(2).
struct Seen {
  HostIdentity identity;
  vfs::Attributes attributes;
};

// A name in a directory, the latter open.
struct Place {
  Ref<HostInode> directory;  // null: `handle` is the thing itself
  Ref<Handle> handle;
  std::string name;
  FdRef fd() const { return handle->fd(); }
  const char* path() const { return name.c_str(); }
  int flags() const;  // AT_SYMLINK_NOFOLLOW or AT_EMPTY_PATH
};

class HostFilesystem final : public vfs::Filesystem {
 public:
  // `root`: a directory, or a file open for what the guest may do with it. The process's umask
  // becomes 0: modes that come here have the guest's applied. ENOTSUP: neither directory nor
  // regular file.
  static ErrnoOr<Ref<HostFilesystem>> create(Fd root, HostOptions options);

  Ref<vfs::Inode> root() override;
  ErrnoOr<vfs::FilesystemStatus> status() override;
  ErrnoOr<> sync() override;
  bool revalidates() const override { return !options_.exclusive; }
  bool may_change_meanwhile() const override { return true; }

  bool exclusive() const { return options_.exclusive; }
  const HostOptions& options() const { return options_; }
  FdRef root_fd() const { return root_handle_->fd(); }
  HostFiles* gofer() const { return options_.gofer; }

  Seen seen(const struct statx& info);
  std::uint64_t inode_number(std::uint64_t device, std::uint64_t inode);
  // Of the root's device, for the entries of directories.
  std::uint64_t inode_number(std::uint64_t inode) const { return inode; }
  // For what is in memory only.
  std::uint64_t new_inode_number();

  // The inode of what stands at `name` in `directory`: the one that is known, or a new one.
  Ref<HostInode> inode_at(HostInode& directory, std::string_view name, const Seen& seen);
  // The same without a name.
  Ref<HostInode> inode_of(const Seen& seen);

  // Where an inode stands. ENOENT: it was removed.
  ErrnoOr<Place> place_of(HostInode& inode);
  ErrnoOr<Place> place_in(HostInode& directory, std::string_view name);
  // "a/b/c"; ENOENT: removed; ENAMETOOLONG: longer than the host takes.
  ErrnoOr<std::string> path_of(HostInode& inode);
  ErrnoOr<std::string> path_in(HostInode& directory, std::string_view name);

  // A directory's descriptor (O_PATH).
  ErrnoOr<Ref<Handle>> directory_handle(HostInode& directory);
  // A regular file's.
  ErrnoOr<Ref<Handle>> file_handle(HostInode& file, Access access);
  // One that is open already and serves for `access`, or null.
  Ref<Handle> cached_handle(HostInode& inode, Access access);
  // Any that is open, or null.
  Ref<Handle> any_handle(HostInode& inode);
  void keep_handle(HostInode& inode, Access access, Ref<Handle> handle);
  void drop_handles(HostInode& inode);
  // For an inode that lost its last name: leaves those that open files use, until its end. Whether
  // there are any.
  bool keep_used_handles(HostInode& inode);
  // Its handles stay open until its end: nothing else leads to it.
  void pin(HostInode& inode);
  void drop_unused_handles(HostInode& inode);
  // Closes all that no open file uses; whether there were any.
  bool drop_unused_handles();

  // --- what happened to names; called after the host did it.
  void named(HostInode& inode, HostInode& directory, std::string_view name);
  // Whether it was the last one known.
  bool unnamed(HostInode& inode, const HostInode& directory, std::string_view name);
  bool is_named(HostInode& inode, const HostInode& directory, std::string_view name);
  void forget(HostInode& inode);
  Mutex& names_mutex() { return names_mutex_; }
  void names_change_begins() { name_changes_.fetch_add(1, std::memory_order_acq_rel); }
  void names_change_ends() { name_changes_.fetch_add(1, std::memory_order_acq_rel); }
  std::uint32_t steady_names();
  bool names_changed_since(std::uint32_t count) const {
    return name_changes_.load(std::memory_order_acquire) != count;
  }

  // Owner and mode as the host knows them; EOVERFLOW: the guest's id is nobody's there.
  ErrnoOr<HostCreation> on_host(const vfs::Creation& creation) const;

 private:
  struct Key {
    std::uint64_t device, inode;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.inode ^ key.device << 32; }
  };
  // The way down to a directory, from the nearest one that is open.
  struct Way {
    Ref<HostInode> from;  // null: the root
    Ref<Handle> handle;
    std::string path;
  };

  HostFilesystem(Fd root, HostOptions options, std::uint64_t device);
  ~HostFilesystem() override;
  Ref<HostInode> known_inode(const Seen& seen);
  ErrnoOr<Way> way_to(HostInode& directory);
  ErrnoOr<Fd> open_directory(HostInode& directory);
  ErrnoOr<Fd> open_file(HostInode& file, int flags);
  ErrnoOr<std::string> path_locked(const HostInode* inode) const;
  void list_first(HostInode& inode);
  void unlist(HostInode& inode);

  HostOptions options_;
  std::uint64_t root_device_;
  Ref<Handle> root_handle_;
  Ref<HostInode> root_;

  Mutex names_mutex_;
  std::atomic<std::uint32_t> name_changes_{0};  // odd: one is under way

  Mutex mutex_;
  std::unordered_map<Key, HostInode*, KeyHash> inodes_;
  std::uint64_t made_numbers_ = 0;
  std::vector<std::uint64_t> other_devices_;  // of file systems mounted below, on the host
  HostInode* first_ = nullptr;                // with handles, used last
  HostInode* last_ = nullptr;
  std::size_t listed_ = 0;
};

// Runs `work` again after closing what is unused when there are no descriptors left.
template <typename Work>
auto with_descriptors(HostFilesystem& filesystem, Work work) -> decltype(work()) {
  auto result = work();
  if (!result && (result.error().value == EMFILE || result.error().value == ENFILE) &&
      filesystem.drop_unused_handles())
    return work();
  return result;
}

// Holds off everybody who looks for an inode by its name, while a name is being taken away.
class NameChange {
 public:
  explicit NameChange(HostFilesystem& filesystem)
      : filesystem_(filesystem), lock_(filesystem.names_mutex()) {
    filesystem_.names_change_begins();
  }
  ~NameChange() { filesystem_.names_change_ends(); }
  NameChange(const NameChange&) = delete;
  NameChange& operator=(const NameChange&) = delete;

 private:
  HostFilesystem& filesystem_;
  Locked lock_;
};

template <typename Work>
auto steadily(HostFilesystem& filesystem, Work work) -> decltype(work()) {
  for (;;) {
    std::uint32_t count = filesystem.steady_names();
    auto result = with_descriptors(filesystem, work);
    if (!filesystem.names_changed_since(count)) return result;
  }
}

inline bool is_denied(const Errno& error) { return error.value == EACCES || error.value == EPERM; }

}  // namespace caisson::sandbox::fs
