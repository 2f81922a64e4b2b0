// Any bytes as config.json: what is read must be written and read again without a difference, and
// the rules of validate.h must say the same of both.
#include "spec/oci_config.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "spec/oci_writer.h"
#include "spec/validate.h"

namespace caisson::spec {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string verdict(const ContainerSpec& spec) {
  auto valid = validate(spec);
  return valid ? "" : valid.error().message();
}

void check(std::string_view text) {
  auto spec = read_oci_config(text, "/bundle");
  if (!spec) {
    require(!spec.error().message().empty());
    return;
  }
  auto again = read_oci_config(write_oci_config(*spec), "/bundle");
  require(again.has_value() && *again == *spec);
  require(verdict(*again) == verdict(*spec));
}

}  // namespace
}  // namespace caisson::spec

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  caisson::spec::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
