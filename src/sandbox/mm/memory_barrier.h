// A memory barrier in all guest threads of this sandbox that run, as membarrier(2) makes it.
#pragma once

#include "base/result.h"

namespace caisson::sandbox::mm {

// When it returns, each of them has passed one. The host's global command, in which all stubs take
// part, covers every command that guests have; the one that waits for all processors is slower.
ErrnoOr<> pass_memory_barrier();

}  // namespace caisson::sandbox::mm
