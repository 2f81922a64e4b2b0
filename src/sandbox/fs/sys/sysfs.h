// sysfs(5): what language runtimes and tools look for in /sys, from the facts that the container
// may know. Nothing in it changes.
#pragma once

#include "sandbox/fs/generated/generated.h"
#include "sandbox/fs/proc/limits.h"

namespace caisson::sandbox::fs {

class SysFilesystem final : public GeneratedFilesystem {
 public:
  static Ref<SysFilesystem> create(const MachineFacts& facts);

 private:
  SysFilesystem();
  ~SysFilesystem() override = default;
};

}  // namespace caisson::sandbox::fs
