#include "sandbox/mm/memory_barrier.h"

#include <linux/membarrier.h>

#include "sys/call.h"
#include "sys/raw.h"

namespace caisson::sandbox::mm {

ErrnoOr<> pass_memory_barrier() {
  if (sys::call_void(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0)) return {};
  return sys::call_void(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

}  // namespace caisson::sandbox::mm
