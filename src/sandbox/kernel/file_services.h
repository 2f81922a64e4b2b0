// What the kernel's calls need of concrete file systems: set at boot, before the first process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::kernel {

class Task;

class FileServices : public RefCounted {
 public:
  // mount(2) of a new file system: ENODEV for a type that there is not, EINVAL for its options.
  virtual ErrnoOr<Ref<vfs::Filesystem>> make_filesystem(Task& task, std::string_view type,
                                                        std::string_view source,
                                                        std::string_view options) = 0;
  // memfd_create(2): a file for reading and writing, with F_SEAL_* that it begins with.
  virtual ErrnoOr<Ref<vfs::File>> make_memory_file(Task& task, std::string_view name,
                                                   std::uint32_t mode, std::uint32_t seals) = 0;
};

}  // namespace caisson::sandbox::kernel
