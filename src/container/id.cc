#include "base/text.h"
#include "container/api.h"
#include "sys/call.h"

namespace caisson::container {

std::string random_id() {
  unsigned char bytes[6];
  // Six bytes come whole and without waiting, once the machine has booted (getrandom(2)).
  (void)sys::call(SYS_getrandom, bytes, sizeof bytes, 0);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (unsigned char byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace caisson::container
