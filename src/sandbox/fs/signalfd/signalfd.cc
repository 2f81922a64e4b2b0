#include "sandbox/fs/signalfd/signalfd.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <span>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

signalfd_siginfo described(const kernel::SignalInfo& info) {
  signalfd_siginfo told{};
  told.ssi_signo = static_cast<std::uint32_t>(info.signal);
  told.ssi_errno = info.error;
  told.ssi_code = info.code;
  told.ssi_pid = static_cast<std::uint32_t>(info.pid);
  told.ssi_uid = info.uid;
  told.ssi_fd = info.fd < 0 ? 0 : info.fd;
  told.ssi_tid = static_cast<std::uint32_t>(info.timer);
  told.ssi_band = static_cast<std::uint32_t>(info.band);
  told.ssi_overrun = static_cast<std::uint32_t>(info.overrun);
  told.ssi_status = info.status;
  told.ssi_int = static_cast<std::int32_t>(info.value);
  told.ssi_ptr = info.value;
  told.ssi_utime = static_cast<std::uint64_t>(info.user_time);
  told.ssi_stime = static_cast<std::uint64_t>(info.system_time);
  told.ssi_addr = info.address;
  return told;
}

}  // namespace

SignalFile::SignalFile(Ref<kernel::ThreadGroup> maker, kernel::SignalSet mask, std::uint32_t flags)
    : AnonymousFile("[signalfd]", flags),
      maker_(std::move(maker)),
      mask_(mask & ~kernel::kUnblockable) {}

void SignalFile::set_mask(kernel::SignalSet mask) {
  mask_.store(mask & ~kernel::kUnblockable);
  maker_->signal_arrivals.notify(POLLIN);  // what was pending may be wanted now
}

ErrnoOr<std::size_t> SignalFile::read(vfs::IoBuffer& to, vfs::Caller& caller) {
  auto& task = static_cast<kernel::Task&>(caller);
  if (to.remaining() < sizeof(signalfd_siginfo)) return std::unexpected(Errno{EINVAL});
  std::size_t total = 0;
  while (to.remaining() >= sizeof(signalfd_siginfo)) {
    kernel::SignalInfo info = kernel::Kernel::take_signal(task, mask_.load());
    if (info.signal == 0) break;
    signalfd_siginfo told = described(info);
    auto put = to.put(std::as_bytes(std::span(&told, 1)));
    if (total == 0 && (!put || *put != sizeof told)) return std::unexpected(Errno{EFAULT});
    if (!put || *put != sizeof told) break;
    total += sizeof told;
  }
  if (total == 0) return std::unexpected(Errno{EAGAIN});
  return total;
}

vfs::ReadyMask SignalFile::ready() {
  Locked lock(maker_->signal_mutex);
  return (maker_->pending.set() & mask_.load()) != 0 ? POLLIN : 0;
}

vfs::ReadyMask SignalFile::ready_for(vfs::Caller& caller) {
  auto& task = static_cast<kernel::Task&>(caller);
  Locked lock(task.group().signal_mutex);
  kernel::SignalSet pending = task.pending.set() | task.group().pending.set();
  return (pending & mask_.load()) != 0 ? POLLIN : 0;
}

std::string SignalFile::info_text() {
  std::string digits = hex(mask_.load());
  return cat("sigmask:\t", std::string(16 - digits.size(), '0'), digits, "\n");
}

}  // namespace caisson::sandbox::fs
