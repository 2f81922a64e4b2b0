#include "sandbox/syscalls/poll_wait.h"

#include <fcntl.h>

#include <cerrno>
#include <deque>

namespace caisson::sandbox::syscalls {
namespace {

std::size_t look(Task& task, std::span<Polled> files) {
  std::size_t count = 0;
  for (Polled& each : files) {
    if (!each.file) continue;
    each.found = each.file->ready_for(task) & each.wanted;
    if (each.found != 0) ++count;
  }
  return count;
}

// One waiter per file, in the files' queues for a scope.
class Waiters {
 public:
  Waiters(Task& task, std::span<Polled> files) {
    for (Polled& each : files) {
      vfs::WaitQueue* queue = each.file ? each.file->wait_queue() : nullptr;
      if (queue != nullptr) queue->add(waiters_.emplace_back(task, each.wanted));
    }
  }

 private:
  std::deque<kernel::TaskWaiter> waiters_;  // each leaves its queue when it ends
};

}  // namespace

ErrnoOr<std::size_t> wait_for_any(Task& task, std::span<Polled> files, const Timeout& timeout) {
  std::size_t count = look(task, files);
  if (count > 0 || timeout.immediate) return count;
  Waiters waiters(task, files);
  for (;;) {
    count = look(task, files);
    if (count > 0) return count;
    kernel::WakeReason reason = kernel::sleep(task, timeout.deadline);
    if (reason == kernel::WakeReason::kNotified) continue;
    count = look(task, files);
    if (count == 0 && reason == kernel::WakeReason::kInterrupted)
      return std::unexpected(Errno{EINTR});
    return count;
  }
}

ErrnoOr<Ref<vfs::File>> usable_file(Task& task, int fd) {
  Ref<vfs::File> file = TRY(task.file(fd));
  if ((file->flags() & O_PATH) != 0) return std::unexpected(Errno{EBADF});
  return file;
}

}  // namespace caisson::sandbox::syscalls
