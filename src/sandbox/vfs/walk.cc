#include "sandbox/vfs/walk.h"

#include <linux/capability.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/walker.h"

namespace caisson::sandbox::vfs {
namespace {

constexpr int kMostLinks = 40;              // MAXSYMLINKS
constexpr std::size_t kLongestPath = 4095;  // PATH_MAX without its end
constexpr std::size_t kLongestName = 255;   // NAME_MAX

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

// fs.protected_symlinks: in a directory where all may write, links of others are not followed.
ErrnoOr<> may_follow(Inode& directory, Inode& link, const Credentials& credentials) {
  Ownership of = TRY(directory.ownership());
  constexpr std::uint32_t kShared = S_ISVTX | S_IWOTH;
  if ((of.mode & kShared) != kShared) return {};
  Uid owner = TRY(link.ownership()).uid;
  if (owner == credentials.fsuid || owner == of.uid) return {};
  return failed(EACCES);
}

}  // namespace

Walker::Walker(const WalkContext& context, std::uint64_t resolve)
    : context_(context),
      resolve_(resolve),
      root_((resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0 ? context.base : context.root) {}

ErrnoOr<> Walker::start(std::string_view path) {
  if (path.empty()) return failed(ENOENT);
  if (path.size() > kLongestPath) return failed(ENAMETOOLONG);
  rest_ = path;
  if (path.front() != '/') {
    at_ = context_.base;
    if (at_.inode() == nullptr || !at_.inode()->is_directory()) return failed(ENOTDIR);
    return {};
  }
  if (resolves(RESOLVE_BENEATH)) return failed(EXDEV);
  at_ = root_;
  return {};
}

// The next component into last_; false: there is none ("/").
ErrnoOr<bool> Walker::take_component() {
  for (;;) {
    std::size_t begin = rest_.find_first_not_of('/');
    if (begin != std::string_view::npos) {
      rest_.remove_prefix(begin);
      break;
    }
    if (frames_.empty() || frames_.back().outer.empty()) {
      last_ = {};
      at_last_ = true;
      return false;
    }
    rest_ = frames_.back().outer;
    frames_.pop_back();
  }
  if (!at_.inode()->is_directory()) return failed(ENOTDIR);
  TRY(search());
  std::size_t end = std::min(rest_.find('/'), rest_.size());
  last_ = rest_.substr(0, end);
  rest_.remove_prefix(end);
  bool more = rest_.find_first_not_of('/') != std::string_view::npos;
  at_last_ = !more && (frames_.empty() || frames_.back().outer.empty());
  if (at_last_ && !rest_.empty()) trailing_slash_ = true;
  return true;
}

ErrnoOr<> Walker::search() const { return may_access(*at_.inode(), *context_.credentials, X_OK); }

// Steps over all components but the last, which stays in last_.
ErrnoOr<> Walker::walk_prefix() {
  for (;;) {
    if (!TRY(take_component()) || at_last_) return {};
    TRY(step(last_, false, true));
  }
}

ErrnoOr<Ref<Dentry>> Walker::lookup(std::string_view name) {
  if (name.size() > kLongestName) return failed(ENAMETOOLONG);
  Ref<Dentry> found = TRY(DentryCache::lookup(at_.dentry, name));
  Inode& directory = *at_.inode();
  if (!directory.filesystem().revalidates() || found->inode() == nullptr || found->is_mount_point())
    return found;
  if (!careful_) {
    unchecked_ = {at_.dentry, found};
    return found;
  }
  if (directory.still_named(name, *found->inode())) return found;
  Locked lock(at_.dentry->lock());
  if (!found->is_removed()) DentryCache::forget(*found);
  return DentryCache::lookup_locked(at_.dentry, name);
}

// One question for all names of a file system that were found in the cache.
ErrnoOr<> Walker::check_names() {
  if (!unchecked_.dentry) return {};
  Unchecked name = std::exchange(unchecked_, {});
  if (name.directory->inode()->still_named(name.dentry->name(), *name.dentry->inode())) return {};
  stale_ = true;
  return failed(ESTALE);
}

ErrnoOr<> Walker::step(std::string_view name, bool last, bool follow_links) {
  if (name == ".") return {};
  if (name == "..") return up();
  Ref<Dentry> found = TRY(lookup(name));
  if (found->inode() == nullptr) return failed(ENOENT);
  if (found->inode()->is_symlink() && follow_links) {
    TRY(check_names());
    return follow(*found->inode(), rest_, last);
  }
  if (!found->is_mount_point()) {
    at_.dentry = std::move(found);
    return {};
  }
  return cross({at_.mount, std::move(found)});
}

// Goes to a place through what is mounted on it.
ErrnoOr<> Walker::cross(Path place) {
  Path covering = context_.mounts->cross_down(place);
  if (covering.mount != at_.mount) {
    if (resolves(RESOLVE_NO_XDEV)) return failed(EXDEV);
    TRY(check_names());
  }
  at_ = std::move(covering);
  return {};
}

ErrnoOr<Path> Walker::enter(Ref<Dentry> dentry) {
  Path place{at_.mount, std::move(dentry)};
  if (!place.dentry->is_mount_point()) return place;
  Path covering = context_.mounts->cross_down(place);
  if (covering.mount != at_.mount && resolves(RESOLVE_NO_XDEV)) return failed(EXDEV);
  return covering;
}

ErrnoOr<> Walker::up() {
  auto stay = [this]() -> ErrnoOr<> {
    if (resolves(RESOLVE_BENEATH)) return failed(EXDEV);
    return {};
  };
  if (at_ == root_) return stay();
  TRY(check_names());
  Path place = at_;
  if (at_.dentry == at_.mount->root()) {
    place = context_.mounts->cross_up(at_, root_);
    if (place == at_ || place == root_) return stay();
    if (resolves(RESOLVE_NO_XDEV)) return failed(EXDEV);
  }
  place.dentry = place.dentry->parent();
  // A directory that was moved out of what a bind mount shows has no way up in it.
  const Ref<Dentry>& shown = place.mount->root();
  if (!shown->is_root() && !place.dentry->is_below(*shown)) return failed(ENOENT);
  if (place.mount != at_.mount) at_ = place;
  return cross(std::move(place));
}

ErrnoOr<> Walker::follow(Inode& link, std::string_view after, bool last) {
  if (++links_ > kMostLinks) return failed(ELOOP);
  if (resolves(RESOLVE_NO_SYMLINKS) || (at_.mount->flags() & kNoSymlinkFollow) != 0)
    return failed(ELOOP);
  if (last) TRY(may_follow(*at_.inode(), link, *context_.credentials));
  Path jump = TRY(link.magic_link(*context_.caller));
  if (!jump) return follow_text(TRY(link.read_link(context_.caller)), after);
  if (resolves(RESOLVE_NO_MAGICLINKS)) return failed(ELOOP);
  if (resolves(RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return failed(EXDEV);
  if (resolves(RESOLVE_NO_XDEV) && jump.mount != at_.mount) return failed(EXDEV);
  at_ = std::move(jump);
  jumped_ = last;
  return {};
}

ErrnoOr<> Walker::follow_text(std::string text, std::string_view after) {
  if (text.empty()) return failed(ENOENT);
  if (text.front() == '/') {
    if (resolves(RESOLVE_BENEATH)) return failed(EXDEV);
    if (resolves(RESOLVE_NO_XDEV) && at_.mount != root_.mount) return failed(EXDEV);
    at_ = root_;
  }
  bool more = after.find_first_not_of('/') != std::string_view::npos;
  auto kept = std::make_unique<std::string>(std::move(text));
  rest_ = *kept;
  if (more || frames_.empty())
    frames_.push_back({std::move(kept), more ? after : std::string_view()});
  else
    frames_.back().text = std::move(kept);  // nothing is left of the text before it
  return {};
}

ErrnoOr<Path> Walker::walk_all(std::string_view path, WalkFlags flags) {
  TRY(start(path));
  for (;;) {
    TRY(walk_prefix());
    if (last_.empty()) break;
    bool follow_links = flags.follow_last || trailing_slash_;
    int links_before = links_;
    TRY(step(last_, true, follow_links));
    if (links_ == links_before || jumped_) break;
  }
  TRY(check_names());
  if ((flags.must_be_directory || trailing_slash_) && !at_.inode()->is_directory())
    return failed(ENOTDIR);
  return at_;
}

ErrnoOr<Path> Walker::to_end(std::string_view path, WalkFlags flags) {
  if (path.empty() && flags.allow_empty) return context_.base;
  ErrnoOr<Path> reached = walk_all(path, flags);
  if (!stale_) return reached;
  stale_ = false;
  careful_ = true;
  links_ = 0;
  trailing_slash_ = false;
  frames_.clear();
  return walk_all(path, flags);
}

ErrnoOr<> Walker::to_parent(std::string_view path) {
  auto attempt = [&]() -> ErrnoOr<> {
    TRY(start(path));
    TRY(walk_prefix());
    return check_names();
  };
  ErrnoOr<> reached = attempt();
  if (!stale_) return reached;
  stale_ = false;
  careful_ = true;
  links_ = 0;
  trailing_slash_ = false;
  frames_.clear();
  return attempt();
}

ErrnoOr<> Walker::follow_last(const Ref<Dentry>& link) {
  TRY(follow(*link->inode(), rest_, true));
  if (jumped_) return {};
  return walk_prefix();
}

ErrnoOr<Path> Walker::enter_last_dots() {
  if (!jumped_ && last_ == "..") TRY(up());
  return at_;
}

ErrnoOr<Path> walk(const WalkContext& context, std::string_view path, WalkFlags flags) {
  return Walker(context, flags.resolve).to_end(path, flags);
}

ErrnoOr<LastComponent> walk_to_parent(const WalkContext& context, std::string_view path,
                                      std::uint64_t resolve) {
  Walker walker(context, resolve);
  TRY(walker.to_parent(path));
  return LastComponent{walker.directory(), std::string(walker.last()), walker.trailing_slash()};
}

ErrnoOr<Ref<Dentry>> lookup_for_change(const Path& directory, std::string_view name) {
  if (name.size() > kLongestName) return failed(ENAMETOOLONG);
  Ref<Dentry> found = TRY(DentryCache::lookup_locked(directory.dentry, name));
  Inode& inode = *directory.inode();
  if (!inode.filesystem().revalidates() || found->inode() == nullptr || found->is_mount_point() ||
      inode.still_named(name, *found->inode()))
    return found;
  DentryCache::forget(*found);
  return DentryCache::lookup_locked(directory.dentry, name);
}

Creation creation_in(const Ownership& directory, const Credentials& credentials,
                     std::uint32_t mode) {
  Creation made{mode, credentials.fsuid, credentials.fsgid};
  if ((directory.mode & S_ISGID) == 0) return made;
  made.gid = directory.gid;
  if (S_ISDIR(mode))
    made.mode |= S_ISGID;
  else if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !credentials.in_group(made.gid) &&
           !credentials.has(CAP_FSETID))
    made.mode &= ~static_cast<std::uint32_t>(S_ISGID);
  return made;
}

ErrnoOr<> may_write(const Path& path) {
  if (!path.mount) return {};
  if (path.mount->readonly() || path.mount->filesystem().is_readonly()) return failed(EROFS);
  return {};
}

}  // namespace caisson::sandbox::vfs
