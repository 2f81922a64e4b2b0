// Caller: the guest task on whose behalf a file operation runs, as far as file systems may know it.
// kernel::Task is one; code above the kernel's floor casts down to it.
#pragma once

#include "sandbox/vfs/credentials.h"
#include "sandbox/vfs/io.h"

namespace caisson::sandbox::vfs {

class Caller {
 public:
  virtual ~Caller() = default;
  virtual const Credentials& credentials() const = 0;
  virtual Memory& memory() = 0;
  // Who owns the locks that it sets by fcntl(2): its table of descriptors.
  virtual const void* lock_owner() const { return this; }
};

}  // namespace caisson::sandbox::vfs
