// Making and removing names.
#include <fcntl.h>
#include <sys/stat.h>

#include "sandbox/fs/overlay/file.h"
#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {

// --- making

// Makes a name; make(directory, name) does it in the upper layer and answers the new inode there.
template <typename Make>
OverlayInode::Made OverlayInode::make_name(std::string_view name, Make make) {
  if (OverlayFilesystem::is_hidden(name)) return std::unexpected(Errno{EPERM});
  auto directory = TRY(copy_up());
  Locked lock(directory_mutex_);
  auto whiteout = TRY(find_in(directory.get(), name));
  if (whiteout) return make_over(name, *directory, *whiteout, make);
  return make(*directory, name);
}

// The new one takes the whiteout's place in one step: the lower one never shows through.
template <typename Make>
OverlayInode::Made OverlayInode::make_over(std::string_view name, vfs::Inode& directory,
                                           vfs::Inode& whiteout, Make make) {
  std::string temporary = overlay().temporary_name();
  auto made = TRY(make(directory, std::string_view(temporary)));
  ErrnoOr<> done;
  if (made->is_directory()) done = made->set_attribute(kOpaque, "y", 0);
  if (done) done = directory.rename(temporary, *made, directory, name, &whiteout, RENAME_EXCHANGE);
  if (done) {
    TRY(directory.unlink(temporary, whiteout));
    return made;
  }
  (void)(made->is_directory() ? directory.remove_directory(temporary, *made)
                              : directory.unlink(temporary, *made));
  return std::unexpected(done.error());
}

OverlayInode::Made OverlayInode::new_node(std::string_view name, Ref<vfs::Inode> upper) {
  std::uint64_t number = upper_number(TRY(upper->attributes()).inode);
  return Ref<vfs::Inode>(node(name, nullptr, std::move(upper), number));
}

ErrnoOr<Ref<vfs::Inode>> OverlayInode::create(std::string_view name,
                                              const vfs::Creation& creation) {
  auto made = TRY(make_name(name, [&](vfs::Inode& directory, std::string_view as) {
    return directory.create(as, creation);
  }));
  return new_node(name, std::move(made));
}

ErrnoOr<Ref<vfs::Inode>> OverlayInode::make_directory(std::string_view name,
                                                      const vfs::Creation& creation) {
  auto made = TRY(make_name(name, [&](vfs::Inode& directory, std::string_view as) {
    return directory.make_directory(as, creation);
  }));
  return new_node(name, std::move(made));
}

ErrnoOr<Ref<vfs::Inode>> OverlayInode::make_node(std::string_view name,
                                                 const vfs::Creation& creation,
                                                 std::uint64_t device) {
  // It would be a whiteout.
  if ((creation.mode & S_IFMT) == S_IFCHR && device == 0) return std::unexpected(Errno{EPERM});
  auto made = TRY(make_name(name, [&](vfs::Inode& directory, std::string_view as) {
    return directory.make_node(as, creation, device);
  }));
  return new_node(name, std::move(made));
}

ErrnoOr<Ref<vfs::Inode>> OverlayInode::make_symlink(std::string_view name, std::string_view target,
                                                    const vfs::Creation& creation) {
  auto made = TRY(make_name(name, [&](vfs::Inode& directory, std::string_view as) {
    return directory.make_symlink(as, target, creation);
  }));
  return new_node(name, std::move(made));
}

ErrnoOr<> OverlayInode::link(std::string_view name, vfs::Inode& target) {
  auto& file = static_cast<OverlayInode&>(target);
  auto copy = TRY(file.copy_up());
  TRY(make_name(name, [&](vfs::Inode& directory, std::string_view as) -> Made {
    TRY(directory.link(as, *copy));
    return copy;
  }));
  file.count_link(1);
  Locked lock(overlay().mutex());
  file.place_.removed = false;
  return {};
}

ErrnoOr<Ref<vfs::Inode>> OverlayInode::create_unnamed(const vfs::Creation& creation) {
  auto directory = TRY(copy_up());
  auto made = TRY(directory->create_unnamed(creation));
  std::uint64_t number = upper_number(TRY(made->attributes()).inode);
  return Ref<vfs::Inode>(overlay().inode_of(nullptr, std::move(made), number));
}

// Where the lower layer can make it, it stays out of what the upper one keeps.
ErrnoOr<Ref<vfs::Inode>> OverlayInode::make_mount_point(std::string_view name, std::uint32_t type) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  Locked lock(directory_mutex_);
  if (find_locked(name)) return std::unexpected(Errno{EEXIST});
  auto covering = TRY(find_in(upper(), name));
  if (lower_ && !covering) {
    auto made = lower_->make_mount_point(name, type);
    if (made) return lower_node(name, std::move(*made));
  }
  lock.unlock();
  return Inode::make_mount_point(name, type);
}

// --- removing

OverlayInode::Made OverlayInode::make_whiteout(vfs::Inode& directory, std::string_view name) {
  vfs::Ownership of = TRY(directory.ownership());
  return directory.make_node(name, {S_IFCHR, of.uid, of.gid}, 0);
}

// Takes `covering` (null: nothing) from a name of the upper directory and hides the lower one.
ErrnoOr<> OverlayInode::hide_locked(std::string_view name, vfs::Inode& directory,
                                    vfs::Inode* covering) {
  if (covering == nullptr) {
    TRY(make_whiteout(directory, name));
    return {};
  }
  std::string temporary = overlay().temporary_name();
  auto whiteout = TRY(make_whiteout(directory, temporary));
  bool is_directory = covering->is_directory();
  auto done = directory.rename(temporary, *whiteout, directory, name, covering,
                               is_directory ? RENAME_EXCHANGE : 0U);
  if (!done)
    (void)directory.unlink(temporary, *whiteout);
  else if (is_directory)
    discard(directory, temporary, *covering);
  return done;
}

// Takes an empty directory from its name in the upper directory, whatever whiteouts are in it.
ErrnoOr<> OverlayInode::take_locked(std::string_view name, vfs::Inode& directory,
                                    vfs::Inode& covering) {
  std::string temporary = overlay().temporary_name();
  TRY(directory.rename(name, covering, directory, temporary, nullptr, 0));
  discard(directory, temporary, covering);
  return {};
}

ErrnoOr<> OverlayInode::check_empty() {
  // "." and ".." are always there.
  if (TRY(list()).size() > 2) return std::unexpected(Errno{ENOTEMPTY});
  return {};
}

// Ends an empty directory that has got a name which no guest sees: should that fail, it is out of
// sight all the same.
void OverlayInode::discard(vfs::Inode& directory, const std::string& name, vfs::Inode& empty) {
  struct Names final : vfs::DirectorySink {
    bool entry(std::string_view entry_name, std::uint64_t /*inode*/, unsigned char /*type*/,
               std::uint64_t /*next*/) override {
      if (entry_name != "." && entry_name != "..") list.emplace_back(entry_name);
      return true;
    }
    std::vector<std::string> list;
  } names;
  OverlayCaller caller;
  auto file = empty.open(vfs::Path(), vfs::OpenFlags{O_RDONLY | O_DIRECTORY}, caller);
  if (file) (void)(*file)->read_directory(names, caller);
  for (const auto& left : names.list) {
    auto whiteout = empty.lookup(left);
    if (whiteout) (void)empty.unlink(left, **whiteout);
  }
  (void)directory.remove_directory(name, empty);
}

// The bytes of a file stay as long as somebody has it open, in whatever layer it was opened.
ErrnoOr<> OverlayInode::keep_open() {
  if (type() != S_IFREG || upper() == nullptr) return {};
  if (open_files_.load(std::memory_order_relaxed) == 0) return {};
  OverlayCaller caller;
  auto file = upper()->open(vfs::Path(), vfs::OpenFlags{O_RDWR}, caller);
  if (!file) file = upper()->open(vfs::Path(), vfs::OpenFlags{O_RDONLY}, caller);
  auto kept = TRY(std::move(file));
  Locked lock(overlay().mutex());
  std::swap(kept_, kept);
  return {};
}

void OverlayInode::lost_name() {
  count_link(-1);
  // Names of a copy are the upper layer's to count.
  bool counted = upper() != nullptr && !is_directory();
  Locked lock(overlay().mutex());
  place_.removed = !counted && !several_;
}

ErrnoOr<> OverlayInode::remove(std::string_view name, OverlayInode& target) {
  auto directory = TRY(copy_up());
  if (target.is_directory()) TRY(target.check_empty());
  TRY(target.keep_open());
  Locked lock(directory_mutex_);
  auto covering = TRY(find_in(directory.get(), name));
  bool below = static_cast<bool>(TRY(find_in(lower_.get(), name)));
  if (below)
    TRY(hide_locked(name, *directory, covering.get()));
  else if (!covering)
    return std::unexpected(Errno{ENOENT});
  else if (target.is_directory())
    TRY(take_locked(name, *directory, *covering));
  else
    TRY(directory->unlink(name, *covering));
  target.lost_name();
  return {};
}

ErrnoOr<> OverlayInode::unlink(std::string_view name, vfs::Inode& target) {
  return remove(name, static_cast<OverlayInode&>(target));
}

ErrnoOr<> OverlayInode::remove_directory(std::string_view name, vfs::Inode& target) {
  return remove(name, static_cast<OverlayInode&>(target));
}

}  // namespace caisson::sandbox::fs
