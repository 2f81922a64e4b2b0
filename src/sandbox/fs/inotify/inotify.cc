#include "sandbox/fs/inotify/inotify.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/text.h"

namespace caisson::sandbox::fs {

using kernel::UserCount;

// The part of a watch's mask that is no event.
namespace {
constexpr std::uint32_t kOptions = std::uint32_t{IN_ONESHOT} | IN_EXCL_UNLINK;
constexpr std::uint32_t kAlwaysTold = IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW;
constexpr std::uint32_t kDirectory = IN_ISDIR;
}  // namespace

class InotifyFile::InodeWatch final : public vfs::Watch {
 public:
  InodeWatch(InotifyFile& instance, int its_number, Ref<vfs::Dentry> place, std::uint32_t its_mask)
      : Watch(std::move(place)), number(its_number), mask(its_mask), instance_(instance) {}

  bool happened(const vfs::WatchEvent& event) override {
    std::uint32_t wanted = mask.load(std::memory_order_relaxed);
    if ((event.mask & ((wanted & ~kOptions) | kAlwaysTold) & ~kDirectory) == 0) return true;
    if (event.of_removed_name && !event.name.empty() && (wanted & IN_EXCL_UNLINK) != 0) return true;
    std::uint32_t told = event.mask;
    // As Linux has had it from the start.
    if ((told & (IN_MOVE_SELF | IN_DELETE_SELF | IN_UNMOUNT)) != 0) told &= ~kDirectory;
    instance_.queue({number, told, event.cookie, std::string(event.name)});
    return (wanted & IN_ONESHOT) == 0;
  }
  void ended() override { instance_.forget(*this); }

  const int number;
  std::atomic<std::uint32_t> mask;

 private:
  InotifyFile& instance_;  // takes all its watches out before it ends
};

// Names are filled up to whole events.
std::size_t InotifyFile::Event::name_room() const {
  constexpr std::size_t kStep = sizeof(inotify_event);
  return name.empty() ? 0 : (name.size() + kStep) / kStep * kStep;
}
std::size_t InotifyFile::Event::size() const { return sizeof(inotify_event) + name_room(); }

InotifyFile::InotifyFile(kernel::Kernel& kernel, std::uint32_t uid, std::uint32_t flags)
    : AnonymousFile("inotify", flags), kernel_(kernel), uid_(uid) {}

ErrnoOr<Ref<InotifyFile>> InotifyFile::create(kernel::Kernel& kernel, std::uint32_t uid,
                                              std::uint32_t flags) {
  if (!kernel.user_counts().charge(UserCount::kInotifyInstances, uid, 1, kMostInotifyInstances))
    return std::unexpected(Errno{EMFILE});
  return Ref<InotifyFile>::adopt(new InotifyFile(kernel, uid, flags));
}

InotifyFile::~InotifyFile() {
  std::map<int, Ref<InodeWatch>> watches;
  {
    Locked lock(mutex_);
    watches.swap(watches_);
  }
  for (auto& [number, watch] : watches)
    (void)watch->inode().filesystem().watches().remove(*watch);  // or it ended by itself
  kernel_.user_counts().release(UserCount::kInotifyWatches, uid_, watches.size());
  kernel_.user_counts().release(UserCount::kInotifyInstances, uid_, 1);
}

ErrnoOr<int> InotifyFile::watch(const vfs::Path& place, std::uint32_t mask) {
  std::uint32_t kept = mask & (IN_ALL_EVENTS | kOptions);
  Ref<InodeWatch> made;
  Locked changes(change_mutex_);
  {
    Locked lock(mutex_);
    if (auto known = numbers_.find(place.inode()); known != numbers_.end()) {
      if ((mask & IN_MASK_CREATE) != 0) return std::unexpected(Errno{EEXIST});
      InodeWatch& watch = *watches_.at(known->second);
      if ((mask & IN_MASK_ADD) != 0) kept |= watch.mask.load(std::memory_order_relaxed);
      watch.mask.store(kept, std::memory_order_relaxed);
      return known->second;
    }
    if (!kernel_.user_counts().charge(UserCount::kInotifyWatches, uid_, 1, kMostInotifyWatches))
      return std::unexpected(Errno{ENOSPC});
    made = make_ref<InodeWatch>(*this, ++last_number_, place.dentry, kept);
    watches_[made->number] = made;
    numbers_[place.inode()] = made->number;
  }
  place.inode()->filesystem().watches().add(made);
  return made->number;
}

ErrnoOr<> InotifyFile::remove(int number) {
  Ref<InodeWatch> watch;
  Locked changes(change_mutex_);
  {
    Locked lock(mutex_);
    auto known = watches_.find(number);
    if (known == watches_.end()) return std::unexpected(Errno{EINVAL});
    watch = known->second;
  }
  if (!watch->inode().filesystem().watches().remove(*watch)) return std::unexpected(Errno{EINVAL});
  watch->ended();
  return {};
}

void InotifyFile::forget(InodeWatch& watch) {
  Ref<InodeWatch> kept;  // until the lock is let go
  {
    Locked lock(mutex_);
    auto known = watches_.find(watch.number);
    if (known == watches_.end()) return;  // the instance ends
    kept = std::move(known->second);
    watches_.erase(known);
    numbers_.erase(&watch.inode());
  }
  kernel_.user_counts().release(UserCount::kInotifyWatches, uid_, 1);
  queue({watch.number, IN_IGNORED, 0, {}});
}

void InotifyFile::queue(Event event) {
  {
    Locked lock(mutex_);
    if (events_.size() >= kMostInotifyEvents) event = {-1, IN_Q_OVERFLOW, 0, {}};
    // The same again says nothing new.
    bool joined = !events_.empty() && event.mask != IN_IGNORED &&
                  events_.back().watch == event.watch && events_.back().mask == event.mask &&
                  events_.back().name == event.name;
    if (joined) return;
    events_.push_back(std::move(event));
  }
  queue_.notify(POLLIN);
}

ErrnoOr<std::size_t> InotifyFile::read(vfs::IoBuffer& to, vfs::Caller&) {
  std::vector<std::byte> bytes;
  {
    Locked lock(mutex_);
    if (events_.empty()) return std::unexpected(Errno{EAGAIN});
    while (!events_.empty() && bytes.size() + events_.front().size() <= to.remaining()) {
      const Event& event = events_.front();
      inotify_event head{};
      head.wd = event.watch;
      head.mask = event.mask;
      head.cookie = event.cookie;
      head.len = static_cast<std::uint32_t>(event.name_room());
      std::size_t at = bytes.size();
      bytes.resize(at + event.size());
      std::memcpy(&bytes[at], &head, sizeof head);
      if (head.len != 0)
        std::memcpy(&bytes[at + sizeof head], event.name.data(), event.name.size());
      events_.pop_front();
    }
  }
  if (bytes.empty()) return std::unexpected(Errno{EINVAL});
  if (TRY(to.put(bytes)) != bytes.size()) return std::unexpected(Errno{EFAULT});
  return bytes.size();
}

ErrnoOr<std::size_t> InotifyFile::write(vfs::IoBuffer&, vfs::Caller&) {
  return std::unexpected(Errno{EBADF});
}

vfs::ReadyMask InotifyFile::ready() {
  Locked lock(mutex_);
  return events_.empty() ? 0 : POLLIN | POLLRDNORM;
}

ErrnoOr<std::int64_t> InotifyFile::ioctl(vfs::Caller& caller, std::uint32_t request,
                                         std::uint64_t argument) {
  if (request != FIONREAD) return AnonymousFile::ioctl(caller, request, argument);
  std::size_t size = 0;
  {
    Locked lock(mutex_);
    for (const Event& event : events_) size += event.size();
  }
  auto told = static_cast<int>(size);
  if (TRY(caller.memory().write(argument, std::as_bytes(std::span(&told, 1)))) != sizeof told)
    return std::unexpected(Errno{EFAULT});
  return 0;
}

std::string InotifyFile::info_text() {
  std::string text;
  Locked changes(change_mutex_);
  std::vector<Ref<InodeWatch>> watches;
  {
    Locked lock(mutex_);
    for (auto& [number, watch] : watches_) watches.push_back(watch);
  }
  for (const Ref<InodeWatch>& watch : watches) {
    auto attributes = watch->inode().attributes();
    if (!attributes) continue;
    text += cat("inotify wd:", hex(static_cast<std::uint64_t>(watch->number)),
                " ino:", hex(attributes->inode), " sdev:", hex(attributes->device),
                " mask:", hex(watch->mask.load(std::memory_order_relaxed) & ~kOptions),
                " ignored_mask:0\n");
  }
  return text;
}

}  // namespace caisson::sandbox::fs
