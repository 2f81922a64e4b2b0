#include "sandbox/kernel/file_owner.h"

#include <poll.h>

#include <csignal>
#include <utility>

namespace caisson::sandbox::kernel {
namespace {

constexpr vfs::ReadyMask kReads = POLLIN | POLLRDNORM | POLLHUP | POLLERR | POLLPRI;
constexpr vfs::ReadyMask kWrites = POLLOUT | POLLWRNORM | POLLERR;

struct Reason {
  vfs::ReadyMask ready;
  int code;
};
// band_table of Linux' fcntl.c, the most telling first.
constexpr Reason kReasons[] = {{POLLPRI, POLL_PRI},
                               {POLLIN, POLL_IN},
                               {POLLHUP, POLL_HUP},
                               {POLLERR, POLL_ERR},
                               {POLLOUT, POLL_OUT}};

std::int64_t band_of(int code) {
  switch (code) {
    case POLL_PRI: return POLLPRI | POLLRDBAND;
    case POLL_IN: return POLLIN | POLLRDNORM;
    case POLL_HUP: return POLLHUP | POLLERR;
    case POLL_ERR: return POLLERR;
    default: return POLLOUT | POLLWRNORM | POLLWRBAND;
  }
}

}  // namespace

FileOwner::FileOwner(Kernel& kernel) : WaitEntry(0), Timer(kernel.timers()), kernel_(kernel) {}

FileOwner::~FileOwner() {
  leave();
  disarm();
}

Ref<FileOwner> FileOwner::of(Kernel& kernel, vfs::File& file) {
  if (Ref<FileOwner> known = known_of(file)) return known;
  auto made = Ref<FileOwner>::adopt(new FileOwner(kernel));
  file.set_owner(made);
  return made;
}

Ref<FileOwner> FileOwner::known_of(const vfs::File& file) {
  return Ref<FileOwner>::share(static_cast<FileOwner*>(file.owner().get()));
}

void FileOwner::set_who(const Task& caller, Who who) {
  Locked lock(mutex_);
  who_ = who;
  namespace_ = caller.group().pid_namespace;
  uid_ = caller.credentials().uid;
  euid_ = caller.credentials().euid;
}

FileOwner::Who FileOwner::who() const {
  Locked lock(mutex_);
  return who_;
}

void FileOwner::set_signal(int signal) {
  Locked lock(mutex_);
  signal_ = signal;
}

int FileOwner::signal() const {
  Locked lock(mutex_);
  return signal_;
}

void FileOwner::watch(vfs::File& file, int fd) {
  leave();
  vfs::WaitQueue* queue = file.wait_queue();
  if (queue == nullptr) return;
  {
    Locked lock(mutex_);
    fd_ = fd;
  }
  set_mask((file.readable() ? kReads : 0) | (file.writable() ? kWrites : 0));
  queue->add(*this);
  queue_ = queue;
}

void FileOwner::leave() {
  if (vfs::WaitQueue* queue = std::exchange(queue_, nullptr)) queue->remove(*this);
}

void FileOwner::notified(vfs::ReadyMask ready) {
  ready_.fetch_or(ready & mask(), std::memory_order_acq_rel);
  arm(0);
}

void FileOwner::expired() {
  vfs::ReadyMask ready = ready_.exchange(0, std::memory_order_acq_rel);
  int chosen = signal();
  for (const Reason& reason : kReasons) {
    if ((ready & reason.ready) == 0) continue;
    SignalInfo info = SignalInfo::kernel(chosen != 0 ? chosen : SIGIO);
    if (chosen != 0) {
      info.code = reason.code;
      info.band = band_of(reason.code);
      Locked lock(mutex_);
      info.fd = fd_;
    }
    send(info);
    if (chosen == 0) return;
  }
}

// sigio_perm() of Linux.
bool FileOwner::may_signal(const Task& target) const {
  Ref<vfs::Credentials> to = target.credentials_ref();
  return to && (euid_ == 0 || euid_ == to->suid || euid_ == to->uid || uid_ == to->suid ||
                uid_ == to->uid);
}

void FileOwner::send(const SignalInfo& info) {
  Who who = this->who();
  if (who.id <= 0 || !namespace_) return;
  Locked tree(kernel_.task_lock());
  if (who.kind == Kind::kGroup) {
    ProcessGroup* group = kernel_.find_process_group(*namespace_, who.id);
    if (group == nullptr) return;
    for (ThreadGroup* member : group->members)
      if (may_signal(*member->leader)) (void)kernel_.signal_group(*member, info);
    return;
  }
  // What cannot be queued is told as SIGIO, as in Linux.
  Task* task = kernel_.find_task(*namespace_, who.id);
  if (task == nullptr || !may_signal(*task)) return;
  bool to_thread = who.kind == Kind::kThread;
  auto sent =
      to_thread ? kernel_.signal_task(*task, info) : kernel_.signal_group(task->group(), info);
  if (!sent) (void)kernel_.signal_group(task->group(), SignalInfo::kernel(SIGIO));
}

}  // namespace caisson::sandbox::kernel
