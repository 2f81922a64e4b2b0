#include "linux/listener.h"

#include <cstddef>

#include "base/clock.h"
#include "linux/launch_data.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

// The load of a filter takes the kernel a fraction of a millisecond.
constexpr int kPollUs = 50;

void answer(FdRef page, std::int32_t word) {
  (void)sys::call(SYS_pwrite64, page.number(), &word, sizeof word, offsetof(ListenerPage, taken));
}

void sleep_us(long us) {
  timespec time{0, us * 1000};
  sys::raw(SYS_nanosleep, &time, nullptr);
}

// The number of the listener in the launcher. Read as a file: a mapping could be cut off under us.
ErrnoOr<int> wait_for_listener(FdRef page, FdRef pidfd, int timeout_ms) {
  auto deadline = Deadline::in_ms(timeout_ms);
  for (;;) {
    ListenerPage now;
    TRY(sys::call(SYS_pread64, page.number(), &now, sizeof now, 0));
    if (now.listener != 0) return now.listener - 1;
    if (TRY(sys::wait_readable(pidfd, 0))) return std::unexpected(Errno{ESRCH});
    if (deadline.passed()) return std::unexpected(Errno{ETIMEDOUT});
    sleep_us(kPollUs);
  }
}

Error fetch_error(Errno error) {
  Error out = Error(error).doing("fetch the listener of the seccomp filter");
  if (error.value != EPERM) return out;
  return std::move(out).cure(
      "the runtime must be allowed to trace the container's init; kernel.yama.ptrace_scope must be "
      "below 3");
}

Result<> fetch_and_deliver(FdRef page, int pid, FdRef pidfd, int timeout_ms,
                           const plan::ListenerFunction& deliver) {
  auto number = wait_for_listener(page, pidfd, timeout_ms);
  if (!number) return std::unexpected(fetch_error(number.error()));
  auto listener = sys::pidfd_getfd(pidfd, *number);
  if (!listener) return std::unexpected(fetch_error(listener.error()));
  return deliver(*listener, pid);
}

}  // namespace

Result<> pass_listener_on(FdRef page, int pid, FdRef pidfd, int timeout_ms,
                          const plan::ListenerFunction& deliver) {
  auto delivered = fetch_and_deliver(page, pid, pidfd, timeout_ms, deliver);
  constexpr std::int32_t kGoOn = 1, kEnd = 2;
  answer(page, delivered ? kGoOn : kEnd);
  if (delivered) return {};
  return std::unexpected(std::move(delivered).error().step("seccomp"));
}

}  // namespace caisson::linux
