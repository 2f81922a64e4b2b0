// Fills HostFacts from this machine: the only place that looks at the host before a plan is made.
#pragma once

#include "base/result.h"
#include "plan/host_facts.h"

namespace caisson::linux {

// Without `for_view` this is on the path of every start: it reads two or three small files.
// With it the mount table and the directories on the way to mounts are read as well; fails when the
// working directory was deleted.
Result<plan::HostFacts> read_host_facts(bool for_view);
// Without cgroups.
Result<plan::HostFacts> read_process_facts();

}  // namespace caisson::linux
