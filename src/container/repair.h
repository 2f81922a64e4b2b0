// Repairing what a killed command or supervisor left. Every verb that opens a container does so.
#pragma once

#include "base/result.h"
#include "container/api.h"
#include "container/container.h"

namespace caisson::container {

// Nobody completes it any more: the create that made it was killed.
bool is_abandoned(const Container& container);
// It has a supervisor by its state, which died before it told how init ended.
bool is_orphaned(const Container& container);

// Removes a container with all its processes and changes of the host; the lock is held. What can't
// be taken back is an error, and the folder stays for another try. Poststop hooks that are due are
// run.
Result<> discard(Context& context, Container& container);

// Gives an orphaned container, which is locked, a new supervisor; or, when init ended as well,
// notes that nobody knows how. (adopt.cc)
Result<> adopt(Context& context, Container& container);

}  // namespace caisson::container
