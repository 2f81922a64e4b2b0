#include "sandbox/fs/host/inode.h"

#include "base/clock.h"
#include "sandbox/fs/host/directory.h"
#include "sandbox/fs/host/file.h"
#include "sandbox/fs/host/mount_point.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {
namespace {

// How long attributes of a file that others change hold: no longer than one system call takes, for
// the walk and the stat(2) behind it to ask the host once.
constexpr std::int64_t kFreshNs = 20'000;
// How long those hold that decide whether a directory may be gone through.
constexpr std::int64_t kAccessNs = 1'000'000'000;

// EACCES of the host for an owner that only the sandbox knows is the gofer's to decide.
ErrnoOr<struct statx> stat_at(HostFilesystem& filesystem, HostInode& directory,
                              std::string_view name) {
  auto place = filesystem.place_in(directory, name);
  if (!place) return std::unexpected(place.error());
  auto info = sys::statx(place->fd(), place->path(), place->flags());
  if (!info && is_denied(info.error()) && filesystem.gofer() != nullptr)
    return filesystem.gofer()->stat(TRY(filesystem.path_in(directory, name)));
  return info;
}

}  // namespace

HostInode::HostInode(HostFilesystem& filesystem, const Seen& seen)
    : HostNode(filesystem, seen.attributes.mode & S_IFMT, false),
      identity_(seen.identity),
      attributes_(seen.attributes),
      seen_at_(monotonic_ns()) {}

void HostInode::last_reference_dropped() {
  host().forget(*this);
  delete this;
}

// --- attributes

bool HostInode::cache_holds() const {
  if (removed_) return true;
  if (!holds_) return false;
  if (host().exclusive()) return !changes_unseen_;
  return monotonic_ns() - seen_at_ < kFreshNs;
}

ErrnoOr<vfs::Attributes> HostInode::attributes() {
  {
    Locked lock(attributes_mutex_);
    if (cache_holds()) return attributes_;
  }
  return ask_attributes();
}

ErrnoOr<vfs::Ownership> HostInode::ownership() {
  {
    Locked lock(attributes_mutex_);
    if (cache_holds() || (holds_ && monotonic_ns() - seen_at_ < kAccessNs))
      return vfs::Ownership{attributes_.mode, attributes_.uid, attributes_.gid};
  }
  vfs::Attributes asked = TRY(ask_attributes());
  return vfs::Ownership{asked.mode, asked.uid, asked.gid};
}

ErrnoOr<struct statx> HostInode::ask() {
  if (auto handle = host().any_handle(*this)) return sys::statx(handle->fd());
  Place place = TRY(host().place_of(*this));
  auto info = sys::statx(place.fd(), place.path(), place.flags());
  if (!info && is_denied(info.error()) && host().gofer() != nullptr)
    return host().gofer()->stat(TRY(host().path_of(*this)));
  return info;
}

ErrnoOr<vfs::Attributes> HostInode::ask_attributes() {
  std::uint32_t before = version();
  Seen seen = host().seen(TRY(steadily(host(), [&] { return ask(); })));
  // Another has put something else there.
  if (!(seen.identity == identity_)) return std::unexpected(Errno{ESTALE});
  saw(seen, before);
  return seen.attributes;
}

std::uint32_t HostInode::version() {
  Locked lock(attributes_mutex_);
  return version_;
}

// What was seen before a change does not hold after it.
void HostInode::saw(const Seen& seen, std::uint32_t version) {
  Locked lock(attributes_mutex_);
  if (removed_ || version != version_) return;
  attributes_ = seen.attributes;
  seen_at_ = monotonic_ns();
  holds_ = true;
}

// By another name after its last known one was removed, perhaps.
void HostInode::found_again(const Seen& seen) {
  Locked lock(attributes_mutex_);
  removed_ = false;
  attributes_ = seen.attributes;
  seen_at_ = monotonic_ns();
  holds_ = true;
}

void HostInode::attributes_changed() {
  Locked lock(attributes_mutex_);
  ++version_;
  holds_ = false;
}

// With relatime the host writes the time of access when it is not after that of the last change.
void HostInode::was_read() {
  Locked lock(attributes_mutex_);
  auto earlier = [](const vfs::Timestamp& a, const vfs::Timestamp& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.nanoseconds <= b.nanoseconds;
  };
  if (!earlier(attributes_.accessed, attributes_.modified) &&
      !earlier(attributes_.accessed, attributes_.changed))
    return;
  ++version_;
  holds_ = false;
}

void HostInode::mapped_for_writing() {
  Locked lock(attributes_mutex_);
  changes_unseen_ = true;
}

// From here on nothing but an open descriptor leads to it.
void HostInode::was_removed() {
  bool in_use = host().keep_used_handles(*this);
  Locked lock(attributes_mutex_);
  ++version_;
  attributes_.links = is_directory() || attributes_.links == 0 ? 0 : attributes_.links - 1;
  removed_ = !in_use || is_directory();
  holds_ = false;
}

// --- names

bool HostInode::caches_absent_names() const { return host().exclusive(); }

ErrnoOr<Ref<vfs::Inode>> HostInode::lookup(std::string_view name) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  if (auto own = mount_point(name)) return Ref<vfs::Inode>(own);
  struct statx info = TRY(stat_at(host(), *this, name));
  return host().inode_at(*this, name, host().seen(info));
}

bool HostInode::still_named(std::string_view name, vfs::Inode& target) {
  if (&target.filesystem() != &filesystem()) return false;
  if (auto own = mount_point(name)) return static_cast<vfs::Inode*>(own.get()) == &target;
  if (static_cast<HostNode&>(target).in_memory()) return false;
  auto& inode = static_cast<HostInode&>(target);
  auto path = host().path_in(*this, name);
  if (!path) return false;
  std::uint32_t before = inode.version();
  auto info = sys::statx(host().root_fd(), path->c_str(), AT_SYMLINK_NOFOLLOW);
  if (!info && is_denied(info.error()) && host().gofer() != nullptr)
    info = host().gofer()->stat(*path);
  if (!info) return false;
  Seen seen = host().seen(*info);
  if (!(seen.identity == inode.identity_)) return false;
  inode.saw(seen, before);
  return true;
}

ErrnoOr<std::string> HostInode::read_link(vfs::Caller* /*caller*/) {
  if (!is_symlink()) return std::unexpected(Errno{EINVAL});
  if (!host().exclusive()) return ask_link();
  {
    Locked lock(attributes_mutex_);
    if (link_target_) return *link_target_;
  }
  std::string target = TRY(ask_link());
  Locked lock(attributes_mutex_);
  link_target_ = std::make_unique<std::string>(target);
  return target;
}

ErrnoOr<std::string> HostInode::ask_link() {
  return steadily(host(), [&]() -> ErrnoOr<std::string> {
    Place place = TRY(host().place_of(*this));
    auto target = sys::readlink(place.fd(), place.path());
    if (!target && is_denied(target.error()) && host().gofer() != nullptr)
      return host().gofer()->read_link(TRY(host().path_of(*this)));
    return target;
  });
}

// --- open

ErrnoOr<Ref<vfs::File>> HostInode::open(const vfs::Path& path, vfs::OpenFlags flags,
                                        vfs::Caller& caller) {
  if (is_directory()) return HostDirectory::open(path, *this, flags.flags);
  if (type() == S_IFREG) return HostFile::open(path, *this, flags);
  if (is_symlink()) return std::unexpected(Errno{ELOOP});
  return special_.open(path, *this, host().options().special.get(), flags.flags, caller);
}

// --- mount points in memory

Ref<HostNode> HostInode::mount_point(std::string_view name) {
  Locked lock(attributes_mutex_);
  if (!mount_points_) return nullptr;
  auto found = mount_points_->find(name);
  return found == mount_points_->end() ? nullptr : found->second;
}

ErrnoOr<Ref<vfs::Inode>> HostInode::make_mount_point(std::string_view name, std::uint32_t type) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  if (stat_at(host(), *this, name)) return std::unexpected(Errno{EEXIST});
  Ref<HostNode> made = make_ref<MountPoint>(host(), type);
  Locked lock(attributes_mutex_);
  if (!mount_points_) mount_points_ = std::make_unique<MountPoints>();
  if (!mount_points_->try_emplace(std::string(name), made).second)
    return std::unexpected(Errno{EEXIST});
  return Ref<vfs::Inode>(made);
}

ErrnoOr<> HostInode::remove_mount_point(std::string_view name, vfs::Inode& target) {
  auto& node = static_cast<MountPoint&>(target);
  if (!node.children().empty()) return std::unexpected(Errno{ENOTEMPTY});
  Locked lock(attributes_mutex_);
  auto found = mount_points_ ? mount_points_->find(name) : MountPoints::iterator();
  if (!mount_points_ || found == mount_points_->end()) return std::unexpected(Errno{ENOENT});
  mount_points_->erase(found);
  return {};
}

MountPoints HostInode::mount_points() {
  Locked lock(attributes_mutex_);
  return mount_points_ ? *mount_points_ : MountPoints();
}

}  // namespace caisson::sandbox::fs
