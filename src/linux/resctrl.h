// Classes of service and monitoring groups of a resctrl file system (linux.intelRdt). On such a
// file system a directory is a group, made with its files; rmdir(2) moves its tasks to the parent.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "plan/executor.h"
#include "plan/plan.h"

namespace caisson::linux {

// Where resctrl is mounted; an error (host.unsupported) when it is not.
Result<std::string> resctrl_mount_point();

// The directories of the groups that a container's processes belong to, made as the plan says below
// `mount_point`. What is made is registered first.
Result<plan::Strings> make_resctrl_groups(const plan::ResctrlPlan& plan,
                                          const std::string& mount_point, plan::UndoLog& undo);
Result<> join_resctrl_groups(const plan::Strings& groups, int pid);
// Removes a group that nothing is in (any more); one that others use stays. Missing is fine.
Result<> remove_resctrl_group(const std::string& directory);

// Whether a schemata file has the lines of `wanted`: the same resources, and for each domain that
// is named the same value, however it is written.
bool schemata_agree(std::string_view file, std::string_view wanted);

}  // namespace caisson::linux
