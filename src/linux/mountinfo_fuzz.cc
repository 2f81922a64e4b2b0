#include "linux/mountinfo.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

// Any text is parsed or refused; what is visible is a part of what was parsed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto mounts = caisson::linux::parse_mountinfo(text);
  if (!mounts) return 0;
  std::size_t all = mounts->size();
  if (caisson::linux::visible_mounts(*std::move(mounts)).size() > all) std::abort();
  return 0;
}
