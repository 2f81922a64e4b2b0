// msgget(2), msgsnd(2), msgrcv(2), msgctl(2).
#include <linux/capability.h>
#include <poll.h>
#include <sys/msg.h>

#include "sandbox/syscalls/ipc_calls.h"
#include "sandbox/syscalls/ipc_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::IpcNamespace;
using kernel::Message;
using kernel::MessageQueue;

constexpr int kCopy = 040000;  // MSG_COPY

ErrnoOr<Ref<MessageQueue>> find_queue(Task& task, IpcNamespace& ipc, int id, std::uint32_t wanted) {
  Locked lock(ipc.mutex);
  Ref<MessageQueue> queue = TRY(ipc.messages.find(id));
  TRY(queue->permission.check(task.credentials(), ipc.owner.get(), wanted));
  return queue;
}

// Until `attempt` gives something else than EAGAIN. EIDRM: the queue went.
template <typename Attempt>
auto attempt_queue(Task& task, IpcNamespace& ipc, MessageQueue& queue, bool waits, Attempt attempt)
    -> decltype(attempt()) {
  auto locked = [&]() -> decltype(attempt()) {
    Locked lock(ipc.mutex);
    if (queue.removed) return fail(EIDRM);
    return attempt();
  };
  auto result =
      waits ? kernel::wait_until_done(task, queue.queue, ~vfs::ReadyMask{0}, {}, locked) : locked();
  // Never restarted where a handler runs (signal(7)).
  if (!result && result.error() == kernel::kRestart)
    return std::unexpected(kernel::kRestartIfNoHandler);
  return result;
}

msqid_ds status_of(const MessageQueue& queue) {
  msqid_ds told{};
  tell_permission(queue.permission, told.msg_perm);
  told.msg_stime = queue.sent;
  told.msg_rtime = queue.received;
  told.msg_ctime = queue.changed;
  told.__msg_cbytes = queue.bytes;
  told.msg_qnum = queue.messages.size();
  told.msg_qbytes = queue.room;
  told.msg_lspid = queue.last_sender;
  told.msg_lrpid = queue.last_receiver;
  return told;
}

Value tell_status(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  msqid_ds told{};
  std::int64_t answer = 0;
  {
    Locked lock(ipc.mutex);
    bool by_index = command != IPC_STAT;
    Ref<MessageQueue> queue = TRY(by_index ? ipc.messages.at_index(id) : ipc.messages.find(id));
    if (command != MSG_STAT_ANY)
      TRY(queue->permission.check(task.credentials(), ipc.owner.get(), 0444));
    told = status_of(*queue);
    if (by_index) answer = queue->permission.id;
  }
  TRY(store(task, address, told));
  return answer;
}

Value tell_limits(Task& task, IpcNamespace& ipc, int command, std::uint64_t address) {
  struct msginfo told{};
  told.msgmni = MessageQueue::kMostQueues;
  told.msgmax = MessageQueue::kLargest;
  told.msgmnb = MessageQueue::kDefaultRoom;
  told.msgssz = 16;
  told.msgseg = 0xffff;
  told.msgmap = told.msgtql = MessageQueue::kDefaultRoom;
  told.msgpool = MessageQueue::kMostQueues * MessageQueue::kDefaultRoom / 1024;
  int highest = 0;
  {
    Locked lock(ipc.mutex);
    highest = ipc.messages.highest_index();
    if (command == MSG_INFO) {
      told.msgpool = static_cast<int>(ipc.messages.size());
      told.msgmap = told.msgtql = 0;
      for (const Ref<MessageQueue>& queue : ipc.messages.all()) {
        told.msgmap += static_cast<int>(queue->messages.size());
        told.msgtql += static_cast<int>(queue->bytes);
      }
    }
  }
  TRY(store(task, address, told));
  return highest;
}

Value change_queue(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  msqid_ds given{};
  if (command == IPC_SET) given = TRY(load<msqid_ds>(task, address));
  Ref<MessageQueue> queue;
  {
    Locked lock(ipc.mutex);
    queue = TRY(ipc.messages.find(id));
    TRY(may_control(ipc, queue->permission, task));
    if (command == IPC_SET) {
      bool larger = given.msg_qbytes > MessageQueue::kDefaultRoom;
      if (larger && !task.credentials().has_in(ipc.owner.get(), CAP_SYS_RESOURCE))
        return fail(EPERM);
      take_permission(given.msg_perm, queue->permission);
      queue->room = given.msg_qbytes;
      queue->changed = now_seconds();
    } else {
      queue->removed = true;
      ipc.messages.remove(*queue);
    }
  }
  queue->queue.notify(POLLIN | POLLOUT);
  return 0;
}

}  // namespace

Value call_msgget(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  kernel::IpcRequest request{arguments.i32(0), arguments.u32(1)};
  Locked lock(ipc->mutex);
  Ref<MessageQueue> known = TRY(find_by_key(*ipc, ipc->messages, task, request));
  if (known) return known->permission.id;
  auto made = make_ref<MessageQueue>();
  begin_permission(made->permission, task, request);
  made->changed = now_seconds();
  return TRY(ipc->messages.add(std::move(made)));
}

Value call_msgsnd(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  std::uint64_t address = arguments.u64(1), size = arguments.u64(2);
  Message message;
  message.type = TRY(load<std::int64_t>(task, address));
  if (message.type < 1 || size > MessageQueue::kLargest || arguments.i32(0) < 0)
    return fail(EINVAL);
  message.bytes.resize(size);
  if (size != 0) TRY(UserPtr<std::byte>(address + 8).load(task.memory(), std::span(message.bytes)));
  Ref<MessageQueue> queue = TRY(find_queue(task, *ipc, arguments.i32(0), 0222));
  auto attempt = [&]() -> ErrnoOr<> {
    if (!queue->has_room(size)) return fail(EAGAIN);
    queue->add(std::move(message));
    queue->sent = now_seconds();
    queue->last_sender = task.group().id();
    return {};
  };
  TRY(attempt_queue(task, *ipc, *queue, (arguments.i32(3) & IPC_NOWAIT) == 0, attempt));
  queue->queue.notify(POLLIN);
  return 0;
}

Value call_msgrcv(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  int flags = arguments.i32(4);
  if (arguments.i32(0) < 0 || arguments.i64(2) < 0) return fail(EINVAL);
  if ((flags & kCopy) != 0) return fail(ENOSYS);
  MessageQueue::Wanted wanted{arguments.i64(3), (flags & MSG_EXCEPT) != 0,
                              (flags & MSG_NOERROR) != 0, arguments.u64(2)};
  Ref<MessageQueue> queue = TRY(find_queue(task, *ipc, arguments.i32(0), 0444));
  auto attempt = [&]() -> ErrnoOr<Message> {
    Message taken = TRY(queue->take(wanted));
    queue->received = now_seconds();
    queue->last_receiver = task.group().id();
    return taken;
  };
  bool waits = (flags & IPC_NOWAIT) == 0;
  auto taken = attempt_queue(task, *ipc, *queue, waits, attempt);
  if (!taken) return fail(taken.error().value == EAGAIN ? ENOMSG : taken.error().value);
  queue->queue.notify(POLLOUT);
  std::size_t size = std::min<std::size_t>(taken->bytes.size(), wanted.most);
  TRY(store(task, arguments.u64(1), taken->type));
  std::span<const std::byte> bytes = std::span(taken->bytes).first(size);
  if (size != 0) TRY(UserPtr<std::byte>(arguments.u64(1) + 8).store(task.memory(), bytes));
  return static_cast<std::int64_t>(size);
}

Value call_msgctl(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  int id = arguments.i32(0), command = arguments.i32(1) & ~kNewLayout;
  std::uint64_t address = arguments.u64(2);
  if (id < 0) return fail(EINVAL);
  switch (command) {
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY: return tell_status(task, *ipc, id, command, address);
    case 3 /* IPC_INFO */:
    case MSG_INFO: return tell_limits(task, *ipc, command, address);
    case IPC_SET:
    case IPC_RMID: return change_queue(task, *ipc, id, command, address);
    default: return fail(EINVAL);
  }
}

}  // namespace caisson::sandbox::syscalls
