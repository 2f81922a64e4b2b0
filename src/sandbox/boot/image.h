// A sandbox as two files of a directory, and back: the state, a stream of all objects of its kernel
// (state/writer.h), and its memory, pages that a restore maps from the file.
#pragma once

#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/fs/host_file/host_file.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::boot {

// File systems that the plan makes, in its order. Their places here are their numbers.
using PlannedFilesystems = std::vector<Ref<vfs::Filesystem>>;
// Numbers them.
PlannedFilesystems number_filesystems(kernel::Container& container, vfs::Filesystem& unnamed);

struct ImageFiles {
  FdRef state, memory;
};
// For another try.
Result<> empty_again(const ImageFiles& files);

// Of a container whose kernel stands still. `proc`: the /proc that shows the stubs. EAGAIN: once
// more, in a moment.
Result<> save_image(kernel::Kernel& kernel, kernel::Container& container, FdRef proc,
                    const ImageFiles& files);

// Into a kernel that has the plan's mounts and no process. Nothing runs until resume_all().
Result<> restore_image(kernel::Kernel& kernel, kernel::Container& container,
                       PlannedFilesystems filesystems, fs::StandardStreams streams,
                       const ImageFiles& files);

}  // namespace caisson::sandbox::boot
