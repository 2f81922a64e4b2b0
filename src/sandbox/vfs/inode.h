// Inodes and file systems: what a concrete file system implements. Paths, mounts and caching of
// names are above (dentry.h, mount.h, walk.h): an inode knows names only as a directory's entries.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/tag.h"
#include "sandbox/vfs/credentials.h"

namespace caisson::sandbox::vfs {

class Caller;
class Dentry;
class DentryCache;
class File;
class FileLocks;
class IoBuffer;
class Filesystem;
class Inode;
class Watches;
struct Path;

struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
  // The wall clock at the granularity of Linux' inode times (CLOCK_REALTIME_COARSE).
  static Timestamp now();
};

// What stat(2) and statx(2) tell.
struct Attributes {
  std::uint32_t mode = 0;  // S_IFMT and permission bits
  Uid uid = 0;
  Gid gid = 0;
  std::uint64_t links = 1;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;          // makedev(3) of the file system
  std::uint64_t special_device = 0;  // makedev(3) of a device node
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  // of 512 bytes
  std::uint32_t block_size = 4096;
  Timestamp accessed, modified, changed;
  std::optional<Timestamp> born;
};

// The part of the attributes that permission is decided by: asked for each directory of a walk.
struct Ownership {
  std::uint32_t mode = 0;
  Uid uid = 0;
  Gid gid = 0;
};

// What chmod(2), chown(2), truncate(2), utimensat(2) change; absent fields stay. Permission to do
// so has been checked by the caller (permission.h); an inode does what it is told.
struct AttributeChange {
  std::optional<std::uint32_t> mode;  // permission bits with S_ISUID...
  std::optional<Uid> uid;
  std::optional<Gid> gid;
  std::optional<std::uint64_t> size;
  std::optional<Timestamp> accessed, modified;
  // chown(2) of nobody to nobody still takes set-id bits off.
  bool drops_set_ids = false;
  // Both times are to be those of now: whoever may write may do so, not the owner alone.
  bool times_are_now = false;
};

struct FilesystemStatus {  // statfs(2)
  std::int64_t type = 0;   // magic number
  std::uint64_t block_size = 4096, blocks = 0, free_blocks = 0, available_blocks = 0, files = 0,
                free_files = 0;
  std::uint64_t name_length = 255;
};

// One file system, mounted any number of times.
class Filesystem : public RefCounted {
 public:
  explicit Filesystem(std::string type);
  const std::string& type() const { return type_; }  // "tmpfs", as in mountinfo
  std::uint64_t device() const { return device_; }   // makedev(0, n), n unique
  virtual Ref<Inode> root() = 0;
  virtual ErrnoOr<FilesystemStatus> status() = 0;
  virtual ErrnoOr<> sync() { return {}; }
  // Super block options as mountinfo shows them, with a leading comma each: ",size=1024k".
  virtual std::string options_text() const { return {}; }
  // Names may change behind our back (a directory of the host that others write): a cached name is
  // asked for again, by Inode::still_named().
  virtual bool revalidates() const { return false; }
  // Refuses all writes, whatever its mounts say ("ro" among the super block's options).
  virtual bool is_readonly() const { return false; }
  // mount(2) with MS_REMOUNT. `options`: "size=1m". By default nothing can be changed but by mount.
  virtual ErrnoOr<> remount(std::string_view options, bool readonly);
  DentryCache& names() const { return *names_; }
  Watches& watches() const { return *watches_; }

  // --- checkpoints. Which of those it is that the container's plan makes, so that making them
  // again finds it; none: a guest mounted it.
  std::optional<std::uint32_t> plan_number;
  state::Tag save_tag() const { return state::Tag::kFilesystem; }
  Result<> save(state::Writer& to);
  static Result<Ref<Filesystem>> restore(state::Reader& from);
  // What is in it that making it again does not give.
  virtual Result<> save_contents(state::Writer& to);
  virtual Result<> restore_contents(state::Reader& from);
  // File systems that it is put together of: they are saved beside it.
  virtual std::vector<Ref<Filesystem>> layers() const { return {}; }
  // Files that are open at a checkpoint must be the same at the restore: others write here.
  virtual bool may_change_meanwhile() const { return false; }

 protected:
  ~Filesystem() override;

 private:
  std::string type_;
  std::uint64_t device_;
  std::unique_ptr<DentryCache> names_;
  std::unique_ptr<Watches> watches_;
};

// Who makes something: its owner, and its permissions after the umask.
struct Creation {
  std::uint32_t mode = 0;  // S_IFMT and permission bits, umask applied
  Uid uid = 0;
  Gid gid = 0;
};

struct OpenFlags {
  std::uint32_t flags = 0;  // O_* as in open(2), without O_CREAT, O_EXCL, O_NOFOLLOW, O_CLOEXEC
  bool readable() const;
  bool writable() const;
};

class Inode : public RefCounted {
 public:
  Inode(Filesystem& filesystem, std::uint32_t type) : filesystem_(filesystem), type_(type) {}
  Filesystem& filesystem() const { return filesystem_; }  // outlives its inodes
  std::uint32_t type() const { return type_; }            // S_IFREG ...; never changes
  bool is_directory() const { return type_ == S_IFDIR; }
  bool is_symlink() const { return type_ == S_IFLNK; }

  virtual ErrnoOr<Attributes> attributes() = 0;
  virtual ErrnoOr<> change(const AttributeChange& change) = 0;
  // Part of attributes(), for file systems that have it at hand.
  virtual ErrnoOr<Ownership> ownership();

  // --- directories; `name` is one component, never "." or "..". ENOTDIR by default, EPERM or
  // EROFS where a file system does not let names be made. Callers hold the directory's lock
  // (dentry.h), have checked permission, and know whether the name exists.
  virtual ErrnoOr<Ref<Inode>> lookup(std::string_view name);
  virtual ErrnoOr<Ref<Inode>> create(std::string_view name, const Creation& creation);
  virtual ErrnoOr<Ref<Inode>> make_directory(std::string_view name, const Creation& creation);
  virtual ErrnoOr<Ref<Inode>> make_node(std::string_view name, const Creation& creation,
                                        std::uint64_t device);
  virtual ErrnoOr<Ref<Inode>> make_symlink(std::string_view name, std::string_view target,
                                           const Creation& creation);
  virtual ErrnoOr<> link(std::string_view name, Inode& target);
  virtual ErrnoOr<> unlink(std::string_view name, Inode& target);
  virtual ErrnoOr<> remove_directory(std::string_view name, Inode& target);
  // `this` and `to` are directories of this file system; RENAME_NOREPLACE and RENAME_EXCHANGE in
  // `flags`; `replaced` is what stands at the new name, or null.
  virtual ErrnoOr<> rename(std::string_view name, Inode& moved, Inode& to,
                           std::string_view new_name, Inode* replaced, std::uint32_t flags);
  // A directory or an empty regular file for a mount to stand on. The default makes an ordinary
  // one; a file system of the host's makes it in memory.
  virtual ErrnoOr<Ref<Inode>> make_mount_point(std::string_view name, std::uint32_t type);
  // An unnamed regular file (O_TMPFILE).
  virtual ErrnoOr<Ref<Inode>> create_unnamed(const Creation& creation);
  // Whether `name` still leads from this directory to `target` (Filesystem::revalidates()). A walk
  // asks once, for the last name that it met on a file system, and for each name once that failed:
  // the answer should hold for the whole path from the root of the file system.
  virtual bool still_named(std::string_view name, Inode& target);
  // Names may be cached as absent.
  virtual bool caches_absent_names() const { return true; }
  // Names may be cached at all (proc's are asked for each time).
  virtual bool caches_names() const { return true; }

  // --- symbolic links
  virtual ErrnoOr<std::string> read_link(Caller* caller);
  // Links that lead to an object and not through a path (/proc/PID/fd/N, cwd, root, exe); null: an
  // ordinary one.
  // What has no place (a pipe) is led to by a path without a mount, whose dentry is a root of its
  // own and whose inode opens by File::reopen().
  virtual ErrnoOr<Path> magic_link(Caller& caller);

  // --- open files. `path` is where it was opened; permission has been checked.
  virtual ErrnoOr<Ref<File>> open(const Path& path, OpenFlags flags, Caller& caller) = 0;

  // --- extended attributes (xattr(7)); ENOTSUP by default.
  virtual ErrnoOr<std::string> get_attribute(std::string_view name);
  virtual ErrnoOr<> set_attribute(std::string_view name, std::string_view value, int flags);
  virtual ErrnoOr<std::vector<std::string>> list_attributes();
  virtual ErrnoOr<> remove_attribute(std::string_view name);

  // For file systems whose permission is not that of the mode alone; EACCES or ok. Default: none
  // beyond permission.h.
  virtual ErrnoOr<> may_access(const Credentials& credentials, int mask);

  // Identity for futexes on shared mappings, leases, locks: the inode that owns the bytes (an
  // overlay answers with the real one).
  virtual Inode& data_inode() { return *this; }
  // Held by writes that depend on the size (O_APPEND) and by what changes set-id bits.
  Mutex& write_lock() { return write_mutex_; }
  // A file without a name may be given one (O_TMPFILE without O_EXCL).
  std::atomic<bool> may_be_named{false};
  // Files are open for writing, or programs run, of data_inode(): not both. ETXTBSY.
  ErrnoOr<> begin_writing();
  void end_writing();
  ErrnoOr<> begin_running();
  void end_running();
  // Made when first asked for; `known`: null when nobody has.
  FileLocks& locks();
  FileLocks* known_locks() const { return locks_.load(std::memory_order_acquire); }

  // For objects that no name leads to, at a checkpoint; by default they cannot be saved.
  virtual state::Tag save_tag() const { return state::Tag::kNone; }
  virtual Result<> save(state::Writer& to);

 protected:
  ~Inode() override;

 private:
  Filesystem& filesystem_;
  std::uint32_t type_;
  Mutex write_mutex_;
  std::atomic<FileLocks*> locks_{nullptr};
  std::atomic<int> writers_{0};  // below zero: so many programs run
};

}  // namespace caisson::sandbox::vfs
