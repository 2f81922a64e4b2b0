// Whatever comes from a kernel process is a request or is none; one that is read can be written and
// read again, stays below its mount, and is answered.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "gofer/files.h"
#include "gofer/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace gofer = caisson::gofer;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)gofer::decode_reply(bytes);
  auto request = gofer::decode_request(bytes);
  if (!request) return 0;
  std::string path = "/" + request->path + "/";
  if (path != "//" && path.find("//") != std::string::npos) std::abort();
  if (path.find("/../") != std::string::npos || path.find("/./") != std::string::npos) std::abort();
  auto again = gofer::decode_request(gofer::encode(*request));
  if (!again || again->path != request->path || again->value != request->value) std::abort();
  // Without mounts there is nothing to do it to.
  gofer::Files files({});
  if (files.answer(*request).reply.errno_value == 0) std::abort();
  return 0;
}
