#include "sandbox/syscalls/credential_changes.h"

#include <linux/capability.h>
#include <linux/securebits.h>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr vfs::CapabilitySet bit(int capability) { return vfs::CapabilitySet{1} << capability; }
// CAP_FS_MASK.
constexpr vfs::CapabilitySet kFileCapabilities =
    bit(CAP_CHOWN) | bit(CAP_MKNOD) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) |
    bit(CAP_FOWNER) | bit(CAP_FSETID) | bit(CAP_LINUX_IMMUTABLE) | bit(CAP_MAC_OVERRIDE);

bool keeps_root_rules(const vfs::Credentials& credentials) {
  return (credentials.securebits & SECBIT_NO_SETUID_FIXUP) == 0;
}

}  // namespace

void drop_capabilities_of_root(const vfs::Credentials& before, vfs::Credentials& next) {
  if (!keeps_root_rules(before)) return;
  bool was_root = before.uid == 0 || before.euid == 0 || before.suid == 0;
  bool is_root = next.uid == 0 || next.euid == 0 || next.suid == 0;
  if (was_root && !is_root) {
    if (!before.keep_capabilities) next.permitted = next.effective = 0;
    next.ambient = 0;  // also when the others are kept
  }
  if (before.euid == 0 && next.euid != 0) next.effective = 0;
  if (before.euid != 0 && next.euid == 0) next.effective = next.permitted;
}

void drop_file_capabilities_of_root(const vfs::Credentials& before, vfs::Credentials& next) {
  if (!keeps_root_rules(before)) return;
  if (before.fsuid == 0 && next.fsuid != 0) next.effective &= ~kFileCapabilities;
  if (before.fsuid != 0 && next.fsuid == 0) next.effective |= next.permitted & kFileCapabilities;
}

void take_credentials(kernel::Task& task, Ref<vfs::Credentials> next) {
  const vfs::Credentials& before = task.credentials();
  bool changed = before.euid != next->euid || before.egid != next->egid ||
                 before.fsuid != next->fsuid || before.fsgid != next->fsgid ||
                 (next->permitted & ~before.permitted) != 0;
  if (changed) {
    Locked tree(task.kernel().task_lock());
    Locked locked(task.group().signal_mutex);
    task.group().dumpable = false;
    task.parent_death_signal = 0;
  }
  task.kernel().change_credentials(task, std::move(next));
  task.refresh_identity();
}

}  // namespace caisson::sandbox::syscalls
