#include "linux/sources.h"

#include <algorithm>

#include "linux/namespaces.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace caisson::linux {
namespace {

using plan::MountOp;
using plan::NamespaceKind;

// Id maps need rights over the file system's own user namespace, which a child in another one
// lacks.
Result<> map_ids_of_source(const plan::MountStep& step, FdRef tree, FdRef id_map) {
  auto mapped = set_id_map(step, tree, id_map);
  if (mapped) return {};
  return std::unexpected(Error(mapped.error())
                             .doing("map ids of mount source ", step.source)
                             .where(step.origin)
                             .cure(mapped.error().value == EINVAL
                                       ? "its file system may not support idmapped mounts; use "
                                         "another, or leave the maps out"
                                       : "")
                             .step("mounts")
                             .code("mount.idmap"));
}

// What shall be made anew at the target instead of being mounted there.
bool is_copied_link(const plan::MountStep& step) {
  return step.copy_symlink && sys::readlink(sys::kCwd, step.source.c_str());
}

// The user namespace with the id map of a step; none when it has no map.
Result<Fd> open_id_map(const plan::MountStep& step, const std::vector<JoinNamespace>& joins) {
  if (!step.uid_mappings.empty()) {
    return make_id_map_namespace(step.uid_mappings, step.gid_mappings);
  }
  if (!step.idmap_joined) return Fd();
  auto user = std::ranges::find(joins, NamespaceKind::kUser, &JoinNamespace::kind);
  if (user == joins.end()) return Fd();
  return TRY_CTX(sys::dup_cloexec(user->fd), "keep the user namespace of an id map");
}

Result<> open_one(ChildContext& context, std::size_t index, const plan::MountStep& step) {
  Fd& id_map = context.id_map_namespaces[index];
  id_map = TRY(open_id_map(step, context.joins));
  if (!step.host_tree.empty()) {
    auto tree = sys::open_tree(sys::kCwd, step.host_tree.c_str(), OPEN_TREE_CLONE | AT_RECURSIVE);
    if (tree) context.sources[index] = std::move(*tree);
    return {};
  }
  if (step.op != MountOp::kBind || step.source_in_root || is_copied_link(step)) return {};
  auto source = open_bind_source(step);
  // Not privileged after all (root of an outer user namespace with locked mounts): the child tries.
  if (!source && (source.error().value == EPERM || source.error().value == EINVAL)) return {};
  if (!source && step.optional) return {};
  if (!source) {
    return std::unexpected(Error(source.error())
                               .doing("open mount source ", step.source)
                               .where(step.origin)
                               .cure("create the source on the host or correct the path")
                               .step("mounts")
                               .code("mount.source"));
  }
  if (id_map) TRY(map_ids_of_source(step, *source, id_map));
  id_map.reset();
  context.sources[index] = std::move(*source);
  return {};
}

}  // namespace

void prepare_sources(ChildContext& context, std::size_t steps) {
  context.sources.resize(steps);
  context.id_map_namespaces.resize(steps);
}

Result<> open_bind_sources(ChildContext& context, const std::vector<plan::MountStep>& steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) TRY(open_one(context, i, steps[i]));
  return {};
}

ErrnoOr<Fd> open_bind_source(const plan::MountStep& step) {
  unsigned flags = OPEN_TREE_CLONE | (step.recursive ? AT_RECURSIVE : 0) |
                   (step.no_symlink_source ? AT_SYMLINK_NOFOLLOW : 0);
  return sys::open_tree(sys::kCwd, step.source.c_str(), flags);
}

}  // namespace caisson::linux
