// The standard streams of a container across a save: what its init had as 0, 1 and 2 outside of the
// container gives way to what whoever restores it has there.
//
// The names are in descriptors.json beside the images, as runc and crun have it: a list of three
// texts. "pipe:[12]" is CRIU's own name of a pipe; a file of the host is saved under a name of its
// mount and inode.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "formats/criu.h"
#include "linux/mountinfo.h"
#include "plan/executor.h"

namespace caisson::linux {

struct SavedStreams {
  plan::Strings names;     // of 0, 1 and 2
  plan::Strings external;  // files of the host among them, for CRIU's option `external`
};
// `inside`: the mounts that init sees.
Result<SavedStreams> read_streams(int pid, const std::vector<MountInfo>& inside);

Result<> write_descriptors(FdRef images, const plan::Strings& names);
Result<plan::Strings> read_descriptors(FdRef images, const std::string& path);

// What stands for them. `stdio` as for a start; `opened` owns files that are passed beside 0, 1 and
// 2, to be CRIU's from number `first` on.
std::vector<formats::criu::InheritedFd> streams_to_restore(const plan::Strings& names,
                                                           const plan::Stdio& stdio, int first,
                                                           std::vector<Fd>& opened);

}  // namespace caisson::linux
