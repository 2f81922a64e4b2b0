// timerfd_*(2) and signalfd(2).
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <cerrno>
#include <limits>

#include "sandbox/fs/signalfd/signalfd.h"
#include "sandbox/fs/timerfd/timerfd.h"
#include "sandbox/syscalls/event_calls.h"
#include "sandbox/syscalls/poll_timeout.h"
#include "sandbox/syscalls/poll_wait.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// --- timerfd

struct KernelItimerspec {
  KernelTimespec interval, value;
};

bool is_valid(const KernelTimespec& time) {
  return time.seconds >= 0 && time.nanoseconds >= 0 && time.nanoseconds < kSecond;
}

std::int64_t nanoseconds(const KernelTimespec& time) {
  if (time.seconds >= kNever / kSecond) return kNever;
  return time.seconds * kSecond + time.nanoseconds;
}

KernelItimerspec told(const fs::TimerFile::Setting& setting) {
  return {{setting.interval / kSecond, setting.interval % kSecond},
          {setting.value / kSecond, setting.value % kSecond}};
}

ErrnoOr<fs::TimerFile*> as_timer(vfs::File& file) {
  auto* timer = vfs::file_as<fs::TimerFile>(file);
  if (timer == nullptr) return std::unexpected(Errno{EINVAL});
  return timer;
}

// --- signalfd

Value make_signalfd(Task& task, const Arguments& arguments, std::uint32_t flags) {
  if (arguments.u64(2) != sizeof(kernel::SignalSet)) return std::unexpected(Errno{EINVAL});
  if ((flags & ~std::uint32_t{SFD_CLOEXEC | SFD_NONBLOCK}) != 0)
    return std::unexpected(Errno{EINVAL});
  auto mask = TRY(arguments.pointer<kernel::SignalSet>(1).load(task.memory()));
  int fd = arguments.i32(0);
  if (fd != -1) {
    Ref<vfs::File> file = TRY(usable_file(task, fd));
    auto* known = vfs::file_as<fs::SignalFile>(*file);
    if (known == nullptr) return std::unexpected(Errno{EINVAL});
    known->set_mask(mask);
    return fd;
  }
  auto file = make_ref<fs::SignalFile>(Ref<kernel::ThreadGroup>::share(&task.group()), mask,
                                       O_RDWR | (flags & SFD_NONBLOCK));
  return TRY(task.add_file(std::move(file), (flags & SFD_CLOEXEC) != 0));
}

}  // namespace

Value call_timerfd_create(Task& task, const Arguments& arguments) {
  int clock = arguments.i32(0);
  std::uint32_t flags = arguments.u32(1);
  if ((flags & ~std::uint32_t{TFD_CLOEXEC | TFD_NONBLOCK}) != 0)
    return std::unexpected(Errno{EINVAL});
  if (!fs::TimerFile::is_timer_clock(clock)) return std::unexpected(Errno{EINVAL});
  bool wakes_machine = clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
  if (wakes_machine && !task.credentials().has(CAP_WAKE_ALARM))
    return std::unexpected(Errno{EPERM});
  auto file =
      make_ref<fs::TimerFile>(task.kernel(), clock, O_RDWR | (flags & std::uint32_t{TFD_NONBLOCK}));
  return TRY(task.add_file(std::move(file), (flags & TFD_CLOEXEC) != 0));
}

Value call_timerfd_settime(Task& task, const Arguments& arguments) {
  auto given = TRY(arguments.pointer<KernelItimerspec>(2).load(task.memory()));
  int flags = arguments.i32(1);
  bool known = (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) == 0;
  if (!known || !is_valid(given.value) || !is_valid(given.interval))
    return std::unexpected(Errno{EINVAL});
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  fs::TimerFile* timer = TRY(as_timer(*file));
  auto before = timer->set({nanoseconds(given.value), nanoseconds(given.interval)}, flags);
  if (auto old = arguments.pointer<KernelItimerspec>(3))
    TRY(old.store(task.memory(), told(before)));
  return 0;
}

Value call_timerfd_gettime(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  fs::TimerFile* timer = TRY(as_timer(*file));
  TRY(arguments.pointer<KernelItimerspec>(1).store(task.memory(), told(timer->setting())));
  return 0;
}

Value call_signalfd(Task& task, const Arguments& arguments) {
  return make_signalfd(task, arguments, 0);
}

Value call_signalfd4(Task& task, const Arguments& arguments) {
  return make_signalfd(task, arguments, arguments.u32(3));
}

}  // namespace caisson::sandbox::syscalls
