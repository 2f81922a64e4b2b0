#include <sys/sysmacros.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::vfs {
namespace {

// Names from a place up to the root of its file system or to `top`, innermost first.
void collect(Ref<Dentry> at, const Dentry* top, std::vector<std::string>& names) {
  while (at.get() != top && !at->is_root()) {
    names.push_back(at->name());
    at = at->parent();
  }
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (auto name = names.rbegin(); name != names.rend(); ++name) append(text, '/', *name);
  return text.empty() ? "/" : text;
}

struct Text {
  std::string text;
  bool reachable = false;  // from the root
};

Text text_of(const Path& path, const Path& root) {
  std::vector<std::string> names;
  Path at = path;
  for (;;) {
    // A root that is no mount's root stands somewhere on the way up.
    bool below_root = at.mount == root.mount && at.dentry->is_below(*root.dentry);
    collect(at.dentry, below_root ? root.dentry.get() : at.mount->root().get(), names);
    if (below_root) return {joined(names), true};
    Path point = at.mount->mount_point();
    if (!point) return {joined(names), false};
    at = std::move(point);
  }
}

// Spaces and the like as \040 (getmntent(3)).
std::string escaped(const std::string& text) {
  std::string out;
  for (char character : text) {
    bool plain = character != ' ' && character != '\t' && character != '\n' && character != '\\' &&
                 character != '#';
    if (plain) {
      out += character;
      continue;
    }
    auto value = static_cast<unsigned char>(character);
    append(out, '\\', static_cast<char>('0' + (value >> 6)),
           static_cast<char>('0' + (value >> 3 & 7)), static_cast<char>('0' + (value & 7)));
  }
  return out;
}

struct FlagName {
  std::uint64_t flag;
  std::string_view name;
};

std::string options_text(std::uint64_t flags) {
  constexpr FlagName kNames[] = {{MS_NOSUID, ",nosuid"},
                                 {MS_NODEV, ",nodev"},
                                 {MS_NOEXEC, ",noexec"},
                                 {MS_NOATIME, ",noatime"},
                                 {MS_NODIRATIME, ",nodiratime"},
                                 {MS_RELATIME, ",relatime"},
                                 {kNoSymlinkFollow, ",nosymfollow"}};
  std::string text = (flags & MS_RDONLY) != 0 ? "ro" : "rw";
  for (const FlagName& known : kNames)
    if ((flags & known.flag) != 0) text += known.name;
  return text;
}

}  // namespace

std::string path_text(const Path& path, const Path& root) {
  if (!path.mount) return path.dentry ? path.dentry->name() : std::string();
  Text text = text_of(path, root);
  return cat(text.reachable ? "" : "(unreachable)", text.text,
             path.dentry->is_removed() ? " (deleted)" : "");
}

std::string path_text(const Path& path, const Path& root, const MountNamespace&) {
  return path_text(path, root);
}

bool is_reachable(const Path& path, const Path& root) {
  return path.mount && text_of(path, root).reachable;
}

std::string mountinfo_text(const MountNamespace& mounts, const Path& root) {
  std::string text;
  for (const Ref<Mount>& mount : mounts.mounts()) {
    Text point = text_of({mount, mount->root()}, root);
    if (!point.reachable) continue;
    std::vector<std::string> names;
    collect(mount->root(), nullptr, names);
    Filesystem& filesystem = mount->filesystem();
    Path parent = mount->mount_point();
    append(text, mount->id(), ' ', parent ? parent.mount->id() : mount->id(), ' ',
           major(filesystem.device()), ':', minor(filesystem.device()), ' ', escaped(joined(names)),
           ' ', escaped(point.text), ' ', options_text(mount->flags()), " - ",
           escaped(filesystem.type()), ' ',
           mount->source().empty() ? "none" : escaped(mount->source()), ' ',
           filesystem.is_readonly() ? "ro" : "rw", filesystem.options_text(), '\n');
  }
  return text;
}

}  // namespace caisson::sandbox::vfs
