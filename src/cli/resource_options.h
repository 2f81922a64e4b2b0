// The options of both `update` commands: their words to a change of resources.
#pragma once

#include "cli/args.h"
#include "spec/container_spec.h"

namespace caisson::cli {

// What the options say; an option that is not given leaves its field absent. With --resources
// (FILE, or "-" for standard input) all others are ignored.
Result<spec::Resources> read_resource_options(const Arguments& arguments);

}  // namespace caisson::cli
