// cgroup(7) as a container sees its own: the root of a cgroup namespace of version 2, whose files
// tell what the container is limited to and what it uses. Nothing in it can be changed: limits are
// the host's to set.
#pragma once

#include "sandbox/fs/generated/generated.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::fs {

class CgroupFilesystem final : public GeneratedFilesystem {
 public:
  // `processors`: of the machine.
  static Ref<CgroupFilesystem> create(kernel::Kernel& kernel, Ref<kernel::PidNamespace> pids,
                                      Ref<kernel::ToldLimits> limits, unsigned processors);

 private:
  CgroupFilesystem();
  ~CgroupFilesystem() override = default;
};

}  // namespace caisson::sandbox::fs
