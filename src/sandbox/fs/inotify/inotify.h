// inotify(7): events of watched inodes, queued until they are read. The VFS says what happens
// (vfs/watches.h); here is what one instance makes of it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::fs {

// Per user and per instance; fs.inotify in /proc/sys says the same.
inline constexpr std::uint64_t kMostInotifyInstances = 128, kMostInotifyWatches = 524288;
inline constexpr std::size_t kMostInotifyEvents = 16384;

class InotifyFile final : public AnonymousFile {
 public:
  static constexpr char kKind = 0;
  // EMFILE. `flags`: O_RDONLY, O_NONBLOCK.
  static ErrnoOr<Ref<InotifyFile>> create(kernel::Kernel& kernel, std::uint32_t uid,
                                          std::uint32_t flags);

  // inotify_add_watch(2) of a place that was found and may be read: the watch's number. EEXIST,
  // ENOSPC.
  ErrnoOr<int> watch(const vfs::Path& place, std::uint32_t mask);
  ErrnoOr<> remove(int number);  // EINVAL

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;  // EBADF
  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &queue_; }
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;
  std::string info_text() override;

 private:
  class InodeWatch;
  struct Event {
    int watch = -1;
    std::uint32_t mask = 0, cookie = 0;
    std::string name;
    std::size_t name_room() const;  // with its zeroes
    std::size_t size() const;
  };
  InotifyFile(kernel::Kernel& kernel, std::uint32_t uid, std::uint32_t flags);
  ~InotifyFile() override;
  void queue(Event event);
  void forget(InodeWatch& watch);

  kernel::Kernel& kernel_;
  const std::uint32_t uid_;
  Mutex change_mutex_;  // one call at a time that adds or removes; before the lock of Watches
  Mutex mutex_;         // after it
  std::map<int, Ref<InodeWatch>> watches_;
  std::map<const vfs::Inode*, int> numbers_;
  int last_number_ = 0;
  std::deque<Event> events_;
  vfs::WaitQueue queue_;
};

}  // namespace caisson::sandbox::fs
