// Attributes, id map and propagation of a mount tree, as a rule of a detached one that nobody can
// see yet.

#include <sys/statfs.h>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

using plan::MountStep;

constexpr std::uint64_t kAccessTimes = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;

// What the mount has of the attributes that are locked where it comes from a more privileged mount
// namespace (mount_namespaces(7)); with read-only file systems as read-only mounts.
ErrnoOr<std::uint64_t> lockable_attributes(FdRef tree) {
  struct Pair {
    long flag;  // of statfs(2)
    std::uint64_t attribute;
  };
  constexpr Pair kPairs[] = {{0x1, MOUNT_ATTR_RDONLY},
                             {0x2, MOUNT_ATTR_NOSUID},
                             {0x4, MOUNT_ATTR_NODEV},
                             {0x8, MOUNT_ATTR_NOEXEC},
                             {0x800, MOUNT_ATTR_NODIRATIME}};
  constexpr long kNoAccessTime = 0x400, kRelativeAccessTime = 0x1000;
  long flags = TRY(sys::fstatfs(tree)).f_flags;
  std::uint64_t attributes = 0;
  for (auto pair : kPairs) {
    if ((flags & pair.flag) != 0) attributes |= pair.attribute;
  }
  if ((flags & kNoAccessTime) != 0) return attributes | MOUNT_ATTR_NOATIME;
  return (flags & kRelativeAccessTime) != 0 ? attributes : attributes | MOUNT_ATTR_STRICTATIME;
}

// The change once more, with what is locked left as it is; refused where that was asked for by
// name.
ErrnoOr<> keep_locked(const MountStep& step, FdRef tree, unsigned flags, mount_attr attributes,
                      std::uint64_t locked) {
  bool other_times = (attributes.attr_clr & MOUNT_ATTR__ATIME) != 0 &&
                     (attributes.attr_set & kAccessTimes) != (locked & kAccessTimes);
  if ((locked & step.cleared_by_name) != 0 || other_times) return std::unexpected(Errno{EPERM});
  attributes.attr_set |= locked;
  attributes.attr_clr = (attributes.attr_clr & ~locked) | MOUNT_ATTR__ATIME;
  return sys::mount_setattr(tree, "", flags, attributes);
}

ErrnoOr<> change_attributes(const MountStep& step, FdRef tree, unsigned flags,
                            const mount_attr& attributes) {
  if (step.keep_source_flags) return sys::mount_setattr(tree, "", flags, attributes);
  std::uint64_t before = TRY(lockable_attributes(tree));
  auto changed = sys::mount_setattr(tree, "", flags, attributes);
  // The kernel knows the locks of mounts that were not opened for us.
  if (!changed && changed.error().value != EPERM) return changed;
  if (changed) {
    if (!step.source_flags_locked) return {};
    std::uint64_t after = TRY(lockable_attributes(tree));
    bool lost = (before & ~after & ~kAccessTimes) != 0;
    if (!lost && (before & kAccessTimes) == (after & kAccessTimes)) return {};
  }
  return keep_locked(step, tree, flags, attributes, before);
}

// The root of a user namespace controls neither the file systems of the host's nor the namespaces
// that our parent makes for id maps: the parent does it for us.
ErrnoOr<> ask_for_id_map(ChildContext& context, int index, FdRef tree) {
  IdMapMessage message;
  message.index = index;
  int fds[] = {tree.number()};
  std::string_view bytes(reinterpret_cast<const char*>(&message), sizeof message);
  TRY(sys::send_message(FdRef(context.report_fd), bytes, fds));
  char answer = 0;
  std::size_t size = TRY(sys::read(FdRef(context.report_fd), &answer, 1));
  if (size != 1 || answer != message.word) return std::unexpected(Errno{ECANCELED});
  return {};
}

ErrnoOr<> map_ids_of_tree(ChildContext& context, int index, const MountStep& step, FdRef tree) {
  const Fd& id_map = context.id_map_namespaces[static_cast<std::size_t>(index)];
  if (!id_map) return {};
  note(context, Operation::kIdMap, step.target, index);
  if (context.user_namespace) return ask_for_id_map(context, index, tree);
  return set_id_map(step, tree, id_map);
}

}  // namespace

ErrnoOr<> set_id_map(const MountStep& step, FdRef tree, FdRef id_map) {
  mount_attr mapped{};
  mapped.attr_set = MOUNT_ATTR_IDMAP;
  mapped.userns_fd = static_cast<__u64>(id_map.number());
  unsigned flags = AT_EMPTY_PATH | (step.idmap_recursive ? AT_RECURSIVE : 0);
  return sys::mount_setattr(tree, "", flags, mapped);
}

ErrnoOr<> finish_tree(ChildContext& context, int index, const MountStep& step, FdRef tree,
                      bool map_ids) {
  if (map_ids) TRY(map_ids_of_tree(context, index, step, tree));
  if (step.propagation == 0) return {};
  mount_attr propagation{};
  propagation.propagation = step.propagation;
  note(context, Operation::kAttributes, step.target, index);
  unsigned recursive = step.propagation_recursive ? AT_RECURSIVE : 0;
  return sys::mount_setattr(tree, "", AT_EMPTY_PATH | recursive, propagation);
}

ErrnoOr<> apply_attributes(ChildContext& context, int index, const MountStep& step, FdRef tree,
                           bool map_ids) {
  mount_attr attributes{};
  attributes.attr_set = step.attr_set;
  attributes.attr_clr = step.attr_clear;
  if ((step.attr_set & MOUNT_ATTR__ATIME) != 0) attributes.attr_clr |= MOUNT_ATTR__ATIME;
  unsigned flags = AT_EMPTY_PATH | (step.attr_recursive ? AT_RECURSIVE : 0);
  if (attributes.attr_set != 0 || attributes.attr_clr != 0) {
    note(context, Operation::kAttributes, step.target, index);
    TRY(change_attributes(step, tree, flags, attributes));
  }
  if (step.recursive_set != 0 || step.recursive_clear != 0) {
    mount_attr recursive{};
    recursive.attr_set = step.recursive_set;
    recursive.attr_clr = step.recursive_clear;
    if ((step.recursive_set & MOUNT_ATTR__ATIME) != 0) recursive.attr_clr |= MOUNT_ATTR__ATIME;
    note(context, Operation::kAttributes, step.target, index);
    TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, recursive));
  }
  return finish_tree(context, index, step, tree, map_ids);
}

}  // namespace caisson::linux
