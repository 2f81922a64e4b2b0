// Cures of failures that can come from anywhere: a full disk, no descriptors left, no permission.
#pragma once

#include "base/result.h"

namespace caisson::cli {

// Adds what to do about `error` when whoever reported it could not know. A lack of descriptors or
// space is cured in the same way wherever it strikes.
Error with_general_cure(Error error);

}  // namespace caisson::cli
