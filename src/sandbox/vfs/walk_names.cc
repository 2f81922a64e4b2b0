// Making and removing names: Linux' order of checks (fs/namei.c: filename_create(), may_create(),
// may_delete(), do_unlinkat() ...).
#include <linux/capability.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/walker.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

// Finds the place of a new name and has `make` make it: make(directory, name).
template <typename Make>
ErrnoOr<> make_name(const WalkContext& context, std::string_view path, bool directory, Make make) {
  Walker walker(context, 0);
  TRY(walker.to_parent(path));
  if (!walker.last_is_name()) return failed(EEXIST);
  const Path& parent = walker.directory();
  Locked lock(parent.dentry->lock());
  Ref<Dentry> found = TRY(lookup_for_change(parent, walker.last()));
  if (found->inode() != nullptr) return failed(EEXIST);
  if (walker.trailing_slash() && !directory) return failed(ENOENT);
  TRY(may_write(parent));
  if (parent.dentry->is_removed()) return failed(ENOENT);
  TRY(may_access(*parent.inode(), *context.credentials, W_OK | X_OK));
  Ref<Inode> made = TRY(make(parent, walker.last()));
  Ref<Dentry> known = DentryCache::add(parent.dentry, walker.last(), std::move(made));
  tell_of_name(*parent.inode(), walker.last(), *known->inode(), IN_CREATE);
  return {};
}

// A name that was removed, under the directory's lock: events come in the order in which Linux has
// them.
void finish_removal(const Path& parent, std::string_view name, Ref<Dentry>& victim) {
  DentryCache::remove(*victim);
  if (parent.inode()->filesystem().watches().empty()) return;
  Ref<Inode> inode = Ref<Inode>::share(victim->inode());
  tell_of_lost_name(*inode);
  victim = nullptr;
  tell_of_name(*parent.inode(), name, *inode, IN_DELETE);
}

ErrnoOr<Creation> creation(const WalkContext& context, const Path& parent, std::uint32_t mode) {
  return creation_in(TRY(parent.inode()->ownership()), *context.credentials, mode);
}

// fs.protected_hardlinks: others' files can be linked by those only who could write them.
ErrnoOr<> may_link(Inode& target, const Credentials& credentials) {
  Attributes now = TRY(target.attributes());
  if (owns(now, credentials)) return {};
  constexpr std::uint32_t kGroupRuns = S_ISGID | S_IXGRP;
  bool safe = S_ISREG(now.mode) && (now.mode & S_ISUID) == 0 &&
              (now.mode & kGroupRuns) != kGroupRuns &&
              may_access(target, credentials, R_OK | W_OK).has_value();
  if (!safe) return failed(EPERM);
  return {};
}

}  // namespace

ErrnoOr<> make_directory(const WalkContext& context, std::string_view path, std::uint32_t mode) {
  auto make = [&](const Path& parent, std::string_view name) -> ErrnoOr<Ref<Inode>> {
    constexpr std::uint32_t kBits = 0777U | S_ISVTX;
    Creation made = TRY(creation(context, parent, S_IFDIR | (mode & kBits)));
    return parent.inode()->make_directory(name, made);
  };
  return make_name(context, path, true, make);
}

ErrnoOr<> make_mount_point(const Path& directory, std::string_view name, std::uint32_t type) {
  Locked lock(directory.dentry->lock());
  auto known = TRY(DentryCache::lookup_locked(directory.dentry, name));
  if (known->inode() != nullptr) return failed(EEXIST);
  auto made = TRY(directory.inode()->make_mount_point(name, type));
  DentryCache::add(directory.dentry, name, std::move(made));
  return {};
}

ErrnoOr<> make_node(const WalkContext& context, std::string_view path, std::uint32_t mode,
                    std::uint64_t device) {
  std::uint32_t type = mode & S_IFMT;
  if (type == 0) type = S_IFREG;
  if (type == S_IFDIR) return failed(EPERM);
  if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
    return failed(EINVAL);
  bool is_device = type == S_IFCHR || type == S_IFBLK;
  auto make = [&](const Path& parent, std::string_view name) -> ErrnoOr<Ref<Inode>> {
    bool whiteout = type == S_IFCHR && device == 0;
    if (is_device && !whiteout && !context.credentials->has(CAP_MKNOD)) return failed(EPERM);
    Creation made = TRY(creation(context, parent, type | (mode & 07777U)));
    if (type == S_IFREG) return parent.inode()->create(name, made);
    return parent.inode()->make_node(name, made, is_device ? device : 0);
  };
  return make_name(context, path, false, make);
}

ErrnoOr<> make_symlink(const WalkContext& context, std::string_view target, std::string_view path) {
  if (target.empty()) return failed(ENOENT);
  if (target.size() > 4095) return failed(ENAMETOOLONG);
  auto make = [&](const Path& parent, std::string_view name) -> ErrnoOr<Ref<Inode>> {
    Creation made = TRY(creation(context, parent, S_IFLNK | 0777));
    return parent.inode()->make_symlink(name, target, made);
  };
  return make_name(context, path, false, make);
}

ErrnoOr<> link(const WalkContext& context, const Path& target, std::string_view path) {
  Walker walker(context, 0);
  TRY(walker.to_parent(path));
  if (!walker.last_is_name()) return failed(EEXIST);
  const Path& parent = walker.directory();
  Locked lock(parent.dentry->lock());
  Ref<Dentry> found = TRY(lookup_for_change(parent, walker.last()));
  if (found->inode() != nullptr) return failed(EEXIST);
  if (walker.trailing_slash()) return failed(ENOENT);
  TRY(may_write(parent));
  if (target.mount != parent.mount) return failed(EXDEV);
  TRY(may_link(*target.inode(), *context.credentials));
  if (parent.dentry->is_removed()) return failed(ENOENT);
  TRY(may_access(*parent.inode(), *context.credentials, W_OK | X_OK));
  if (&target.inode()->filesystem() != &parent.inode()->filesystem()) return failed(EXDEV);
  if (target.inode()->is_directory()) return failed(EPERM);
  bool is_gone = TRY(target.inode()->attributes()).links == 0;
  if (is_gone && !target.inode()->may_be_named) return failed(ENOENT);
  TRY(parent.inode()->link(walker.last(), *target.inode()));
  (void)DentryCache::add(parent.dentry, walker.last(), Ref<Inode>::share(target.inode()));
  tell_of_self(*target.inode(), IN_ATTRIB);
  tell_of_name(*parent.inode(), walker.last(), *target.inode(), IN_CREATE);
  return {};
}

ErrnoOr<> unlink(const WalkContext& context, std::string_view path) {
  Walker walker(context, 0);
  TRY(walker.to_parent(path));
  if (!walker.last_is_name()) return failed(EISDIR);
  const Path& parent = walker.directory();
  TRY(may_write(parent));
  Ref<Dentry> victim;  // dropped after the lock: this may free the file
  Locked lock(parent.dentry->lock());
  victim = TRY(lookup_for_change(parent, walker.last()));
  Inode* inode = victim->inode();
  if (inode == nullptr) return failed(ENOENT);
  if (walker.trailing_slash()) return failed(inode->is_directory() ? EISDIR : ENOTDIR);
  TRY(may_remove(*parent.inode(), *inode, *context.credentials));
  if (inode->is_directory()) return failed(EISDIR);
  if (victim->is_mount_point()) return failed(EBUSY);
  TRY(parent.inode()->unlink(walker.last(), *inode));
  finish_removal(parent, walker.last(), victim);
  return {};
}

ErrnoOr<> remove_directory(const WalkContext& context, std::string_view path) {
  Walker walker(context, 0);
  TRY(walker.to_parent(path));
  if (walker.last() == "..") return failed(ENOTEMPTY);
  if (walker.last() == ".") return failed(EINVAL);
  if (walker.last().empty()) return failed(EBUSY);
  const Path& parent = walker.directory();
  TRY(may_write(parent));
  Ref<Dentry> victim;
  Locked lock(parent.dentry->lock());
  victim = TRY(lookup_for_change(parent, walker.last()));
  Inode* inode = victim->inode();
  if (inode == nullptr) return failed(ENOENT);
  TRY(may_remove(*parent.inode(), *inode, *context.credentials));
  if (!inode->is_directory()) return failed(ENOTDIR);
  {
    // Nothing is made in it meanwhile, nor after.
    Locked inner(victim->lock());
    if (victim->is_mount_point()) return failed(EBUSY);
    TRY(parent.inode()->remove_directory(walker.last(), *inode));
    DentryCache::remove(*victim);
  }
  finish_removal(parent, walker.last(), victim);
  return {};
}

}  // namespace caisson::sandbox::vfs
