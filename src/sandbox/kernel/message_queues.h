// Message queues of System V (msgsnd(2), msgrcv(2), msgctl(2)).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "sandbox/kernel/ipc_object.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

struct Message {
  std::int64_t type = 0;
  std::vector<std::byte> bytes;
};

class MessageQueue final : public RefCounted {
 public:
  static constexpr std::size_t kMostQueues = 32000;     // MSGMNI
  static constexpr std::size_t kLargest = 8192;         // MSGMAX
  static constexpr std::uint64_t kDefaultRoom = 16384;  // MSGMNB

  IpcPermission permission;
  // Under the namespace's lock:
  std::deque<Message> messages;
  std::uint64_t bytes = 0, room = kDefaultRoom;
  std::int64_t sent = 0, received = 0, changed = 0;  // times, seconds
  int last_sender = 0, last_receiver = 0;            // as it saw itself
  bool removed = false;
  vfs::WaitQueue queue;  // told of every change

  bool has_room(std::size_t size) const;
  void add(Message message);
  struct Wanted {
    std::int64_t type = 0;  // 0: any; above: this one; below: the lowest up to that
    bool except = false;    // MSG_EXCEPT: any but this one
    bool any_size = false;  // MSG_NOERROR: what is too large is cut off
    std::size_t most = 0;
  };
  // EAGAIN: there is none; E2BIG.
  ErrnoOr<Message> take(const Wanted& wanted);
};

}  // namespace caisson::sandbox::kernel
