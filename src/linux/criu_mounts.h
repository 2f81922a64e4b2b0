// The mounts of a container as CRIU is told of them: which are the host's, by which name they stand
// in the images, and where they are found when the container is restored.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/criu.h"
#include "linux/mountinfo.h"
#include "plan/checkpoint.h"
#include "plan/plan.h"

namespace caisson::linux {

// The mounts that process `pid` sees.
Result<std::vector<MountInfo>> read_mounts(std::string_view pid);

// Mount point to name, of a running container.
using CriuPairs = std::vector<formats::criu::KeyValue>;
Result<CriuPairs> mounts_to_save(int pid, const plan::Plan& plan,
                                 const std::vector<plan::ExternalMount>& externals);

// Name to source, for a container that is to be made of its images. `host`: the mounts that we see.
CriuPairs mounts_to_restore(const std::vector<plan::ExternalMount>& externals,
                            const std::vector<MountInfo>& host);

// Makes the mount points of the plan where they are missing, as a start would.
Result<> make_mount_points(const plan::Plan& plan);

}  // namespace caisson::linux
