#include "sys/mount.h"

#include <linux/stat.h>

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

ErrnoOr<MountPlace> mount_of(FdRef file) {
  struct statx info{};
  TRY(call_void(SYS_statx, file.number(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info));
  if ((info.stx_mask & STATX_MNT_ID) == 0) return std::unexpected(Errno{ENOSYS});
  return MountPlace{info.stx_mnt_id, (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0};
}

}  // namespace caisson::sys
