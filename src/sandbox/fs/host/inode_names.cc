// What makes and removes names on the host.
#include <sys/stat.h>

#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"
#include "sys/process.h"

namespace caisson::sandbox::fs {
namespace {

// By a descriptor opened with O_PATH; before Linux 6.6 only directories can be changed so.
ErrnoOr<> set_mode(FdRef file, std::uint32_t mode) {
  auto done = sys::fchmodat2(file, "", mode, AT_EMPTY_PATH);
  if (done || done.error().value != ENOSYS) return done;
  Fd directory = TRY(sys::openat2(file, ".", O_RDONLY | O_DIRECTORY, sys::kBeneath));
  return sys::fchmod(directory, mode);
}

// Gives what was just made its owner and mode. chown(2) takes set-id bits away: the mode comes
// last.
ErrnoOr<struct statx> settle(FdRef file, const HostCreation& wanted) {
  struct statx info = TRY(sys::statx(file));
  bool changed = false;
  if (info.stx_uid != wanted.uid || info.stx_gid != wanted.gid) {
    TRY(sys::fchownat(file, "", wanted.uid, wanted.gid, AT_EMPTY_PATH));
    changed = true;
  }
  std::uint32_t mode = wanted.mode & 07777;
  bool has_mode = (wanted.mode & S_IFMT) != S_IFLNK;
  if (has_mode && ((info.stx_mode & 07777) != mode || (changed && (mode & 07000) != 0))) {
    TRY(set_mode(file, mode));
    changed = true;
  }
  return changed ? sys::statx(file) : info;
}

ErrnoOr<> make_on_host(const Place& place, const HostCreation& wanted, std::uint64_t device) {
  std::uint32_t type = wanted.mode & S_IFMT;
  if (type == S_IFDIR) return sys::mkdirat(place.fd(), place.path(), wanted.mode & 0777);
  return sys::mknodat(place.fd(), place.path(), type | (wanted.mode & 0777), device);
}

}  // namespace

// The new inode at a name that the gofer made.
ErrnoOr<Ref<vfs::Inode>> HostInode::adopt(std::string_view name) {
  attributes_changed();
  return lookup(name);
}

// The new inode at a name that we made: whoever may write there could have put something else in
// its place, which keeps its owner.
ErrnoOr<Ref<vfs::Inode>> HostInode::made(const Place& place, const HostCreation& wanted) {
  std::uint32_t type = wanted.mode & S_IFMT;
  int removal = type == S_IFDIR ? AT_REMOVEDIR : 0;
  Fd fd = TRY(with_descriptors(host(), [&] {
    return sys::openat2(place.fd(), place.path(), O_PATH | O_NOFOLLOW, sys::kBeneath);
  }));
  struct statx info = TRY(sys::statx(fd));
  if ((info.stx_mode & S_IFMT) != type || info.stx_uid != sys::geteuid())
    return std::unexpected(Errno{ESTALE});
  auto settled = settle(fd, wanted);
  if (!settled) {
    (void)sys::unlinkat(place.fd(), place.path(), removal);  // it was not there before
    return std::unexpected(settled.error());
  }
  attributes_changed();
  auto inode = host().inode_at(*this, place.name, host().seen(*settled));
  if (type == S_IFDIR) host().keep_handle(*inode, Access::kRead, make_ref<Handle>(std::move(fd)));
  return Ref<vfs::Inode>(inode);
}

ErrnoOr<Ref<vfs::Inode>> HostInode::create(std::string_view name, const vfs::Creation& creation) {
  Place place = TRY(host().place_in(*this, name));
  HostCreation wanted = TRY(host().on_host(creation));
  ErrnoOr<Fd> fd = with_descriptors(host(), [&] {
    return sys::openat2(place.fd(), place.path(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY,
                        sys::kBeneath, wanted.mode & 0777);
  });
  ErrnoOr<struct statx> info = std::unexpected(Errno{EACCES});
  if (fd) {
    info = settle(*fd, wanted);
    if (!info) (void)sys::unlinkat(place.fd(), place.path());
  } else {
    info = std::unexpected(fd.error());
  }
  if (!info && is_denied(info.error()) && host().gofer() != nullptr) {
    fd = host().gofer()->create(TRY(host().path_in(*this, name)), wanted);
    if (!fd) return std::unexpected(fd.error());
    info = sys::statx(*fd);
  }
  if (!info) return std::unexpected(info.error());
  attributes_changed();
  auto inode = host().inode_at(*this, name, host().seen(*info));
  host().keep_handle(*inode, Access::kReadWrite, make_ref<Handle>(std::move(*fd)));
  return Ref<vfs::Inode>(inode);
}

ErrnoOr<Ref<vfs::Inode>> HostInode::make_directory(std::string_view name,
                                                   const vfs::Creation& creation) {
  vfs::Creation directory = creation;
  directory.mode = (creation.mode & 07777) | S_IFDIR;
  return make_node(name, directory, 0);
}

ErrnoOr<Ref<vfs::Inode>> HostInode::make_node(std::string_view name, const vfs::Creation& creation,
                                              std::uint64_t device) {
  if ((creation.mode & S_IFMT) == S_IFREG) return create(name, creation);
  Place place = TRY(host().place_in(*this, name));
  HostCreation wanted = TRY(host().on_host(creation));
  auto here = make_on_host(place, wanted, device);
  ErrnoOr<Ref<vfs::Inode>> inode = std::unexpected(here ? Errno{} : here.error());
  if (here) inode = made(place, wanted);
  if (inode || !is_denied(inode.error()) || host().gofer() == nullptr) return inode;
  TRY(host().gofer()->make(TRY(host().path_in(*this, name)), wanted, device));
  return adopt(name);
}

ErrnoOr<Ref<vfs::Inode>> HostInode::make_symlink(std::string_view name, std::string_view target,
                                                 const vfs::Creation& creation) {
  Place place = TRY(host().place_in(*this, name));
  HostCreation wanted = TRY(host().on_host(creation));
  wanted.mode = S_IFLNK | 0777;
  auto here = sys::symlinkat(std::string(target).c_str(), place.fd(), place.path());
  ErrnoOr<Ref<vfs::Inode>> inode = std::unexpected(here ? Errno{} : here.error());
  if (here) inode = made(place, wanted);
  if (inode || !is_denied(inode.error()) || host().gofer() == nullptr) return inode;
  TRY(host().gofer()->make_symlink(TRY(host().path_in(*this, name)), target, wanted));
  return adopt(name);
}

ErrnoOr<Ref<vfs::Inode>> HostInode::create_unnamed(const vfs::Creation& creation) {
  HostCreation wanted = TRY(host().on_host(creation));
  auto directory = TRY(host().directory_handle(*this));
  Fd fd = TRY(with_descriptors(host(), [&] {
    return sys::openat2(directory->fd(), ".", O_TMPFILE | O_RDWR, sys::kBeneath,
                        wanted.mode & 0777);
  }));
  auto inode = host().inode_of(host().seen(TRY(settle(fd, wanted))));
  host().keep_handle(*inode, Access::kReadWrite, make_ref<Handle>(std::move(fd)));
  host().pin(*inode);
  return Ref<vfs::Inode>(inode);
}

ErrnoOr<> HostInode::link(std::string_view name, vfs::Inode& target) {
  if (static_cast<HostNode&>(target).in_memory()) return std::unexpected(Errno{EXDEV});
  auto& file = static_cast<HostInode&>(target);
  Place place = TRY(host().place_in(*this, name));
  {
    Locked lock(host().names_mutex());
    Place from = TRY(host().place_of(file));
    int flags = from.name.empty() ? AT_EMPTY_PATH : 0;
    auto done = sys::linkat(from.fd(), from.path(), place.fd(), place.path(), flags);
    if (!done && is_denied(done.error()) && host().gofer() != nullptr)
      done = host().gofer()->link(TRY(host().path_of(file)), TRY(host().path_in(*this, name)));
    if (!done) return done;
  }
  host().named(file, *this, name);
  file.attributes_changed();
  attributes_changed();
  return {};
}

void HostInode::lost_name(HostInode& directory, std::string_view name) {
  if (host().unnamed(*this, directory, name))
    was_removed();
  else
    attributes_changed();
}

ErrnoOr<> HostInode::remove(std::string_view name, vfs::Inode& target, int flags) {
  if (static_cast<HostNode&>(target).in_memory()) return remove_mount_point(name, target);
  auto& file = static_cast<HostInode&>(target);
  if (!file.mount_points().empty()) return std::unexpected(Errno{ENOTEMPTY});
  Place place = TRY(host().place_in(*this, name));
  {
    NameChange change(host());
    auto done = sys::unlinkat(place.fd(), place.path(), flags);
    if (!done && is_denied(done.error()) && host().gofer() != nullptr)
      done = host().gofer()->unlink(TRY(host().path_in(*this, name)), flags);
    if (!done) return done;
    file.lost_name(*this, name);
  }
  attributes_changed();
  return {};
}

ErrnoOr<> HostInode::unlink(std::string_view name, vfs::Inode& target) {
  return remove(name, target, 0);
}

ErrnoOr<> HostInode::remove_directory(std::string_view name, vfs::Inode& target) {
  return remove(name, target, AT_REMOVEDIR);
}

ErrnoOr<> HostInode::rename(std::string_view name, vfs::Inode& moved, vfs::Inode& to,
                            std::string_view new_name, vfs::Inode* replaced, std::uint32_t flags) {
  auto in_memory = [](vfs::Inode& inode) { return static_cast<HostNode&>(inode).in_memory(); };
  if (in_memory(moved) || in_memory(to) || (replaced != nullptr && in_memory(*replaced)))
    return std::unexpected(Errno{EBUSY});
  auto& file = static_cast<HostInode&>(moved);
  auto& directory = static_cast<HostInode&>(to);
  auto* other = static_cast<HostInode*>(replaced);
  Place from = TRY(host().place_in(*this, name));
  Place place = TRY(host().place_in(directory, new_name));
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  {
    NameChange change(host());
    auto done = sys::renameat(from.fd(), from.path(), place.fd(), place.path(), flags);
    if (!done && is_denied(done.error()) && host().gofer() != nullptr)
      done = host().gofer()->rename(TRY(host().path_in(*this, name)),
                                    TRY(host().path_in(directory, new_name)), flags);
    if (!done) return done;
    if (other == &file) return {};  // two names of one file: the host left both
    if (other != nullptr && exchange) (void)host().unnamed(*other, directory, new_name);
    if (other != nullptr && !exchange) other->lost_name(directory, new_name);
    (void)host().unnamed(file, *this, name);
    host().named(file, directory, new_name);
    if (other != nullptr && exchange) host().named(*other, *this, name);
  }
  file.attributes_changed();
  if (other != nullptr && exchange) other->attributes_changed();
  attributes_changed();
  directory.attributes_changed();
  return {};
}

}  // namespace caisson::sandbox::fs
