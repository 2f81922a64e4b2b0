// Carries a MountPlan out on the VFS: the counterpart of linux/mounts_child.cc. What happens where
// was decided by the plan; here each step is done, in order.
#pragma once

#include "base/result.h"
#include "plan/plan.h"
#include "sandbox/boot/descriptors.h"
#include "sandbox/boot/filesystems.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::boot {

// The mount namespace of a container. Takes all of the dispenser's descriptors.
Result<Ref<vfs::MountNamespace>> build_mounts(const plan::Plan& plan, Dispenser& dispenser,
                                              Filesystems& filesystems);

}  // namespace caisson::sandbox::boot
