#include "sandbox/kernel/posix_queue.h"

#include <linux/capability.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <span>
#include <utility>

#include "base/text.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {

std::uint64_t PosixQueue::Shape::bytes() const {
  constexpr std::int64_t kOfMessage = 96;  // what Linux has for each beside its bytes
  return static_cast<std::uint64_t>(most * (largest + kOfMessage));
}

PosixQueue::PosixQueue(Kernel& kernel, const vfs::Credentials& owner, std::uint32_t its_mode,
                       const Shape& its_shape)
    : mode(its_mode), uid(owner.fsuid), gid(owner.fsgid), shape(its_shape), kernel_(kernel) {}

ErrnoOr<Ref<PosixQueue>> PosixQueue::create(Kernel& kernel, const vfs::Credentials& owner,
                                            std::uint32_t mode, const Shape& shape,
                                            std::uint64_t limit) {
  if (!kernel.user_counts().charge(UserCount::kMessageQueueBytes, owner.fsuid, shape.bytes(),
                                   limit))
    return std::unexpected(Errno{EMFILE});
  return Ref<PosixQueue>::adopt(new PosixQueue(kernel, owner, mode, shape));
}

PosixQueue::~PosixQueue() {
  kernel_.user_counts().release(UserCount::kMessageQueueBytes, uid, shape.bytes());
}

ErrnoOr<> PosixQueue::check(const vfs::Credentials& who, int mask) const {
  std::uint32_t granted = mode;
  if (who.fsuid == uid)
    granted >>= 6;
  else if (who.in_group(gid))
    granted >>= 3;
  auto wanted = static_cast<std::uint32_t>(mask);
  if ((granted & wanted) == wanted || who.has_over(uid, gid, CAP_DAC_OVERRIDE)) return {};
  return std::unexpected(Errno{EACCES});
}

ErrnoOr<> PosixQueue::add(Message message, const Task& sender) {
  std::optional<Notification> told;
  {
    Locked lock(mutex_);
    if (count_ >= static_cast<std::size_t>(shape.most)) return std::unexpected(Errno{EAGAIN});
    if (count_ == 0 && receivers_ == 0) told = std::exchange(notification_, std::nullopt);
    bytes_ += message.bytes.size();
    ++count_;
    messages_[message.priority].push_back(std::move(message));
  }
  queue_.notify(POLLIN);
  if (!told || told->signal == 0) return {};
  SignalInfo info =
      SignalInfo::user(told->signal, sender.group().id(), sender.credentials().uid, SI_MESGQ);
  info.value = told->value;
  (void)kernel_.signal_group(*told->group, info);  // a full queue of signals is told nothing
  return {};
}

ErrnoOr<PosixQueue::Message> PosixQueue::take() {
  Message taken;
  {
    Locked lock(mutex_);
    if (count_ == 0) return std::unexpected(Errno{EAGAIN});
    auto first = messages_.begin();
    taken = std::move(first->second.front());
    first->second.pop_front();
    if (first->second.empty()) messages_.erase(first);
    --count_;
    bytes_ -= taken.bytes.size();
  }
  queue_.notify(POLLOUT);
  return taken;
}

std::size_t PosixQueue::count() const {
  Locked lock(mutex_);
  return count_;
}

std::size_t PosixQueue::total_bytes() const {
  Locked lock(mutex_);
  return bytes_;
}

void PosixQueue::change_receivers(int by) {
  Locked lock(mutex_);
  receivers_ += by;
}

ErrnoOr<> PosixQueue::notify(Notification wanted) {
  Locked lock(mutex_);
  if (notification_) return std::unexpected(Errno{EBUSY});
  notification_ = std::move(wanted);
  return {};
}

void PosixQueue::forget_notification(const ThreadGroup& group) {
  std::optional<Notification> dropped;  // after the lock
  Locked lock(mutex_);
  if (notification_ && notification_->group.get() == &group)
    dropped = std::exchange(notification_, std::nullopt);
}

std::optional<PosixQueue::Notification> PosixQueue::notification() const {
  Locked lock(mutex_);
  return notification_;
}

// --- files

ErrnoOr<std::size_t> PosixQueueFile::read_at(vfs::IoBuffer& to, std::uint64_t offset,
                                             vfs::Caller&) {
  auto padded = [](std::uint64_t value, std::size_t width) {
    std::string digits = cat(value);
    return digits.append(width - std::min(width, digits.size()), ' ');
  };
  auto notified = queue_->notification();
  auto id = notified ? static_cast<std::uint64_t>(notified->group->id()) : 0;
  auto signal = notified ? static_cast<std::uint64_t>(notified->signal) : 0;
  std::string text = cat("QSIZE:", padded(queue_->total_bytes(), 10), " NOTIFY:", padded(0, 5),
                         " SIGNO:", padded(signal, 5), " NOTIFY_PID:", padded(id, 6), "\n");
  if (offset >= text.size()) return 0;
  return to.put(std::as_bytes(std::span(text).subspan(offset)));
}

ErrnoOr<vfs::Attributes> PosixQueueFile::attributes() {
  vfs::Attributes told;
  told.mode = S_IFREG | queue_->mode;
  told.uid = queue_->uid;
  told.gid = queue_->gid;
  told.size = 80;  // FILENT_SIZE of Linux
  return told;
}

vfs::ReadyMask PosixQueueFile::ready() {
  std::size_t count = queue_->count();
  vfs::ReadyMask mask = count != 0 ? POLLIN | POLLRDNORM : 0;
  if (count < static_cast<std::size_t>(queue_->shape.most)) mask |= POLLOUT | POLLWRNORM;
  return mask;
}

void PosixQueueFile::descriptor_closed(vfs::Caller* owner) {
  if (owner != nullptr) queue_->forget_notification(static_cast<Task*>(owner)->group());
}

}  // namespace caisson::sandbox::kernel
