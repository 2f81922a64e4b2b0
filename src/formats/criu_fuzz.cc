// Whatever comes from the other end is a reply or is none.
#include "formats/criu.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "formats/protobuf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace formats = caisson::formats;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  formats::protobuf::Reader in(bytes);
  while (auto field = in.next()) {
    bool inside = field->bytes.empty() ||
                  (field->bytes.data() >= bytes.data() &&
                   field->bytes.data() + field->bytes.size() <= bytes.data() + bytes.size());
    if (!inside || field->number == 0) std::abort();
  }
  auto reply = formats::criu::decode(bytes);
  if (reply && !in.good()) std::abort();
  return 0;
}
