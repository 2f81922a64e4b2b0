// IpcNamespace: the System V objects and POSIX message queues that its members see
// (ipc_namespaces(7)).
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/mutex.h"
#include "sandbox/kernel/message_queues.h"
#include "sandbox/kernel/namespaces.h"
#include "sandbox/kernel/posix_queue.h"
#include "sandbox/kernel/semaphores.h"
#include "sandbox/kernel/shared_segments.h"

namespace caisson::sandbox::kernel {

class IpcNamespace final : public OpaqueNamespace {
 public:
  // One lock for all of it: held for a few steps at a time, and files and memory are not touched
  // under it.
  mutable Mutex mutex;
  IpcTable<SharedSegment> segments{SharedSegment::kMostSegments};
  IpcTable<SemaphoreSet> semaphores{SemaphoreSet::kMostSets};
  IpcTable<MessageQueue> messages{MessageQueue::kMostQueues};
  std::set<SemaphoreUndo*> undos;
  std::map<std::string, Ref<PosixQueue>> queues;  // by name

  Ref<OpaqueNamespace> make_another() const override { return make_ref<IpcNamespace>(); }
  IpcNamespace* ipc() override { return this; }
  bool is_empty() const {
    Locked lock(mutex);
    return segments.is_empty() && semaphores.is_empty() && messages.is_empty() && queues.empty();
  }

 private:
  ~IpcNamespace() override = default;
};

}  // namespace caisson::sandbox::kernel
