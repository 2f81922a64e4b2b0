// open(2): Linux' order of checks (fs/namei.c: do_open(), lookup_open(), may_open()).
#include <fcntl.h>
#include <linux/openat2.h>
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

constexpr std::uint32_t kTemporary = O_TMPFILE & ~O_DIRECTORY;

bool has(std::uint32_t flags, int flag) { return (flags & static_cast<std::uint32_t>(flag)) != 0; }

// R_OK and W_OK that the flags ask for; the access mode 3 asks for both.
int wanted_access(std::uint32_t flags) {
  int access = 0;
  if ((flags & O_ACCMODE) != O_WRONLY) access |= R_OK;
  if ((flags & O_ACCMODE) != O_RDONLY) access |= W_OK;
  if (has(flags, O_TRUNC)) access |= W_OK;
  return access;
}

// may_open() of what exists already.
ErrnoOr<> may_open(const Path& path, std::uint32_t flags, const Credentials& credentials) {
  Inode& inode = *path.inode();
  int access = wanted_access(flags);
  bool written = (access & W_OK) != 0;
  bool device = inode.type() == S_IFCHR || inode.type() == S_IFBLK;
  if (inode.is_symlink()) return failed(ELOOP);
  if (inode.is_directory() && written) return failed(EISDIR);
  if (device && path.mount && (path.mount->flags() & MS_NODEV) != 0) return failed(EACCES);
  bool plain = S_ISREG(inode.type()) || inode.is_directory();
  if (written && plain && inode.filesystem().is_readonly()) return failed(EROFS);
  TRY(may_access(inode, credentials, access));
  if (has(flags, O_NOATIME) && !owns(TRY(inode.attributes()), credentials)) return failed(EPERM);
  return {};
}

// The file of a place that the checks have let through.
ErrnoOr<Ref<File>> open_checked(const Path& path, std::uint32_t flags, Caller& caller) {
  Inode& inode = *path.inode();
  bool special = !S_ISREG(inode.type()) && !inode.is_directory();
  if (inode.type() == S_IFSOCK) return failed(ENXIO);
  if (OpenFlags{flags}.writable() && !special) TRY(may_write(path));
  // A terminal has to know of O_NOCTTY.
  std::uint32_t for_opening_only = O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC;
  if (inode.type() != S_IFCHR) for_opening_only |= O_NOCTTY;
  Ref<File> file = TRY(inode.open(path, OpenFlags{flags & ~for_opening_only}, caller));
  if (S_ISREG(inode.type()) && file->writable()) TRY(file->count_as_writer());
  tell_of(*file, IN_OPEN);
  return file;
}

ErrnoOr<Ref<File>> open_existing(const Path& path, std::uint32_t flags, Caller& caller,
                                 const Credentials& credentials) {
  bool truncates = has(flags, O_TRUNC) && S_ISREG(path.inode()->type());
  if (truncates) TRY(may_write(path));
  TRY(may_open(path, flags, credentials));
  Ref<File> file = TRY(open_checked(path, flags, caller));
  if (truncates) {
    TRY(truncate_opened(*path.inode(), credentials, 0));
    tell_of(*file, IN_MODIFY);
  }
  return file;
}

// One component of open() with O_CREAT, under the directory's lock.
struct Opened {
  Ref<Dentry> dentry;
  bool created = false;
};

ErrnoOr<Opened> look_up_or_create(const Walker& walker, const WalkContext& context,
                                  const OpenRequest& request) {
  const Path& directory = walker.directory();
  if (directory.inode()->caches_names() && !directory.inode()->filesystem().revalidates())
    if (Ref<Dentry> known = DentryCache::find(*directory.dentry, walker.last());
        known && known->inode() != nullptr)
      return Opened{std::move(known)};
  Locked lock(directory.dentry->lock());
  Ref<Dentry> found = TRY(lookup_for_change(directory, walker.last()));
  if (found->inode() != nullptr) return Opened{std::move(found)};
  TRY(may_write(directory));
  if (directory.dentry->is_removed()) return failed(ENOENT);
  TRY(may_access(*directory.inode(), *context.credentials, W_OK | X_OK));
  Creation creation = creation_in(TRY(directory.inode()->ownership()), *context.credentials,
                                  S_IFREG | (request.mode & 07777));
  Ref<Inode> made = TRY(directory.inode()->create(walker.last(), creation));
  Ref<Dentry> known = DentryCache::add(directory.dentry, walker.last(), std::move(made));
  tell_of_name(*directory.inode(), walker.last(), *known->inode(), IN_CREATE);
  return Opened{std::move(known), true};
}

ErrnoOr<Ref<File>> open_or_create(const WalkContext& context, std::string_view path,
                                  const OpenRequest& request) {
  std::uint32_t flags = request.flags;
  Walker walker(context, request.resolve);
  TRY(walker.to_parent(path));
  for (;;) {
    // "/", "." and "..", or where a magic link led: nothing to be made.
    if (!walker.last_is_name()) {
      Path place = TRY(walker.enter_last_dots());
      if (has(flags, O_EXCL)) return failed(EEXIST);
      if (place.inode()->is_directory()) return failed(EISDIR);
      return open_existing(place, flags, *context.caller, *context.credentials);
    }
    if (walker.trailing_slash()) return failed(EISDIR);
    Opened opened = TRY(look_up_or_create(walker, context, request));
    if (opened.created) {
      Path place{walker.directory().mount, opened.dentry};
      return open_checked(place, flags, *context.caller);
    }
    bool follows = !has(flags, O_NOFOLLOW) && !has(flags, O_EXCL);
    if (opened.dentry->inode()->is_symlink() && follows) {
      TRY(walker.follow_last(opened.dentry));
      continue;
    }
    Path place = TRY(walker.enter(std::move(opened.dentry)));
    if (has(flags, O_EXCL)) return failed(EEXIST);
    if (place.inode()->is_directory()) return failed(EISDIR);
    return open_existing(place, flags, *context.caller, *context.credentials);
  }
}

ErrnoOr<Ref<File>> open_unnamed(const WalkContext& context, std::string_view path,
                                const OpenRequest& request) {
  if (!OpenFlags{request.flags}.writable()) return failed(EINVAL);
  WalkFlags flags{.must_be_directory = true, .resolve = request.resolve};
  flags.follow_last = !has(request.flags, O_NOFOLLOW);
  Path directory = TRY(walk(context, path, flags));
  TRY(may_write(directory));
  TRY(may_access(*directory.inode(), *context.credentials, W_OK | X_OK));
  Creation creation = creation_in(TRY(directory.inode()->ownership()), *context.credentials,
                                  S_IFREG | (request.mode & 07777));
  Ref<Inode> made = TRY(directory.inode()->create_unnamed(creation));
  made->may_be_named = !has(request.flags, O_EXCL);
  std::string name = "#" + std::to_string(TRY(made->attributes()).inode);
  Path place{directory.mount,
             DentryCache::make_unnamed(directory.dentry, std::move(name), std::move(made))};
  return open_checked(place, request.flags & ~std::uint32_t{O_TMPFILE}, *context.caller);
}

}  // namespace

ErrnoOr<Ref<File>> open_path(const Path& path, std::uint32_t flags, Caller& caller,
                             const Credentials& credentials) {
  if (has(flags, O_DIRECTORY) && !path.inode()->is_directory()) return failed(ENOTDIR);
  if (has(flags, O_PATH)) return make_path_file(path, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
  return open_existing(path, flags, caller, credentials);
}

ErrnoOr<Ref<File>> open(const WalkContext& context, std::string_view path,
                        const OpenRequest& request) {
  std::uint32_t flags = request.flags;
  if (has(flags, O_PATH)) {
    flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
  } else if ((flags & kTemporary) != 0) {
    if ((flags & O_TMPFILE) != O_TMPFILE || has(flags, O_CREAT)) return failed(EINVAL);
    return open_unnamed(context, path, request);
  }
  if (has(flags, O_CREAT) && has(flags, O_DIRECTORY)) return failed(EINVAL);
  if (has(flags, O_CREAT)) return open_or_create(context, path, request);
  WalkFlags walk_flags{.must_be_directory = has(flags, O_DIRECTORY), .resolve = request.resolve};
  walk_flags.follow_last = !has(flags, O_NOFOLLOW);
  Path place = TRY(walk(context, path, walk_flags));
  return open_path(place, flags, *context.caller, *context.credentials);
}

}  // namespace caisson::sandbox::vfs
