// Names and mounts in a checkpoint: a dentry is its name in its parent, and looked up again.
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/save.h"

namespace caisson::sandbox::vfs {
namespace {

enum class DentryKind : std::uint8_t {
  kRoot,     // of a file system
  kAlone,    // an object without a place, whose name is for /proc only
  kNamed,    // in its parent
  kRemoved,  // it was
};

Error lost(std::string_view name, Errno why) {
  return Error(why)
      .doing("find ", name, " again")
      .cure("restore on the files that were there at the checkpoint")
      .code("restore.changed");
}

}  // namespace

void save_path(state::Writer& to, const Path& path) {
  to.refer(path.mount);
  to.refer(path.dentry);
}

Result<Path> restore_path(state::Reader& from) {
  Path path;
  path.mount = TRY(from.optional_object<Mount>());
  path.dentry = TRY(from.optional_object<Dentry>());
  return path;
}

std::string place_text(const Path& path) {
  std::string text;
  Ref<Dentry> dentry = path.dentry;
  for (; dentry && !dentry->is_root(); dentry = dentry->parent())
    text = cat("/", dentry->name(), text);
  if (!dentry || !path.mount) return text;
  Path point = path.mount->mount_point();
  if (point) return cat(place_text(point), text);
  return text.empty() ? "/" : text;
}

// --- Dentry

Result<> Dentry::save(state::Writer& to) {
  if (has_parent_) {
    to(is_removed() ? DentryKind::kRemoved : DentryKind::kNamed, name());
    to.refer(parent());
    if (is_removed()) to.refer(inode(), cat(name(), " (removed)"));
    return {};
  }
  if (inode_ == filesystem_->root()) {
    to(DentryKind::kRoot);
    to.refer(filesystem_);
    return {};
  }
  to(DentryKind::kAlone, name_);
  to.refer(inode_.get(), name_);
  return {};
}

Result<Ref<Dentry>> Dentry::restore(state::Reader& from) {
  auto kind = from.value<DentryKind>();
  if (kind == DentryKind::kRoot) return make_root(TRY(from.object<Filesystem>())->root());
  auto name = from.value<std::string>();
  if (kind == DentryKind::kAlone) return make_root(TRY(from.object<Inode>()), std::move(name));
  auto parent = TRY(from.object<Dentry>());
  bool valid = kind == DentryKind::kNamed || kind == DentryKind::kRemoved;
  if (!valid || parent->inode() == nullptr || !parent->inode()->is_directory())
    return std::unexpected(state::Reader::damaged("a name is in no directory"));
  if (kind == DentryKind::kRemoved)
    return DentryCache::make_unnamed(parent, std::move(name), TRY(from.object<Inode>()));
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    return std::unexpected(state::Reader::damaged("a name is none"));
  auto found = DentryCache::lookup(parent, name);
  if (!found) return std::unexpected(lost(name, found.error()));
  if ((*found)->inode() == nullptr) return std::unexpected(lost(name, Errno{ENOENT}));
  return *std::move(found);
}

// --- file systems

Result<> Filesystem::save(state::Writer& to) {
  to(plan_number, type(), options_text());
  if (!plan_number && type() != "tmpfs") {
    return std::unexpected(
        Error::with_cause(EOPNOTSUPP, cat("a file system of type ", type(),
                                          " was mounted inside; only tmpfs can be saved so"))
            .cure("unmount it before the checkpoint"));
  }
  return save_contents(to);
}

Result<Ref<Filesystem>> Filesystem::restore(state::Reader& from) {
  auto number = from.value<std::optional<std::uint32_t>>();
  auto type = from.value<std::string>();
  auto options = from.value<std::string>();
  TRY(from.check());
  auto& source = from.need<FilesystemSource>();
  Ref<Filesystem> filesystem =
      number ? TRY(source.of_plan(*number)) : TRY(source.of_guest(type, options));
  if (filesystem->type() != type) {
    return std::unexpected(Error::invalid(cat("the container's mounts are others than at the "
                                              "checkpoint: ",
                                              filesystem->type(), " for ", type))
                               .code("restore.changed"));
  }
  from.made(filesystem);
  TRY(filesystem->restore_contents(from));
  return filesystem;
}

Result<> Filesystem::save_contents(state::Writer& /*to*/) { return {}; }
Result<> Filesystem::restore_contents(state::Reader& /*from*/) { return {}; }

Result<> Inode::save(state::Writer& /*to*/) {
  return std::unexpected(Error::with_cause(
      EOPNOTSUPP, cat("a removed file of a file system of type ", filesystem().type())));
}

// --- mounts

Result<> Mount::save(state::Writer& to) {
  to.refer(filesystem_, cat("the mount of ", source_));
  to.refer(root_, "the root of a mount");
  to(flags(), source_);
  return {};
}

Result<Ref<Mount>> Mount::restore(state::Reader& from) {
  auto filesystem = TRY(from.object<Filesystem>());
  auto root = TRY(from.object<Dentry>());
  auto flags = from.value<std::uint64_t>();
  auto source = from.value<std::string>();
  return make_ref<Mount>(std::move(filesystem), std::move(root), flags, std::move(source));
}

// Parents come before children.
Result<> MountNamespace::save(state::Writer& to) {
  std::vector<Ref<Mount>> all = mounts();
  to(all.size());
  for (const Ref<Mount>& mount : all) {
    to.refer(mount);
    save_path(to, mount->mount_point());
  }
  return {};
}

Result<Ref<MountNamespace>> MountNamespace::restore(state::Reader& from) {
  std::size_t count = from.count();
  if (count == 0) return std::unexpected(state::Reader::damaged("a mount namespace is empty"));
  auto root = TRY(from.object<Mount>());
  TRY(restore_path(from));
  Ref<MountNamespace> made = create(std::move(root));
  from.made(made);
  for (; count != 1; --count) {
    auto mount = TRY(from.object<Mount>());
    Path point = TRY(restore_path(from));
    if (!point.mount || !point.dentry)
      return std::unexpected(state::Reader::damaged("a mount stands nowhere"));
    auto attached = made->attach(mount, point);
    if (!attached)
      return std::unexpected(Error(attached.error()).doing("mount ", mount->source(), " again"));
  }
  return made;
}

}  // namespace caisson::sandbox::vfs
