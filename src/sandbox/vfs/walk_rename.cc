// rename(2), renameat2(2): Linux' order of checks (fs/namei.c: do_renameat2(), vfs_rename()).
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/walker.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

// Locks of both directories; between two of them, nothing of the file system moves to another one.
class TwoLocks {
 public:
  TwoLocks(Dentry& a, Dentry& b) {
    if (&a == &b) {
      first_.emplace(a.lock());
      return;
    }
    rename_.emplace(a.inode()->filesystem().names().rename_lock());
    // Ancestors first; else by address, so that all agree.
    bool a_first = b.is_below(a) || (!a.is_below(b) && &a < &b);
    first_.emplace((a_first ? a : b).lock());
    second_.emplace((a_first ? b : a).lock());
  }

 private:
  std::optional<Locked> rename_, first_, second_;
};

struct Rename {
  const Credentials& credentials;
  std::uint32_t flags;
  const Walker& from;
  const Walker& to;
  Ref<Dentry> moved, replaced;

  bool exchanges() const { return (flags & RENAME_EXCHANGE) != 0; }
  bool moved_is_directory() const { return moved->inode()->is_directory(); }

  ErrnoOr<> find();
  ErrnoOr<> check_slashes() const;
  ErrnoOr<> check_ancestors() const;
  ErrnoOr<> check_permissions() const;
  ErrnoOr<> apply();
  void tell();

 private:
  void tell_of_move(const Walker& before, const Walker& after, Inode& inode) const;
};

ErrnoOr<> Rename::find() {
  moved = TRY(lookup_for_change(from.directory(), from.last()));
  if (moved->inode() == nullptr) return failed(ENOENT);
  replaced = TRY(lookup_for_change(to.directory(), to.last()));
  bool exists = replaced->inode() != nullptr;
  if (exists && (flags & RENAME_NOREPLACE) != 0) return failed(EEXIST);
  if (!exists && exchanges()) return failed(ENOENT);
  return {};
}

// A slash at the end is for directories only.
ErrnoOr<> Rename::check_slashes() const {
  if (exchanges() && !replaced->inode()->is_directory() && to.trailing_slash())
    return failed(ENOTDIR);
  if (moved_is_directory()) return {};
  if (from.trailing_slash() || (!exchanges() && to.trailing_slash())) return failed(ENOTDIR);
  return {};
}

ErrnoOr<> Rename::check_ancestors() const {
  if (to.directory().dentry->is_below(*moved)) return failed(EINVAL);
  if (replaced->inode() != nullptr && from.directory().dentry->is_below(*replaced))
    return failed(exchanges() ? EINVAL : ENOTEMPTY);
  return {};
}

ErrnoOr<> may_be_replaced(const Path& directory, Inode& victim, bool by_directory,
                          const Credentials& credentials) {
  TRY(may_remove(*directory.inode(), victim, credentials));
  if (by_directory && !victim.is_directory()) return failed(ENOTDIR);
  if (!by_directory && victim.is_directory()) return failed(EISDIR);
  return {};
}

ErrnoOr<> Rename::check_permissions() const {
  Inode& source = *moved->inode();
  bool directory = source.is_directory();
  TRY(may_remove(*from.directory().inode(), source, credentials));
  if (replaced->inode() == nullptr) {
    if (to.directory().dentry->is_removed()) return failed(ENOENT);
    TRY(may_access(*to.directory().inode(), credentials, W_OK | X_OK));
  } else {
    bool by_directory = exchanges() ? replaced->inode()->is_directory() : directory;
    TRY(may_be_replaced(to.directory(), *replaced->inode(), by_directory, credentials));
  }
  // A directory that gets another parent has its ".." written.
  if (from.directory().dentry == to.directory().dentry) return {};
  if (directory) TRY(may_access(source, credentials, W_OK));
  if (exchanges() && replaced->inode()->is_directory())
    TRY(may_access(*replaced->inode(), credentials, W_OK));
  return {};
}

ErrnoOr<> Rename::apply() {
  if (moved->is_mount_point() || replaced->is_mount_point()) return failed(EBUSY);
  std::optional<Locked> inner;
  Inode* over = replaced->inode();
  if (over != nullptr && over->is_directory() && !exchanges()) inner.emplace(replaced->lock());
  TRY(from.directory().inode()->rename(from.last(), *moved->inode(), *to.directory().inode(),
                                       to.last(), over, flags));
  from.directory().inode()->filesystem().names().move(*moved, to.directory().dentry, to.last(),
                                                      replaced.get(), exchanges());
  return {};
}

void Rename::tell_of_move(const Walker& before, const Walker& after, Inode& inode) const {
  std::uint32_t cookie = next_watch_cookie();
  tell_of_name(*before.directory().inode(), before.last(), inode, IN_MOVED_FROM, cookie);
  tell_of_name(*after.directory().inode(), after.last(), inode, IN_MOVED_TO, cookie);
}

// Those who watch, in the order of fsnotify_move().
void Rename::tell() {
  if (from.directory().inode()->filesystem().watches().empty()) return;
  Inode& inode = *moved->inode();
  tell_of_move(from, to, inode);
  if (replaced->inode() != nullptr && !exchanges()) {
    if (replaced->inode()->is_directory()) tell_of_self(*replaced->inode(), IN_ATTRIB);
    tell_of_lost_name(*replaced->inode());
  }
  tell_of_self(inode, IN_MOVE_SELF);
  if (exchanges()) {
    tell_of_move(to, from, *replaced->inode());
    tell_of_self(*replaced->inode(), IN_MOVE_SELF);
  }
}

}  // namespace

ErrnoOr<> rename(const WalkContext& from, std::string_view old_path, const WalkContext& to,
                 std::string_view new_path, std::uint32_t flags) {
  if ((flags & ~std::uint32_t{RENAME_NOREPLACE | RENAME_EXCHANGE}) != 0) return failed(EINVAL);
  if (flags == (RENAME_NOREPLACE | RENAME_EXCHANGE)) return failed(EINVAL);
  Walker old_walker(from, 0), new_walker(to, 0);
  TRY(old_walker.to_parent(old_path));
  TRY(new_walker.to_parent(new_path));
  if (old_walker.directory().mount != new_walker.directory().mount) return failed(EXDEV);
  if (!old_walker.last_is_name()) return failed(EBUSY);
  if (!new_walker.last_is_name()) return failed((flags & RENAME_NOREPLACE) != 0 ? EEXIST : EBUSY);
  TRY(may_write(old_walker.directory()));
  Rename call{*from.credentials, flags, old_walker, new_walker, nullptr, nullptr};
  TwoLocks locks(*old_walker.directory().dentry, *new_walker.directory().dentry);
  TRY(call.find());
  TRY(call.check_slashes());
  TRY(call.check_ancestors());
  if (call.moved->inode() == call.replaced->inode()) return {};
  TRY(call.check_permissions());
  TRY(call.apply());
  call.tell();
  return {};
}

}  // namespace caisson::sandbox::vfs
