// Plans from bytes: what was read is the same when it is written and read again.
#include "plan/wire.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  caisson::plan::Plan plan;
  if (caisson::plan::decode(bytes, plan)) {
    std::string written = caisson::plan::encode(plan);
    caisson::plan::Plan again;
    if (!caisson::plan::decode(written, again)) std::abort();
    if (caisson::plan::encode(again) != written) std::abort();
  }
  caisson::plan::ProcessPlan process;
  (void)caisson::plan::decode(bytes, process);
  return 0;
}
