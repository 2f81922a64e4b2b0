// The cgroup file systems as a container sees them: one cgroup2 mount, or on v1 and hybrid hosts a
// tmpfs with a directory per hierarchy.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace caisson::linux {
namespace {

using plan::CgroupDirectory;
using plan::MountStep;

// A mount of the hierarchy rooted at our cgroup, by virtue of the cgroup namespace.
ErrnoOr<Fd> namespaced_mount(const CgroupDirectory& directory, std::uint64_t attributes) {
  Fd filesystem = TRY(sys::fsopen(directory.v2 ? "cgroup2" : "cgroup"));
  TRY(sys::fsconfig_string(filesystem, "source", directory.v2 ? "cgroup2" : "cgroup"));
  if (!directory.v2) {
    std::string_view rest = directory.controllers;
    while (!rest.empty()) {
      auto [controller, others] = split_once(rest, ',');
      rest = others;
      char text[64];
      if (controller.size() >= sizeof text) return std::unexpected(Errno{ENAMETOOLONG});
      std::memcpy(text, controller.data(), controller.size());
      text[controller.size()] = '\0';
      if (controller.starts_with("name=")) {
        TRY(sys::fsconfig_flag(filesystem, "none"));
        TRY(sys::fsconfig_string(filesystem, "name", text + 5));
      } else {
        TRY(sys::fsconfig_flag(filesystem, text));
      }
    }
  }
  TRY(sys::fsconfig_create(filesystem));
  return sys::fsmount(filesystem, attributes);
}

// Where a hierarchy stands in the plan: ours first, then those of the caller.
std::size_t index_of(const ChildContext& context, const CgroupDirectory& directory) {
  const auto& plan = context.plan->cgroup;
  std::size_t own = plan.directories.size();
  for (std::size_t i = 0; i < own; ++i) {
    if (&plan.directories[i] == &directory) return i;
  }
  return own + static_cast<std::size_t>(&directory - plan.inherited.data());
}

// Without a cgroup namespace: our own directory of the host's mount.
ErrnoOr<Fd> bound_tree(ChildContext& context, const CgroupDirectory& directory) {
  std::size_t index = index_of(context, directory);
  if (index < std::size(context.hierarchy_fds) && context.hierarchy_fds[index] > 0) {
    return Fd(std::exchange(context.hierarchy_fds[index], 0));
  }
  char path[PATH_MAX];
  std::size_t mount_length = directory.mount_point.size();
  if (mount_length + directory.path.size() >= sizeof path) {
    return std::unexpected(Errno{ENAMETOOLONG});
  }
  std::memcpy(path, directory.mount_point.data(), mount_length);
  std::memcpy(path + mount_length, directory.path.data(), directory.path.size());
  path[mount_length + directory.path.size()] = '\0';
  return sys::open_tree(sys::kCwd, path, OPEN_TREE_CLONE);
}

ErrnoOr<Fd> bound_directory(ChildContext& context, const CgroupDirectory& directory,
                            std::uint64_t attributes) {
  Fd tree = TRY(bound_tree(context, directory));
  mount_attr wanted{};
  wanted.attr_set = attributes;
  if (attributes != 0) TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH, wanted));
  return tree;
}

ErrnoOr<Fd> hierarchy_tree(ChildContext& context, const CgroupDirectory& directory,
                           std::uint64_t attributes) {
  if (context.plan->cgroup.own_namespace) {
    auto tree = namespaced_mount(directory, attributes);
    if (tree) return tree;
  }
  return bound_directory(context, directory, attributes);
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "cpu" -> "cpu,cpuacct" where the two share a hierarchy.
ErrnoOr<> link_controllers(FdRef tmpfs, const CgroupDirectory& directory, const char* name) {
  std::string_view rest = directory.controllers;
  if (rest.find(',') == std::string_view::npos) return {};
  while (!rest.empty()) {
    auto [controller, others] = split_once(rest, ',');
    rest = others;
    char text[64];
    if (controller.size() >= sizeof text) return std::unexpected(Errno{ENAMETOOLONG});
    std::memcpy(text, controller.data(), controller.size());
    text[controller.size()] = '\0';
    if (controller != name) TRY(sys::symlinkat(name, tmpfs, text));
  }
  return {};
}

ErrnoOr<Fd> make_tmpfs(const MountStep& step) {
  Fd filesystem = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "source", "tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "mode", "755"));
  TRY(sys::fsconfig_create(filesystem));
  return sys::fsmount(filesystem, step.attr_set & ~std::uint64_t{MOUNT_ATTR_RDONLY});
}

// What is not the container's own, the container may look at.
std::uint64_t read_only_unless(bool own) { return own ? 0 : MOUNT_ATTR_RDONLY; }

ErrnoOr<> mount_hierarchy(ChildContext& context, std::uint64_t attributes, FdRef tmpfs,
                          const CgroupDirectory& directory) {
  std::string_view name = last_part(directory.mount_point);  // NUL-terminated: the end of a string
  note(context, Operation::kMount, directory.mount_point);
  auto tree = hierarchy_tree(context, directory, attributes);
  // A hierarchy that we may not mount is left out, as one that the host does not have.
  if (!tree) return {};
  TRY(sys::mkdirat(tmpfs, name.data(), 0755));
  TRY(sys::move_mount_at(*tree, tmpfs, name.data()));
  return link_controllers(tmpfs, directory, name.data());
}

}  // namespace

// The host's mounts of them, while they can still be found by path.
ErrnoOr<> open_bound_cgroups(ChildContext& context) {
  const auto& plan = context.plan->cgroup;
  auto mounted = [](const MountStep& step) { return step.op == plan::MountOp::kCgroup; };
  if (std::ranges::none_of(context.plan->mounts.steps, mounted)) return {};
  for (const auto* directories : {&plan.directories, &plan.inherited}) {
    for (const auto& directory : *directories) {
      std::size_t index = index_of(context, directory);
      if (index >= std::size(context.hierarchy_fds)) continue;
      if (auto tree = bound_tree(context, directory))
        context.hierarchy_fds[index] = tree->release();
    }
  }
  return {};
}

ErrnoOr<> mount_cgroups(ChildContext& context, const MountStep& step, FdRef target) {
  const auto& plan = context.plan->cgroup;
  if (plan.mode == plan::CgroupMode::kNone) return std::unexpected(Errno{ENOENT});
  if (plan.mode == plan::CgroupMode::kV2) {
    const bool own = !plan.directories.empty();
    if (!own && plan.inherited.empty()) return std::unexpected(Errno{ENOENT});
    const auto& directory = own ? plan.directories.back() : plan.inherited.back();
    note(context, Operation::kMount, "cgroup2");
    Fd tree = TRY(hierarchy_tree(context, directory, step.attr_set | read_only_unless(own)));
    note(context, Operation::kAttach, step.target);
    return sys::move_mount(tree, target);
  }
  note(context, Operation::kMount, step.target);
  Fd tmpfs = TRY(make_tmpfs(step));
  TRY(sys::move_mount(tmpfs, target));
  for (const auto& directory : plan.directories) {
    TRY(mount_hierarchy(context, step.attr_set, tmpfs, directory));
  }
  for (const auto& directory : plan.inherited) {
    TRY(mount_hierarchy(context, step.attr_set | read_only_unless(false), tmpfs, directory));
  }
  if ((step.attr_set & MOUNT_ATTR_RDONLY) == 0) return {};
  mount_attr readonly{};
  readonly.attr_set = MOUNT_ATTR_RDONLY;
  return sys::mount_setattr(tmpfs, "", AT_EMPTY_PATH, readonly);
}

}  // namespace caisson::linux
