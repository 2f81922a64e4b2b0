#include "sys/mount.h"

#include "sys/file.h"

namespace caisson::sys {

std::string mount_log(FdRef context) {
  std::string out;
  char line[512];
  for (;;) {
    auto got = read(context, line, sizeof line);
    if (!got || *got == 0) return out;
    std::string_view text = trim(std::string_view(line, *got));
    // "e ", "w ", "i " give the severity.
    if (text.size() > 2 && text[1] == ' ') text.remove_prefix(2);
    if (!out.empty()) out += "; ";
    out += text;
  }
}

}  // namespace caisson::sys
