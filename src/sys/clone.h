// clone3(2) of a child that runs on a stack of its own, for children that share their parent's
// memory.
#pragma once

#include <linux/sched.h>

#include "sys/call.h"

namespace caisson::sys {

// Like clone3 with CLONE_VM: the child calls entry(argument), which must not return. The parent
// gets the child's pid. `args.stack` and `args.stack_size` must be set. The child shares the
// parent's memory and its thread-local storage: it must not allocate, take locks, or rely on errno.
ErrnoOr<int> clone_sharing_memory(clone_args& args, void (*entry)(void*), void* argument);

}  // namespace caisson::sys
