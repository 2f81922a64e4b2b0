// File: an open file description (open(2)), shared by the descriptors that refer to it. Kinds of
// files derive from it. No operation blocks: EAGAIN, and wait_queue() tells when to try again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/file_end.h"
#include "sandbox/vfs/inode.h"
#include "sandbox/vfs/io.h"
#include "sandbox/vfs/mount.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::vfs {

// Takes the entries of a directory.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // `type`: DT_*; `next`: the position behind this entry (d_off). False: no room, ask no further.
  virtual bool entry(std::string_view name, std::uint64_t inode, unsigned char type,
                     std::uint64_t next) = 0;
};

// What mmap(2) of a file shows, as the host can map it. The file's bytes stand one after the other
// in `fd`.
class File;

struct MapSource {
  int fd = -1;               // stays open as long as the File; -1: memory of its own (/dev/zero)
  std::uint64_t offset = 0;  // where the asked offset stands in `fd`
  // Where the file ends, if the host does not know it: pages behind it raise SIGBUS.
  Ref<FileEnd> end = nullptr;
  // What the mapping keeps in place of the file, so that the mapping's end is known; null: the
  // file.
  Ref<File> kept = nullptr;
};

// One who is to know that a file ends, without keeping it open (epoll).
class FileWatcher {
 public:
  FileWatcher() = default;
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;
  virtual ~FileWatcher() = default;
  // The last reference is gone, the file is still whole. Called under its watcher_lock(); the
  // watcher has been taken out of the list.
  virtual void file_ended() = 0;

 private:
  friend class File;
  FileWatcher* next_ = nullptr;
  FileWatcher* previous_ = nullptr;
};

class File : public RefCounted {
 public:
  File(Path path, Ref<Inode> inode, std::uint32_t flags);

  // Tells kinds of files apart (there is no RTTI): the address of the class's kKind. file_as().
  virtual const void* kind() const { return nullptr; }

  const Path& path() const { return path_; }     // empty mount: an anonymous file (pipe, socket)
  Inode* inode() const { return inode_.get(); }  // null: none (epoll, eventfd, ...)

  // O_ACCMODE, O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_PATH ...
  std::uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(std::uint32_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  bool readable() const;
  bool writable() const;
  bool nonblocking() const;

  // --- bytes. At the file's position by default (position_, moved under its lock), through the
  // two *_at functions; streams override the first two and leave ESPIPE for the others.
  virtual ErrnoOr<std::size_t> read(IoBuffer& to, Caller& caller);
  virtual ErrnoOr<std::size_t> write(IoBuffer& from, Caller& caller);
  virtual ErrnoOr<std::size_t> read_at(IoBuffer& to, std::uint64_t offset, Caller& caller);
  virtual ErrnoOr<std::size_t> write_at(IoBuffer& from, std::uint64_t offset, Caller& caller);
  // write(2) with O_APPEND: at the end, whatever others append; where it ended, in `end`.
  virtual ErrnoOr<std::size_t> append(IoBuffer& from, std::uint64_t& end, Caller& caller);
  // SEEK_SET, SEEK_CUR, SEEK_END (by size()), SEEK_DATA, SEEK_HOLE.
  virtual ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence);
  virtual ErrnoOr<std::uint64_t> size();  // default: the inode's

  // --- directories: entries from the file's position on; moves it.
  virtual ErrnoOr<> read_directory(DirectorySink& sink, Caller& caller);

  // --- readiness. The default is that of regular files: always ready, no queue.
  virtual ReadyMask ready();
  virtual WaitQueue* wait_queue() { return nullptr; }
  // The same for files whose readiness depends on who asks (signalfd(2)).
  virtual ReadyMask ready_for(Caller&) { return ready(); }
  // FIFOs: EAGAIN until the other end is open (the open call then waits). Default: done.
  virtual ErrnoOr<> finish_open() { return {}; }

  virtual ErrnoOr<Attributes> attributes();
  virtual ErrnoOr<> change(const AttributeChange& change);
  // Result for the guest; `argument` is a guest address or value. ENOTTY by default.
  virtual ErrnoOr<std::int64_t> ioctl(Caller& caller, std::uint32_t request,
                                      std::uint64_t argument);
  // The commands of fcntl(2) that only some files have: F_SETPIPE_SZ, F_GETPIPE_SZ (EBADF for
  // others), F_ADD_SEALS, F_GET_SEALS (EINVAL for others).
  virtual ErrnoOr<std::int64_t> control(Caller& caller, int command, std::uint64_t argument);
  virtual ErrnoOr<> sync(bool data_only);
  virtual ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length);
  // For `length` bytes from `offset`; ENODEV by default. What it tells holds for a mapping as long
  // as that stands.
  virtual ErrnoOr<MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                        bool shared);
  // What all shared mappings of it have in common, for futexes: its inode, or itself.
  virtual const void* shared_object();
  // What the copy of a mapping that fork(2) makes keeps: by default the same.
  virtual Ref<File> inherited_by_mapping();

  // Who is told by signals of what comes (kernel/file_owner.h); null: nobody asked.
  Ref<RefCounted> owner() const;
  void set_owner(Ref<RefCounted> owner);

  // --- watchers: the list is changed by who holds a reference and this lock. Nothing that a file's
  // own operations take is locked before it.
  Mutex& watcher_lock() { return watcher_mutex_; }
  void add_watcher(FileWatcher& watcher);
  void remove_watcher(FileWatcher& watcher);

  // Another open file of what this one is, for those that have no place in a tree (pipes, what the
  // host gave): opening /proc/PID/fd/N. ENXIO by default.
  virtual ErrnoOr<Ref<File>> reopen(std::uint32_t flags, Caller& caller);

  // A regular file that was opened for writing keeps programs from being run of it. ETXTBSY.
  ErrnoOr<> count_as_writer();

  // A descriptor that refers to it was closed by `owner` (others may be left).
  virtual void descriptor_closed(Caller* owner);
  // What /proc/PID/fd/N links to: "/etc/passwd", "pipe:[5]", "anon_inode:[eventpoll]".
  virtual std::string link_text(const Path& root);
  // Lines of /proc/PID/fdinfo/N behind the common ones.
  virtual std::string info_text() { return {}; }

  // How long a blocking read or write waits before its EAGAIN (SO_RCVTIMEO, SO_SNDTIMEO), in
  // nanoseconds; none: for ever.
  virtual std::optional<std::int64_t> wait_limit_ns(bool /*writing*/) { return std::nullopt; }

  // --- checkpoints. By default a file that has a place is found again by it, and others cannot be
  // saved; what holds more state than a position overrides both.
  virtual state::Tag save_tag() const;
  virtual Result<> save(state::Writer& to);

 protected:
  ~File() override;
  // What all files have: place, flags, position.
  void save_place(state::Writer& to);
  void last_reference_dropped() override;  // tells the watchers

  Mutex position_mutex_;
  std::uint64_t position_ = 0;

 private:
  friend Result<Ref<File>> restore_placed_file(state::Reader& from);
  Path path_;
  Ref<Inode> inode_;
  std::atomic<std::uint32_t> flags_;
  mutable Mutex watcher_mutex_;
  Ref<RefCounted> owner_;  // under watcher_mutex_
  FileWatcher* watchers_ = nullptr;
  bool counts_as_writer_ = false;
};

// The default's other direction, and that of O_PATH (state/reader.h).
Result<Ref<File>> restore_placed_file(state::Reader& from);
Result<Ref<File>> restore_path_file(state::Reader& from);

// The file as a T, or null when it is none. T has `static constexpr char kKind` and returns its
// address from kind().
template <typename T>
T* file_as(File& file) {
  return file.kind() == &T::kKind ? static_cast<T*>(&file) : nullptr;
}

// What O_PATH opens: a place; every operation on bytes is EBADF.
Ref<File> make_path_file(Path path, std::uint32_t flags);

// Whether a read of the file now has to set its access time: O_NOATIME, the mount's noatime and
// relatime (mount(2)).
bool wants_access_time(const File& file, const Attributes& attributes, Timestamp now);

}  // namespace caisson::sandbox::vfs
