#include "sandbox/fs/tmpfs/tmp_inode.h"

#include <sys/xattr.h>

#include <cerrno>

namespace caisson::sandbox::fs {
namespace {

// What the extended attributes of one inode may take: they are in our memory, outside of the quota.
constexpr std::size_t kMostExtended = std::size_t{256} << 10;

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

}  // namespace

TmpInode::TmpInode(TmpFilesystem& filesystem, const vfs::Creation& creation)
    : Inode(filesystem, creation.mode & S_IFMT),
      number_(filesystem.next_inode()),
      mode_(creation.mode & 07777U),
      uid_(creation.uid),
      gid_(creation.gid),
      accessed_(vfs::Timestamp::now()),
      modified_(accessed_),
      changed_(accessed_),
      born_(accessed_) {}

TmpInode::~TmpInode() { tmpfs().give_inode(); }

ErrnoOr<vfs::Attributes> TmpInode::attributes() {
  vfs::Attributes all;
  all.mode = type() | mode_.load(std::memory_order_relaxed);
  all.uid = uid_.load(std::memory_order_relaxed);
  all.gid = gid_.load(std::memory_order_relaxed);
  all.inode = number_;
  all.device = filesystem().device();
  add_size(all);
  Locked lock(mutex_);
  all.links = links_;
  all.accessed = accessed_, all.modified = modified_, all.changed = changed_;
  all.born = born_;
  return all;
}

vfs::Attributes TmpInode::times() {
  vfs::Attributes some;
  some.mode = type();
  Locked lock(mutex_);
  some.accessed = accessed_, some.modified = modified_, some.changed = changed_;
  return some;
}

ErrnoOr<vfs::Ownership> TmpInode::ownership() {
  return vfs::Ownership{type() | mode_.load(std::memory_order_relaxed),
                        uid_.load(std::memory_order_relaxed), gid_.load(std::memory_order_relaxed)};
}

ErrnoOr<> TmpInode::change(const vfs::AttributeChange& change) {
  if (change.size) TRY(resize(*change.size));
  Locked lock(mutex_);
  if (change.mode) mode_.store(*change.mode & 07777U, std::memory_order_relaxed);
  if (change.uid) uid_.store(*change.uid, std::memory_order_relaxed);
  if (change.gid) gid_.store(*change.gid, std::memory_order_relaxed);
  changed_ = vfs::Timestamp::now();
  if (change.size) modified_ = changed_;
  if (change.accessed) accessed_ = *change.accessed;
  if (change.modified) modified_ = *change.modified;
  return {};
}

ErrnoOr<> TmpInode::resize(std::uint64_t) { return failed(EINVAL); }

ErrnoOr<Ref<vfs::File>> TmpInode::open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) {
  return failed(ENXIO);
}

std::uint32_t TmpInode::links() {
  Locked lock(mutex_);
  return links_;
}

void TmpInode::set_links(std::uint32_t links) {
  Locked lock(mutex_);
  links_ = links;
  unnamed_ = links == 0;
}

ErrnoOr<> TmpInode::add_link() {
  Locked lock(mutex_);
  if (links_ == 0 && !unnamed_) return failed(ENOENT);
  unnamed_ = false;
  ++links_;
  changed_ = vfs::Timestamp::now();
  return {};
}

void TmpInode::drop_link() {
  Locked lock(mutex_);
  // A directory's last name takes its "." with it.
  links_ = is_directory() ? 0 : links_ - 1;
  changed_ = vfs::Timestamp::now();
}

void TmpInode::add_subdirectory(int count) {
  Locked lock(mutex_);
  links_ = static_cast<std::uint32_t>(static_cast<int>(links_) + count);
}

void TmpInode::touch_accessed(vfs::Timestamp now) {
  Locked lock(mutex_);
  accessed_ = now;
}

void TmpInode::touch_modified() {
  vfs::Timestamp now = vfs::Timestamp::now();
  Locked lock(mutex_);
  modified_ = changed_ = now;
}

void TmpInode::touch_changed() {
  Locked lock(mutex_);
  changed_ = vfs::Timestamp::now();
}

// --- extended attributes

ErrnoOr<std::string> TmpInode::get_attribute(std::string_view name) {
  Locked lock(mutex_);
  if (!extended_) return failed(ENODATA);
  auto found = extended_->find(name);
  if (found == extended_->end()) return failed(ENODATA);
  return found->second;
}

ErrnoOr<> TmpInode::set_attribute(std::string_view name, std::string_view value, int flags) {
  Locked lock(mutex_);
  if (!extended_) extended_ = std::make_unique<ExtendedAttributes>();
  auto found = extended_->find(name);
  bool exists = found != extended_->end();
  if (exists && (flags & XATTR_CREATE) != 0) return failed(EEXIST);
  if (!exists && (flags & XATTR_REPLACE) != 0) return failed(ENODATA);
  std::size_t before = exists ? name.size() + found->second.size() : 0;
  std::size_t after = extended_size_ - before + name.size() + value.size();
  if (after > kMostExtended) return failed(ENOSPC);
  if (exists)
    found->second = value;
  else
    extended_->emplace(name, value);
  extended_size_ = after;
  changed_ = vfs::Timestamp::now();
  return {};
}

ErrnoOr<std::vector<std::string>> TmpInode::list_attributes() {
  Locked lock(mutex_);
  std::vector<std::string> names;
  if (extended_)
    for (const auto& [name, value] : *extended_) names.push_back(name);
  return names;
}

ErrnoOr<> TmpInode::remove_attribute(std::string_view name) {
  Locked lock(mutex_);
  if (!extended_) return failed(ENODATA);
  auto found = extended_->find(name);
  if (found == extended_->end()) return failed(ENODATA);
  extended_size_ -= found->first.size() + found->second.size();
  extended_->erase(found);
  changed_ = vfs::Timestamp::now();
  return {};
}

// --- TmpSpecial

TmpSpecial::TmpSpecial(TmpFilesystem& filesystem, const vfs::Creation& creation,
                       std::uint64_t device)
    : TmpInode(filesystem, creation),
      device_(device),
      fifo_(type() == S_IFIFO ? make_fifo_node() : nullptr) {}

ErrnoOr<Ref<vfs::File>> TmpSpecial::open(const vfs::Path& path, vfs::OpenFlags flags,
                                         vfs::Caller& caller) {
  auto self = Ref<vfs::Inode>::share(this);
  if (type() == S_IFIFO) return fifo_->open(path, std::move(self), flags.flags);
  if (type() != S_IFCHR || tmpfs().special() == nullptr) return failed(ENXIO);
  return tmpfs().special()->open(path, std::move(self), device_, flags.flags, caller);
}

}  // namespace caisson::sandbox::fs
