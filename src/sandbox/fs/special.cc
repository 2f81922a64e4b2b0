#include "sandbox/fs/special.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>

namespace caisson::sandbox::fs {

void SpecialFiles::add_character_devices(unsigned major, unsigned first_minor, unsigned count,
                                         Ref<DeviceDriver> driver) {
  Locked lock(mutex_);
  ranges_.push_back({major, first_minor, count, std::move(driver)});
}

ErrnoOr<Ref<vfs::File>> SpecialFiles::open(const vfs::Path& path, Ref<vfs::Inode> inode,
                                           std::uint64_t device, std::uint32_t flags,
                                           vfs::Caller& caller) {
  if (inode->type() != S_IFCHR) return std::unexpected(Errno{ENXIO});
  Ref<DeviceDriver> driver;
  {
    Locked lock(mutex_);
    for (const Range& range : ranges_)
      if (range.major == gnu_dev_major(device) && gnu_dev_minor(device) >= range.first_minor &&
          gnu_dev_minor(device) - range.first_minor < range.count)
        driver = range.driver;
  }
  if (!driver) return std::unexpected(Errno{ENXIO});
  Ref<vfs::File> file = TRY(driver->open(path, std::move(inode), device, flags, caller));
  file->set_flags(file->flags() & ~std::uint32_t{O_NOCTTY});  // not to be seen by F_GETFL
  return file;
}

}  // namespace caisson::sandbox::fs
