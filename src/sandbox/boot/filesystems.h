// The file systems that a plan's steps ask for, made with what all of one sandbox share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ref.h"
#include "base/result.h"
#include "plan/plan.h"
#include "sandbox/fs/host/files.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/proc/limits.h"
#include "sandbox/fs/special.h"
#include "sandbox/fs/tmpfs/file_memory.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::boot {

// An overlay whose upper layer is in the sandbox's memory.
struct OverlayPlace {
  Ref<fs::OverlayFilesystem> overlay;
  std::string target;
};

class Filesystems {
 public:
  // `memory`: of files, shared by all containers.
  static Filesystems create(kernel::Kernel& kernel, Ref<kernel::Container> container,
                            fs::MachineFacts facts, Ref<fs::FileMemory> memory);

  // For kNewFilesystem and kCopyUp; `point`: where it will stand. ENODEV: no such type.
  Result<Ref<vfs::Filesystem>> make(const plan::MountStep& step, const vfs::Path& point);
  // A place of the host's, by its descriptor; `number`: which of them it is.
  Result<Ref<vfs::Filesystem>> host(Fd place, bool exclusive, const std::string& target,
                                    std::size_t number);
  // Who helps with the files of each place; null: nobody. They outlive the file systems.
  void set_helpers(std::vector<fs::HostFiles*> helpers) { helpers_ = std::move(helpers); }
  // What files without a name live in.
  vfs::Filesystem& unnamed() const;
  // What is written stays in memory, at most `size` bytes (0: no limit).
  Result<Ref<vfs::Filesystem>> overlay(Ref<vfs::Filesystem> lower, std::uint64_t size,
                                       const std::string& target);
  // What is written goes to `upper`, a place of the host.
  Result<Ref<vfs::Filesystem>> overlay(Ref<vfs::Filesystem> lower, Ref<vfs::Filesystem> upper);
  Ref<vfs::Filesystem> cgroup();
  // Those in memory that were made.
  std::vector<OverlayPlace> take_overlays() { return std::move(overlays_); }

 private:
  Filesystems(kernel::Kernel& kernel, Ref<kernel::Container> container)
      : kernel_(kernel), container_(std::move(container)) {}
  void serve_guests();
  ErrnoOr<Ref<fs::OverlayFilesystem>> make_overlay(Ref<vfs::Filesystem> lower,
                                                   Ref<vfs::Filesystem> upper);
  Result<Ref<vfs::Filesystem>> make_tmpfs(const plan::MountStep& step, const vfs::Path& point);
  Result<Ref<vfs::Filesystem>> make_devpts(const plan::MountStep& step);

  kernel::Kernel& kernel_;
  Ref<kernel::Container> container_;
  Ref<fs::FileMemory> memory_;
  Ref<fs::SpecialFiles> special_;
  std::vector<fs::HostFiles*> helpers_;
  std::vector<OverlayPlace> overlays_;
  fs::MachineFacts facts_;
};

}  // namespace caisson::sandbox::boot
