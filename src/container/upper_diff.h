// What the upper directory of an overlay says about changes to the directory below.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"

namespace caisson::container {

// Adds the changes that `upper` makes to the host's directory `lower`; their paths begin with
// `target`. Whiteouts are device 0:0 or carry overlay.whiteout, opaque directories carry
// overlay.opaque (in the trusted or the user namespace of extended attributes). Of what was deleted
// or added as a whole each deleted tree is listed by its top, each added one entry by entry. A
// directory is changed when it has been copied up: something in it, or it itself, is different.
Result<> diff_upper(FdRef upper, const std::string& lower, const std::string& target,
                    std::vector<Change>& changes);

}  // namespace caisson::container
