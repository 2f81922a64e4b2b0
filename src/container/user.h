// Users by name, as a container's own passwd and group files know them.
#pragma once

#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::container {

// Changes `user` to "uid", "uid:gid", "name", "name:group". Numbers need no files. A name brings
// its group and supplementary groups, a uid alone changes nothing else. The texts are those of
// /etc/passwd and /etc/group.
Result<> choose_user(std::string_view choice, std::string_view passwd, std::string_view group,
                     spec::User& user);
// The same with the files below the root directory `root`, which links can't leave.
Result<> choose_user_in(std::string_view choice, FdRef root, spec::User& user);

}  // namespace caisson::container
