#include "sandbox/fs/overlay/inode.h"

#include <fcntl.h>

#include "base/text.h"
#include "sandbox/fs/overlay/file.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

OverlayInode::OverlayInode(OverlayFilesystem& filesystem, Ref<vfs::Inode> lower,
                           Ref<vfs::Inode> upper, std::uint64_t number)
    : Inode(filesystem, upper ? upper->type() : lower->type()),
      lower_(std::move(lower)),
      upper_(upper.release()),
      number_(number) {}

OverlayInode::~OverlayInode() {
  if (vfs::Inode* upper = upper_.load(std::memory_order_relaxed)) upper->drop_ref();
}

void OverlayInode::last_reference_dropped() {
  overlay().forget(*this);
  delete this;
}

void OverlayInode::set_upper(Ref<vfs::Inode> upper) {
  if (!is_directory()) overlay().add_known(*upper, *this);
  upper_.store(upper.release(), std::memory_order_release);
}

OverlayInode::Place OverlayInode::place() {
  Locked lock(overlay().mutex());
  return place_;
}

void OverlayInode::set_place(OverlayInode& directory, std::string_view name) {
  Place place{Ref<OverlayInode>::share(&directory), std::string(name)};
  Locked lock(overlay().mutex());
  std::swap(place_, place);  // the old one ends behind the lock
}

std::string OverlayInode::lower_path() {
  Locked lock(overlay().mutex());
  return lower_path_;
}

void OverlayInode::is_one_of_several(std::uint64_t links) {
  Locked lock(overlay().mutex());
  several_ = true;
  (void)overlay().links_of(number_, links);
}

// The count outlives the sandbox where the layer does; when it ends, so does the copy.
void OverlayInode::count_link(int change) {
  std::uint64_t left = 0;
  {
    Locked lock(overlay().mutex());
    if (!several_) return;
    std::uint64_t& links = overlay().links_of(number_, 1);
    links += static_cast<std::uint64_t>(change);
    left = links;
  }
  vfs::Inode* copy = upper();
  if (copy == nullptr)
    overlay().keep_links(number_, left);
  else if (left != 0)
    (void)copy->set_attribute(kLinks, cat(left), 0);
  else
    (void)overlay().upper_root().unlink(OverlayFilesystem::index_name(number_), *copy);
}

// --- attributes

ErrnoOr<vfs::Attributes> OverlayInode::attributes() {
  vfs::Attributes seen = TRY(real().attributes());
  seen.inode = number_;
  seen.device = filesystem().device();
  Locked lock(overlay().mutex());
  // Directories of two layers are not counted, as the host's overlay does not.
  if (is_directory() && lower_ && upper() != nullptr) seen.links = 1;
  if (several_) seen.links = overlay().links_of(number_, seen.links);
  if (place_.removed) seen.links = 0;
  return seen;
}

ErrnoOr<> OverlayInode::change(const vfs::AttributeChange& change) {
  auto upper = TRY(copy_up(change.size.value_or(~std::uint64_t{0})));
  return upper->change(change);
}

ErrnoOr<std::string> OverlayInode::get_attribute(std::string_view name) {
  if (name.starts_with(kOverlayAttributes)) return std::unexpected(Errno{ENOTSUP});
  return real().get_attribute(name);
}

ErrnoOr<> OverlayInode::set_attribute(std::string_view name, std::string_view value, int flags) {
  if (name.starts_with(kOverlayAttributes)) return std::unexpected(Errno{ENOTSUP});
  return TRY(copy_up())->set_attribute(name, value, flags);
}

ErrnoOr<std::vector<std::string>> OverlayInode::list_attributes() {
  auto names = TRY(real().list_attributes());
  std::erase_if(names, [](const auto& name) { return name.starts_with(kOverlayAttributes); });
  return names;
}

ErrnoOr<> OverlayInode::remove_attribute(std::string_view name) {
  if (name.starts_with(kOverlayAttributes)) return std::unexpected(Errno{ENOTSUP});
  TRY(real().get_attribute(name));  // nothing is copied for one that is not there
  return TRY(copy_up())->remove_attribute(name);
}

// --- open

ErrnoOr<Ref<vfs::File>> OverlayInode::open(const vfs::Path& path, vfs::OpenFlags flags,
                                           vfs::Caller& caller) {
  if (is_symlink()) return std::unexpected(Errno{ELOOP});
  if (type() == S_IFREG) return OverlayFile::open(path, *this, flags.flags, caller);
  if (!is_directory()) return special_.open(path, *this, overlay().special(), flags.flags, caller);
  return Ref<vfs::File>(make_ref<OverlayDirectory>(path, *this, flags.flags));
}

}  // namespace caisson::sandbox::fs
