#include "sandbox/kernel/pidfd.h"

#include <poll.h>

#include "base/text.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

PidFile::PidFile(Ref<ThreadGroup> group, std::uint32_t flags)
    : File({}, nullptr, flags), group_(std::move(group)) {}

vfs::ReadyMask PidFile::ready() {
  // Without the task lock: who is told of the end under that lock may come here.
  if (group_->reaped) return POLLIN | POLLHUP;
  return group_->zombie ? POLLIN : 0;
}

std::string PidFile::link_text(const vfs::Path&) { return "anon_inode:[pidfd]"; }

std::string PidFile::info_text() {
  Locked tree(group_->kernel.task_lock());
  int id = group_->reaped ? -1 : group_->id();
  return cat("Pid:\t", id, "\nNSpid:\t", id, "\n");
}

}  // namespace caisson::sandbox::kernel
