#include "sandbox/fs/overlay/filesystem.h"

#include <linux/magic.h>

#include <optional>

#include "base/text.h"
#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::string_view kHidden = ".caisson-overlay.";
constexpr std::string_view kIndex = ".caisson-overlay.index.";
constexpr std::string_view kCount = ".caisson-overlay.count.";

}  // namespace

ErrnoOr<Ref<vfs::Inode>> find_in(vfs::Inode* directory, std::string_view name) {
  if (directory == nullptr || !directory->is_directory()) return Ref<vfs::Inode>();
  auto found = directory->lookup(name);
  if (!found && found.error().value == ENOENT) return Ref<vfs::Inode>();
  return found;
}

ErrnoOr<bool> is_whiteout(vfs::Inode& inode) {
  if (inode.type() != S_IFCHR) return false;
  return TRY(inode.attributes()).special_device == 0;
}

std::optional<std::uint64_t> number_attribute(vfs::Inode& inode, std::string_view name) {
  auto text = inode.get_attribute(name);
  if (!text) return std::nullopt;
  return parse_number<std::uint64_t>(*text);
}

OverlayFilesystem::OverlayFilesystem(Ref<vfs::Filesystem> lower, Ref<vfs::Filesystem> upper,
                                     OverlayOptions options)
    : Filesystem("overlay"),
      options_(std::move(options)),
      lower_(std::move(lower)),
      upper_(std::move(upper)),
      lower_root_(lower_->root()),
      upper_root_(upper_->root()) {}

OverlayFilesystem::~OverlayFilesystem() {
  root_ = nullptr;
  upper_root_ = lower_root_ = nullptr;  // before their file systems
}

ErrnoOr<Ref<OverlayFilesystem>> OverlayFilesystem::create(Ref<vfs::Filesystem> lower,
                                                          Ref<vfs::Filesystem> upper,
                                                          OverlayOptions options) {
  auto overlay = Ref<OverlayFilesystem>::adopt(
      new OverlayFilesystem(std::move(lower), std::move(upper), std::move(options)));
  TRY(overlay->prepare());
  return overlay;
}

ErrnoOr<> OverlayFilesystem::prepare() {
  if (!upper_root_->is_directory()) return std::unexpected(Errno{ENOTDIR});
  vfs::Attributes lower = TRY(lower_root_->attributes());
  Ref<vfs::Inode> upper = upper_root_;
  if (lower_root_->is_directory())
    TRY(prepare_directory(lower));
  else
    upper = TRY(find_in(upper_root_.get(), kFileRootName));
  root_ = inode_of(lower_root_, std::move(upper), lower.inode);
  return {};
}

ErrnoOr<> OverlayFilesystem::prepare_directory(const vfs::Attributes& lower) {
  vfs::Attributes upper = TRY(upper_root_->attributes());
  vfs::AttributeChange change;
  if (upper.uid != lower.uid) change.uid = lower.uid;
  if (upper.gid != lower.gid) change.gid = lower.gid;
  if ((upper.mode & 07777) != (lower.mode & 07777)) change.mode = lower.mode & 07777;
  if (!change.uid && !change.gid && !change.mode) return {};
  return upper_root_->change(change);
}

Ref<vfs::Inode> OverlayFilesystem::root() { return root_; }

ErrnoOr<vfs::FilesystemStatus> OverlayFilesystem::status() {
  vfs::FilesystemStatus status = TRY(upper_->status());
  status.type = OVERLAYFS_SUPER_MAGIC;
  return status;
}

Ref<OverlayInode> OverlayFilesystem::known_inode(const vfs::Inode& real) {
  Locked lock(mutex_);
  auto found = known_.find(&real);
  if (found == known_.end() || !found->second->try_add_ref()) return nullptr;
  return Ref<OverlayInode>::adopt(found->second);
}

Ref<OverlayInode> OverlayFilesystem::inode_of(Ref<vfs::Inode> lower, Ref<vfs::Inode> upper,
                                              std::uint64_t number) {
  vfs::Inode& real = upper ? *upper : *lower;
  if (!real.is_directory())
    if (auto known = known_inode(real)) return known;
  bool listed = !real.is_directory();
  auto made = make_ref<OverlayInode>(*this, std::move(lower), std::move(upper), number);
  if (listed && made->lower() != nullptr) add_known(*made->lower(), *made);
  if (listed && made->upper() != nullptr) add_known(*made->upper(), *made);
  return made;
}

void OverlayFilesystem::add_known(const vfs::Inode& real, OverlayInode& inode) {
  Locked lock(mutex_);
  known_[&real] = &inode;
}

void OverlayFilesystem::forget(OverlayInode& inode) {
  OverlayInode::Place place;
  Ref<vfs::File> kept;
  Locked lock(mutex_);
  for (const vfs::Inode* real : {inode.lower(), inode.upper()}) {
    auto found = known_.find(real);
    if (found != known_.end() && found->second == &inode) known_.erase(found);
  }
  std::swap(place, inode.place_);
  std::swap(kept, inode.kept_);
}

std::string OverlayFilesystem::temporary_name() {
  return cat(kHidden, "new.", temporaries_.fetch_add(1, std::memory_order_relaxed));
}

bool OverlayFilesystem::is_hidden(std::string_view name) { return name.starts_with(kHidden); }

std::string OverlayFilesystem::index_name(std::uint64_t number) { return cat(kIndex, number); }

ErrnoOr<Ref<vfs::Inode>> OverlayFilesystem::indexed(std::uint64_t number) {
  return find_in(upper_root_.get(), index_name(number));
}

void OverlayFilesystem::keep_links(std::uint64_t number, std::uint64_t left) {
  std::string name = cat(kCount, number);
  auto file = find_in(upper_root_.get(), name);
  if (file && !*file) {
    auto of = upper_root_->ownership();
    if (of) file = upper_root_->create(name, {S_IFREG | 0600, of->uid, of->gid});
  }
  if (file && *file) (void)(*file)->set_attribute(kLinks, cat(left), 0);
}

std::optional<std::uint64_t> OverlayFilesystem::kept_links(std::uint64_t number) {
  auto file = find_in(upper_root_.get(), cat(kCount, number));
  return file && *file ? number_attribute(**file, kLinks) : std::nullopt;
}

void OverlayFilesystem::drop_links(std::uint64_t number) {
  std::string name = cat(kCount, number);
  auto file = find_in(upper_root_.get(), name);
  if (file && *file) (void)upper_root_->unlink(name, **file);
}

}  // namespace caisson::sandbox::fs
