// Copies of the lower layer's files in the upper one. A copy is made under a name that nobody sees
// and gets its own when it is whole, so that a copy that was broken off is no file.
#include <fcntl.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "sandbox/fs/host/file.h"
#include "sandbox/fs/overlay/file.h"
#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kBlock = std::size_t{128} << 10;

// Copies `length` bytes at `offset` of both.
ErrnoOr<> copy_bytes(vfs::File& from, vfs::File& to, std::uint64_t offset, std::uint64_t length) {
  auto* source = vfs::file_as<HostFile>(from);
  auto* target = vfs::file_as<HostFile>(to);
  while (source != nullptr && target != nullptr && length != 0) {
    auto done = target->copy_from(*source, offset, static_cast<std::size_t>(length));
    if (!done || *done == 0) break;  // by hand, then
    offset += *done;
    length -= *done;
  }
  OverlayCaller caller;
  std::unique_ptr<std::byte[]> block(length != 0 ? new std::byte[kBlock] : nullptr);
  while (length != 0) {
    std::span room(block.get(), static_cast<std::size_t>(std::min<std::uint64_t>(length, kBlock)));
    auto in = vfs::IoBuffer::of(room);
    std::size_t got = TRY(from.read_at(in, offset, caller));
    if (got == 0) return {};
    auto out = vfs::IoBuffer::of(std::span<const std::byte>(room.first(got)));
    std::size_t put = TRY(to.write_at(out, offset, caller));
    if (put == 0) return std::unexpected(Errno{EIO});
    offset += put;
    length -= put;
  }
  return {};
}

// The pieces of data, without the holes between them.
ErrnoOr<> copy_data(vfs::Inode& from, vfs::Inode& to, std::uint64_t size) {
  OverlayCaller caller;
  auto source = TRY(from.open(vfs::Path(), vfs::OpenFlags{O_RDONLY}, caller));
  auto target = TRY(to.open(vfs::Path(), vfs::OpenFlags{O_WRONLY}, caller));
  for (std::uint64_t at = 0; at < size;) {
    auto data = source->seek(static_cast<std::int64_t>(at), SEEK_DATA);
    if (!data && data.error().value == ENXIO) return {};
    std::uint64_t begin = data.value_or(at);
    auto hole = source->seek(static_cast<std::int64_t>(begin), SEEK_HOLE);
    std::uint64_t end = std::min(hole.value_or(size), size);
    if (begin >= size || end <= begin) return {};
    TRY(copy_bytes(*source, *target, begin, end - begin));
    at = end;
  }
  return {};
}

void copy_extended(vfs::Inode& from, vfs::Inode& to) {
  auto names = from.list_attributes();
  if (!names) return;
  for (const auto& name : *names) {
    auto value = from.get_attribute(name);
    // What the upper layer cannot keep (the host's rights) is left out, as cp(1) leaves it out.
    if (value) (void)to.set_attribute(name, *value, 0);
  }
}

ErrnoOr<> remove_name(vfs::Inode& directory, const std::string& name, vfs::Inode& inode) {
  return inode.is_directory() ? directory.remove_directory(name, inode)
                              : directory.unlink(name, inode);
}

}  // namespace

OverlayInode::Made OverlayInode::make_copy(vfs::Inode& directory, const std::string& name,
                                           const vfs::Attributes& attributes) {
  vfs::Creation creation{attributes.mode, attributes.uid, attributes.gid};
  if (is_directory()) return directory.make_directory(name, creation);
  if (type() == S_IFREG) return directory.create(name, creation);
  if (is_symlink()) return directory.make_symlink(name, TRY(lower_->read_link(nullptr)), creation);
  return directory.make_node(name, creation, attributes.special_device);
}

ErrnoOr<> OverlayInode::fill_copy(vfs::Inode& copy, const vfs::Attributes& attributes,
                                  std::uint64_t size) {
  vfs::AttributeChange change;
  change.accessed = attributes.accessed;
  change.modified = attributes.modified;
  if (type() == S_IFREG) {
    std::uint64_t wanted = std::min(size, attributes.size);
    TRY(copy_data(*lower_, copy, wanted));
    vfs::AttributeChange length;
    length.size = wanted;
    TRY(copy.change(length));
    // Writing took the set-id bits off.
    if ((attributes.mode & (S_ISUID | S_ISGID)) != 0) change.mode = attributes.mode & 07777;
  }
  if (!is_symlink()) copy_extended(*lower_, copy);
  if (type() == S_IFREG) (void)copy.set_attribute(kOrigin, cat(number_), 0);  // else: renumbered
  return copy.change(change);
}

OverlayInode::Made OverlayInode::copy_to(vfs::Inode& directory, const std::string& name,
                                         std::uint64_t size) {
  vfs::Attributes attributes = TRY(lower_->attributes());
  auto copy = TRY(make_copy(directory, name, attributes));
  auto filled = fill_copy(*copy, attributes, size);
  if (filled) return copy;
  (void)remove_name(directory, name, *copy);
  return std::unexpected(filled.error());
}

// False: the name was removed meanwhile.
ErrnoOr<bool> OverlayInode::publish(const Place& place, std::uint64_t size) {
  auto directory = TRY(place.directory->copy_up());
  std::string name = overlay().temporary_name();
  auto copy = TRY(copy_to(*directory, name, size));
  Locked lock(place.directory->directory_mutex_);
  if (this->place().removed) {
    (void)remove_name(*directory, name, *copy);
    return false;
  }
  auto named = directory->rename(name, *copy, *directory, place.name, nullptr, 0);
  if (!named) {
    (void)remove_name(*directory, name, *copy);
    return std::unexpected(named.error());
  }
  set_upper(std::move(copy));
  return true;
}

ErrnoOr<> OverlayInode::publish_root(std::uint64_t size) {
  vfs::Inode& directory = overlay().upper_root();
  std::string name = overlay().temporary_name();
  auto copy = TRY(copy_to(directory, name, size));
  TRY(directory.rename(name, *copy, directory, kFileRootName, nullptr, 0));
  set_upper(std::move(copy));
  return {};
}

// Kept under its number: all names that are left lead there.
ErrnoOr<> OverlayInode::publish_several(const Place& place, std::uint64_t size) {
  vfs::Inode& root = overlay().upper_root();
  std::string name = overlay().temporary_name();
  auto copy = TRY(copy_to(root, name, size));
  std::uint64_t links = TRY(attributes()).links;
  TRY(copy->set_attribute(kLinks, cat(links), 0));
  TRY(root.rename(name, *copy, root, OverlayFilesystem::index_name(number_), nullptr, 0));
  overlay().drop_links(number_);
  if (place.removed) {
    set_upper(std::move(copy));
    return {};
  }
  auto directory = TRY(place.directory->copy_up());
  Locked lock(place.directory->directory_mutex_);
  bool covered = static_cast<bool>(TRY(find_in(directory.get(), place.name)));
  if (!covered && !this->place().removed) TRY(directory->link(place.name, *copy));
  set_upper(std::move(copy));
  return {};
}

ErrnoOr<> OverlayInode::publish_unnamed(std::uint64_t size) {
  if (type() != S_IFREG) return std::unexpected(Errno{ENOENT});
  vfs::Attributes attributes = TRY(lower_->attributes());
  auto copy =
      TRY(overlay().upper_root().create_unnamed({attributes.mode, attributes.uid, attributes.gid}));
  TRY(fill_copy(*copy, attributes, size));
  set_upper(std::move(copy));
  return {};
}

OverlayInode::Made OverlayInode::copy_up(std::uint64_t size) {
  if (upper() == nullptr) {
    Locked lock(copy_mutex_);
    while (upper() == nullptr) {
      Place place = this->place();
      if (!place.directory)
        TRY(publish_root(size));
      else if (several_)
        TRY(publish_several(place, size));
      else if (place.removed)
        TRY(publish_unnamed(size));
      else
        (void)TRY(publish(place, size));
    }
  }
  return Ref<vfs::Inode>::share(upper());
}

}  // namespace caisson::sandbox::fs
