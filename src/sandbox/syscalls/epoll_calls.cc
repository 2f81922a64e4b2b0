#include <fcntl.h>
#include <sys/epoll.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "sandbox/fs/epoll/epoll.h"
#include "sandbox/syscalls/event_calls.h"
#include "sandbox/syscalls/poll_timeout.h"
#include "sandbox/syscalls/poll_wait.h"

namespace caisson::sandbox::syscalls {
namespace {

Value create(Task& task, std::uint32_t flags) {
  if ((flags & ~std::uint32_t{EPOLL_CLOEXEC}) != 0) return std::unexpected(Errno{EINVAL});
  return TRY(task.add_file(make_ref<fs::EpollFile>(0U), (flags & EPOLL_CLOEXEC) != 0));
}

ErrnoOr<fs::EpollFile*> as_epoll(vfs::File& file) {
  auto* epoll = vfs::file_as<fs::EpollFile>(file);
  if (epoll == nullptr) return std::unexpected(Errno{EINVAL});
  return epoll;
}

// Waits until there are events; none: the time is over. EINTR.
ErrnoOr<std::vector<fs::EpollEvent>> wait_for_events(Task& task, fs::EpollFile& epoll,
                                                     std::size_t most, const Timeout& timeout) {
  bool over = timeout.immediate;
  bool interrupted = false;
  for (;;) {
    std::vector<fs::EpollEvent> events = epoll.collect(most, task);
    if (!events.empty() || over) return events;
    if (interrupted) return std::unexpected(Errno{EINTR});
    kernel::TaskWaiter waiter(task);
    epoll.wait_queue()->add(waiter, true);
    if (!epoll.has_candidates()) {
      kernel::WakeReason reason = kernel::sleep(task, timeout.deadline);
      over = reason == kernel::WakeReason::kTimeout;
      interrupted = reason == kernel::WakeReason::kInterrupted;
    }
    epoll.wait_queue()->remove(waiter);
  }
}

ErrnoOr<> store_events(Task& task, UserPtr<epoll_event> address,
                       const std::vector<fs::EpollEvent>& events) {
  std::vector<epoll_event> told(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    told[i].events = events[i].events;
    told[i].data.u64 = events[i].data;
  }
  return address.store(task.memory(), std::span<const epoll_event>(told));
}

Value wait(Task& task, const Arguments& arguments, const Timeout& timeout) {
  int most = arguments.i32(2);
  if (most <= 0 || most > INT_MAX / static_cast<int>(sizeof(epoll_event)))
    return std::unexpected(Errno{EINVAL});
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  fs::EpollFile* epoll = TRY(as_epoll(*file));
  auto events = wait_for_events(task, *epoll, static_cast<std::size_t>(most), timeout);
  epoll->pass_on();  // this task may have been the only one that was told of more
  if (!events) return std::unexpected(events.error());
  if (!events->empty()) TRY(store_events(task, arguments.pointer<epoll_event>(1), *events));
  return static_cast<std::int64_t>(events->size());
}

}  // namespace

Value call_epoll_create(Task& task, const Arguments& arguments) {
  if (arguments.i32(0) <= 0) return std::unexpected(Errno{EINVAL});
  return create(task, 0);
}

Value call_epoll_create1(Task& task, const Arguments& arguments) {
  return create(task, arguments.u32(0));
}

Value call_epoll_ctl(Task& task, const Arguments& arguments) {
  int operation = arguments.i32(1);
  int fd = arguments.i32(2);
  fs::EpollEvent event;
  if (operation != EPOLL_CTL_DEL) {
    auto given = TRY(arguments.pointer<epoll_event>(3).load(task.memory()));
    event = {given.events, given.data.u64};
  }
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  Ref<vfs::File> target = TRY(usable_file(task, fd));
  if (target->wait_queue() == nullptr) return std::unexpected(Errno{EPERM});
  fs::EpollFile* epoll = TRY(as_epoll(*file));
  ErrnoOr<> result = std::unexpected(Errno{EINVAL});
  if (operation == EPOLL_CTL_ADD) result = epoll->add(*target, fd, event, task);
  if (operation == EPOLL_CTL_MOD) result = epoll->modify(*target, fd, event, task);
  if (operation == EPOLL_CTL_DEL) result = epoll->remove(*target, fd);
  TRY(result);
  return 0;
}

Value call_epoll_wait(Task& task, const Arguments& arguments) {
  return wait(task, arguments, timeout_after_ms(task.kernel(), arguments.i32(3)));
}

Value call_epoll_pwait(Task& task, const Arguments& arguments) {
  TRY(use_temporary_mask(task, arguments.u64(4), arguments.u64(5)));
  return wait(task, arguments, timeout_after_ms(task.kernel(), arguments.i32(3)));
}

Value call_epoll_pwait2(Task& task, const Arguments& arguments) {
  Timeout timeout = TRY(load_timeout(task, arguments.pointer<KernelTimespec>(3)));
  TRY(use_temporary_mask(task, arguments.u64(4), arguments.u64(5)));
  return wait(task, arguments, timeout);
}

}  // namespace caisson::sandbox::syscalls
