// /proc/PID/{mounts,mountinfo,mountstats}: the mounts that the task sees, from its root.
#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {
namespace {

ErrnoOr<std::string> mountinfo(const TaskView& view) {
  Ref<vfs::MountNamespace> mounts = view.task.mounts_ref();
  Ref<kernel::FsContext> fs = view.task.fs_ref();
  if (!mounts || !fs) return std::unexpected(Errno{EINVAL});
  return vfs::mountinfo_text(*mounts, fs->root());
}

// A line of mountinfo: id parent device root point options [tags] - type source super-options.
struct MountLine {
  std::string_view point, options, type, source, super_options;
};

bool parse(std::string_view line, MountLine& parsed) {
  std::vector<std::string_view> fields = split(line, ' ');
  std::size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") ++dash;
  if (dash + 3 >= fields.size()) return false;
  parsed = {fields[4], fields[5], fields[dash + 1], fields[dash + 2], fields[dash + 3]};
  return true;
}

// What follows "rw" or "ro", with its comma.
std::string_view further(std::string_view options) {
  std::size_t comma = options.find(',');
  return comma == std::string_view::npos ? std::string_view() : options.substr(comma);
}

ErrnoOr<std::string> mounts(const TaskView& view) {
  std::string text;
  std::string info = TRY(mountinfo(view));
  for (std::string_view line : split(info, '\n')) {
    MountLine mount;
    if (!parse(line, mount)) continue;
    bool readonly = mount.options.starts_with("ro") || mount.super_options.starts_with("ro");
    append(text, mount.source, ' ', mount.point, ' ', mount.type, ' ', readonly ? "ro" : "rw",
           further(mount.options), further(mount.super_options), " 0 0\n");
  }
  return text;
}

ErrnoOr<std::string> mountstats(const TaskView& view) {
  std::string text;
  std::string info = TRY(mountinfo(view));
  for (std::string_view line : split(info, '\n')) {
    MountLine mount;
    if (!parse(line, mount)) continue;
    append(text, "device ", mount.source, " mounted on ", mount.point, " with fstype ", mount.type,
           '\n');
  }
  return text;
}

constexpr TaskFileEntry kEntries[] = {
    {"mounts", mounts},
    {"mountinfo", mountinfo},
    {"mountstats", mountstats, 0400, true},
};

}  // namespace

std::span<const TaskFileEntry> task_mount_files() { return kEntries; }

}  // namespace caisson::sandbox::fs
