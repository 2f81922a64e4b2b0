// POSIX message queues (mq_overview(7)): named in an IPC namespace, opened as files.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

class PosixQueue final : public RefCounted {
 public:
  static constexpr std::size_t kMostQueues = 256;
  static constexpr std::int64_t kMostMessages = 10, kLargest = 8192;  // and what a new one has
  static constexpr std::int64_t kMostOfPrivileged = 65536, kLargestOfPrivileged = 1 << 24;
  static constexpr std::uint32_t kPriorities = 32768;

  struct Shape {
    std::int64_t most = kMostMessages, largest = kLargest;
    std::uint64_t bytes() const;  // as RLIMIT_MSGQUEUE counts it
  };
  // EMFILE: more than the user may have.
  static ErrnoOr<Ref<PosixQueue>> create(Kernel& kernel, const vfs::Credentials& owner,
                                         std::uint32_t mode, const Shape& shape,
                                         std::uint64_t limit);

  const std::uint32_t mode;
  const vfs::Uid uid;
  const vfs::Gid gid;
  const Shape shape;
  ErrnoOr<> check(const vfs::Credentials& who, int mask) const;  // EACCES

  struct Message {
    std::uint32_t priority = 0;
    std::vector<std::byte> bytes;
  };
  ErrnoOr<> add(Message message, const Task& sender);  // EAGAIN: there is no room
  ErrnoOr<Message> take();                             // EAGAIN: there is none
  std::size_t count() const;
  std::size_t total_bytes() const;
  // One who waits for a message: then nobody is notified.
  void change_receivers(int by);

  // mq_notify(2): once, when a message comes to an empty queue. EBUSY.
  struct Notification {
    Ref<ThreadGroup> group;
    int signal = 0;  // 0: it is only kept
    std::uint64_t value = 0;
  };
  ErrnoOr<> notify(Notification wanted);
  void forget_notification(const ThreadGroup& group);
  std::optional<Notification> notification() const;

  vfs::WaitQueue& queue() { return queue_; }

 private:
  PosixQueue(Kernel& kernel, const vfs::Credentials& owner, std::uint32_t its_mode,
             const Shape& its_shape);
  ~PosixQueue() override;

  Kernel& kernel_;
  mutable Mutex mutex_;
  std::map<std::uint32_t, std::deque<Message>, std::greater<>> messages_;  // by priority
  std::size_t count_ = 0, bytes_ = 0;
  int receivers_ = 0;
  std::optional<Notification> notification_;
  vfs::WaitQueue queue_;
};

class PosixQueueFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  PosixQueueFile(Ref<PosixQueue> queue, std::string name, std::uint32_t flags)
      : File({}, {}, flags), queue_(std::move(queue)), name_(std::move(name)) {}
  PosixQueue& queue() const { return *queue_; }

  const void* kind() const override { return &kKind; }
  // What it holds, as text. EINVAL for writes.
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<vfs::Attributes> attributes() override;
  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &queue_->queue(); }
  void descriptor_closed(vfs::Caller* owner) override;
  std::string link_text(const vfs::Path&) override { return "/" + name_; }

 private:
  ~PosixQueueFile() override = default;
  const Ref<PosixQueue> queue_;
  const std::string name_;
};

}  // namespace caisson::sandbox::kernel
