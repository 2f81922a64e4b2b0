#include "sandbox/syscalls/queue_calls.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "sandbox/kernel/posix_queue.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/syscalls/ipc_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::IpcNamespace;
using kernel::PosixQueue;
using kernel::PosixQueueFile;

constexpr std::size_t kLongestName = 255;

struct QueueAttributes {  // struct mq_attr
  std::int64_t flags = 0, most = 0, largest = 0, count = 0;
  std::array<std::int64_t, 4> unused{};
};

ErrnoOr<std::string> load_name(Task& task, std::uint64_t address) {
  std::string name = TRY(load_path(task, address));
  if (name.empty() || name == "." || name == "..") return fail(name.empty() ? ENOENT : EACCES);
  if (name.find('/') != std::string::npos) return fail(EACCES);
  if (name.size() > kLongestName) return fail(ENAMETOOLONG);
  return name;
}

ErrnoOr<PosixQueue::Shape> load_shape(Task& task, std::uint64_t address) {
  PosixQueue::Shape shape;
  if (address == 0) return shape;
  auto given = TRY(load<QueueAttributes>(task, address));
  bool privileged = task.credentials().has(CAP_SYS_RESOURCE);
  std::int64_t most = privileged ? PosixQueue::kMostOfPrivileged : PosixQueue::kMostMessages;
  std::int64_t largest = privileged ? PosixQueue::kLargestOfPrivileged : PosixQueue::kLargest;
  if (given.most <= 0 || given.largest <= 0 || given.most > most || given.largest > largest)
    return fail(EINVAL);
  shape.most = given.most;
  shape.largest = given.largest;
  return shape;
}

int access_of(std::uint32_t flags) {
  if ((flags & O_ACCMODE) == O_RDONLY) return R_OK;
  return (flags & O_ACCMODE) == O_WRONLY ? W_OK : R_OK | W_OK;
}

// The queue of that name, or a new one. Under the namespace's lock.
ErrnoOr<Ref<PosixQueue>> find_or_make(Task& task, IpcNamespace& ipc, const std::string& name,
                                      std::uint32_t flags, std::uint32_t mode,
                                      const ErrnoOr<PosixQueue::Shape>& shape) {
  auto known = ipc.queues.find(name);
  if (known != ipc.queues.end()) {
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return fail(EEXIST);
    TRY(known->second->check(task.credentials(), access_of(flags)));
    return known->second;
  }
  if ((flags & O_CREAT) == 0) return fail(ENOENT);
  if (!shape) return std::unexpected(shape.error());
  if (ipc.queues.size() >= PosixQueue::kMostQueues && !task.credentials().has(CAP_SYS_RESOURCE))
    return fail(ENOSPC);
  constexpr int kMessageQueues = 12;  // RLIMIT_MSGQUEUE
  std::uint64_t limit = task.group().limit(kMessageQueues).soft;
  Ref<PosixQueue> made = TRY(PosixQueue::create(task.kernel(), task.credentials(),
                                                mode & 0777U & ~task.fs().umask(), *shape, limit));
  ipc.queues[name] = made;
  return made;
}

struct OpenQueue {
  Ref<vfs::File> file;
  PosixQueue& queue;
};

ErrnoOr<OpenQueue> open_queue(Task& task, int fd) {
  Ref<vfs::File> file = TRY(usable_file(task, fd));
  auto* opened = vfs::file_as<PosixQueueFile>(*file);
  if (opened == nullptr) return fail(EBADF);
  return OpenQueue{std::move(file), opened->queue()};
}

// A moment of CLOCK_REALTIME; null: none.
ErrnoOr<kernel::Deadline> load_deadline(Task& task, std::uint64_t address) {
  if (address == 0) return kernel::Deadline();
  std::int64_t moment = TRY(to_nanoseconds(TRY(load<GuestTime>(task, address)), kNanosecond));
  kernel::Kernel& kernel = task.kernel();
  return kernel::Deadline(kernel.monotonic_ns() + (moment - kernel.realtime_ns()));
}

template <typename Attempt>
auto attempt_queue(Task& task, const OpenQueue& opened, kernel::Deadline deadline, Attempt attempt)
    -> decltype(attempt()) {
  if (opened.file->nonblocking()) return attempt();
  auto result =
      kernel::wait_until_done(task, opened.queue.queue(), ~vfs::ReadyMask{0}, deadline, attempt);
  if (!result && result.error().value == EAGAIN) return fail(ETIMEDOUT);
  return result;
}

}  // namespace

Value call_mq_open(Task& task, const Arguments& arguments) {
  std::uint32_t flags = arguments.u32(1);
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  std::string name = TRY(load_name(task, arguments.u64(0)));
  bool makes = (flags & O_CREAT) != 0;
  ErrnoOr<PosixQueue::Shape> shape = PosixQueue::Shape{};
  if (makes) shape = load_shape(task, arguments.u64(3));
  if (!shape && shape.error().value == EFAULT) return fail(EFAULT);
  Ref<PosixQueue> queue;
  {
    Locked lock(ipc->mutex);
    queue = TRY(find_or_make(task, *ipc, name, flags, arguments.u32(2), shape));
  }
  constexpr std::uint32_t kKept = O_ACCMODE | O_NONBLOCK;
  auto file = make_ref<PosixQueueFile>(std::move(queue), std::move(name), flags & kKept);
  return TRY(task.add_file(std::move(file), true));  // mq_open(3) sets O_CLOEXEC itself
}

Value call_mq_unlink(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  std::string name = TRY(load_name(task, arguments.u64(0)));
  Ref<PosixQueue> removed;  // dropped after the lock
  Locked lock(ipc->mutex);
  auto known = ipc->queues.find(name);
  if (known == ipc->queues.end()) return fail(ENOENT);
  // As in a sticky directory: the owner's to remove.
  const vfs::Credentials& own = task.credentials();
  bool may = own.fsuid == known->second->uid ||
             own.has_over(known->second->uid, known->second->gid, CAP_FOWNER);
  if (!may) return fail(EPERM);
  removed = std::move(known->second);
  ipc->queues.erase(known);
  return 0;
}

Value call_mq_timedsend(Task& task, const Arguments& arguments) {
  std::uint64_t size = arguments.u64(2);
  if (arguments.u32(3) >= PosixQueue::kPriorities) return fail(EINVAL);
  kernel::Deadline deadline = TRY(load_deadline(task, arguments.u64(4)));
  OpenQueue opened = TRY(open_queue(task, arguments.i32(0)));
  if (!opened.file->writable()) return fail(EBADF);
  if (size > static_cast<std::uint64_t>(opened.queue.shape.largest)) return fail(EMSGSIZE);
  PosixQueue::Message message{arguments.u32(3), std::vector<std::byte>(size)};
  if (size != 0)
    TRY(UserPtr<std::byte>(arguments.u64(1)).load(task.memory(), std::span(message.bytes)));
  TRY(attempt_queue(task, opened, deadline, [&] { return opened.queue.add(message, task); }));
  return 0;
}

Value call_mq_timedreceive(Task& task, const Arguments& arguments) {
  kernel::Deadline deadline = TRY(load_deadline(task, arguments.u64(4)));
  OpenQueue opened = TRY(open_queue(task, arguments.i32(0)));
  if (!opened.file->readable()) return fail(EBADF);
  if (arguments.u64(2) < static_cast<std::uint64_t>(opened.queue.shape.largest))
    return fail(EMSGSIZE);
  opened.queue.change_receivers(1);
  auto taken = attempt_queue(task, opened, deadline, [&] { return opened.queue.take(); });
  opened.queue.change_receivers(-1);
  if (!taken) return std::unexpected(taken.error());
  TRY(store_if(task, arguments.u64(3), taken->priority));
  std::span<const std::byte> bytes(taken->bytes);
  if (!bytes.empty()) TRY(UserPtr<std::byte>(arguments.u64(1)).store(task.memory(), bytes));
  return static_cast<std::int64_t>(bytes.size());
}

Value call_mq_notify(Task& task, const Arguments& arguments) {
  struct Event {  // the part of struct sigevent that counts
    std::uint64_t value = 0;
    std::int32_t signal = 0, kind = 0;
  };
  std::uint64_t address = arguments.u64(1);
  Event event;
  if (address != 0) {
    event = TRY(load<Event>(task, address));
    bool known = event.kind == SIGEV_NONE || event.kind == SIGEV_SIGNAL;
    // SIGEV_THREAD is the C library's, which has it told by a socket of netlink.
    if (!known) return fail(event.kind == SIGEV_THREAD ? ENOSYS : EINVAL);
    if (event.kind == SIGEV_SIGNAL && !kernel::is_valid_signal(event.signal)) return fail(EINVAL);
  }
  OpenQueue opened = TRY(open_queue(task, arguments.i32(0)));
  if (address == 0) {
    opened.queue.forget_notification(task.group());
    return 0;
  }
  TRY(opened.queue.notify({Ref<kernel::ThreadGroup>::share(&task.group()),
                           event.kind == SIGEV_SIGNAL ? event.signal : 0, event.value}));
  return 0;
}

Value call_mq_getsetattr(Task& task, const Arguments& arguments) {
  QueueAttributes given;
  bool sets = arguments.u64(1) != 0;
  if (sets) given = TRY(load<QueueAttributes>(task, arguments.u64(1)));
  if ((given.flags & ~std::int64_t{O_NONBLOCK}) != 0) return fail(EINVAL);
  OpenQueue opened = TRY(open_queue(task, arguments.i32(0)));
  QueueAttributes before;
  before.flags = opened.file->flags() & std::uint32_t{O_NONBLOCK};
  before.most = opened.queue.shape.most;
  before.largest = opened.queue.shape.largest;
  before.count = static_cast<std::int64_t>(opened.queue.count());
  if (sets) {
    auto wanted = static_cast<std::uint32_t>(given.flags);
    opened.file->set_flags((opened.file->flags() & ~std::uint32_t{O_NONBLOCK}) | wanted);
  }
  TRY(store_if(task, arguments.u64(2), before));
  return 0;
}

}  // namespace caisson::sandbox::syscalls
