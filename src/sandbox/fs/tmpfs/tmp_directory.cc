#include "sandbox/fs/tmpfs/tmp_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "sandbox/fs/tmpfs/tmp_regular.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint64_t kEntrySize = 20;  // BOGO_DIRENT_SIZE: what Linux adds to a directory's size

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

class TmpDirectoryFile final : public vfs::File {
 public:
  TmpDirectoryFile(vfs::Path path, Ref<TmpDirectory> inode, std::uint32_t flags)
      : File(std::move(path), inode, flags), directory_(*inode) {}
  ErrnoOr<> read_directory(vfs::DirectorySink& sink, vfs::Caller&) override;
  // Positions are those of entries: there is no end to begin from.
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override {
    if (whence != SEEK_SET && whence != SEEK_CUR) return failed(EINVAL);
    return File::seek(offset, whence);
  }

 private:
  ~TmpDirectoryFile() override = default;
  TmpDirectory& directory_;  // held by the File
};

ErrnoOr<> TmpDirectoryFile::read_directory(vfs::DirectorySink& sink, vfs::Caller&) {
  if (path().dentry && path().dentry->is_removed()) return failed(ENOENT);
  Locked lock(position_mutex_);
  vfs::Timestamp now = vfs::Timestamp::now();
  if (vfs::wants_access_time(*this, directory_.times(), now)) directory_.touch_accessed(now);
  if (position_ == 0) {
    if (!sink.entry(".", directory_.number(), DT_DIR, 1)) return {};
    position_ = 1;
  }
  if (position_ == 1) {
    Ref<vfs::Dentry> parent = path().dentry ? path().dentry->parent() : nullptr;
    std::uint64_t number = parent ? TRY(parent->inode()->attributes()).inode : directory_.number();
    if (!sink.entry("..", number, DT_DIR, TmpDirectory::kFirstPosition)) return {};
    position_ = TmpDirectory::kFirstPosition;
  }
  position_ = directory_.list(position_, sink);
  return {};
}

}  // namespace

TmpDirectory::TmpDirectory(TmpFilesystem& filesystem, const vfs::Creation& creation)
    : TmpInode(filesystem, creation) {
  set_links(2);
}

void TmpDirectory::add_size(vfs::Attributes& attributes) {
  Locked lock(entries_mutex_);
  attributes.size = (2 + entries_.size()) * kEntrySize;
}

// --- entries

void TmpDirectory::put(std::string_view name, Ref<TmpInode> inode) {
  auto made = entries_.emplace_hint(entries_.end(), next_position_++,
                                    Entry{std::string(name), std::move(inode)});
  by_name_.emplace(made->second.name, made);
}

Ref<TmpInode> TmpDirectory::take(std::string_view name) {
  auto found = by_name_.find(name);
  Entries::iterator entry = found->second;
  by_name_.erase(found);
  Ref<TmpInode> inode = std::move(entry->second.inode);
  entries_.erase(entry);
  return inode;
}

Ref<TmpInode> TmpDirectory::exchange(std::string_view name, Ref<TmpInode> inode) {
  return std::exchange(by_name_.find(name)->second->second.inode, std::move(inode));
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::lookup(std::string_view name) {
  Locked lock(entries_mutex_);
  auto found = by_name_.find(name);
  if (found == by_name_.end()) return failed(ENOENT);
  return Ref<vfs::Inode>(found->second->second.inode);
}

ErrnoOr<> TmpDirectory::insert(std::string_view name, Ref<TmpInode> inode) {
  {
    Locked lock(entries_mutex_);
    if (removed_) return failed(ENOENT);
    if (by_name_.contains(name)) return failed(EEXIST);
    put(name, std::move(inode));
  }
  touch_modified();
  return {};
}

template <typename Made, typename... Args>
ErrnoOr<Ref<vfs::Inode>> TmpDirectory::make(std::string_view name, const vfs::Creation& creation,
                                            Args... args) {
  TRY(tmpfs().take_inode());
  auto made = make_ref<Made>(tmpfs(), creation, args...);
  TRY(insert(name, made));
  return Ref<vfs::Inode>(std::move(made));
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::create(std::string_view name,
                                              const vfs::Creation& creation) {
  return make<TmpRegular>(name, creation);
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::make_directory(std::string_view name,
                                                      const vfs::Creation& creation) {
  Ref<vfs::Inode> made = TRY(make<TmpDirectory>(name, creation));
  add_subdirectory(1);
  return made;
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::make_node(std::string_view name,
                                                 const vfs::Creation& creation,
                                                 std::uint64_t device) {
  return make<TmpSpecial>(name, creation, device);
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::make_symlink(std::string_view name, std::string_view target,
                                                    const vfs::Creation& creation) {
  return make<TmpSymlink>(name, creation, target);
}

ErrnoOr<Ref<vfs::Inode>> TmpDirectory::create_unnamed(const vfs::Creation& creation) {
  return Ref<vfs::Inode>(TRY(tmpfs().make_unnamed(creation)));
}

ErrnoOr<> TmpDirectory::link(std::string_view name, vfs::Inode& target) {
  auto& inode = static_cast<TmpInode&>(target);
  TRY(inode.add_link());
  auto inserted = insert(name, Ref<TmpInode>::share(&inode));
  if (!inserted) inode.drop_link();
  return inserted;
}

ErrnoOr<> TmpDirectory::unlink(std::string_view name, vfs::Inode& target) {
  Ref<TmpInode> taken;  // freed after the lock
  {
    Locked lock(entries_mutex_);
    auto found = by_name_.find(name);
    if (found == by_name_.end() || found->second->second.inode.get() != &target)
      return failed(ENOENT);
    taken = take(name);
  }
  taken->drop_link();
  touch_modified();
  return {};
}

ErrnoOr<> TmpDirectory::remove_directory(std::string_view name, vfs::Inode& target) {
  auto& victim = static_cast<TmpDirectory&>(target);
  {
    Locked lock(victim.entries_mutex_);
    if (!victim.entries_.empty()) return failed(ENOTEMPTY);
    victim.removed_ = true;
  }
  TRY(unlink(name, target));
  add_subdirectory(-1);
  return {};
}

ErrnoOr<> TmpDirectory::rename(std::string_view name, vfs::Inode& moved, vfs::Inode& to,
                               std::string_view new_name, vfs::Inode* replaced,
                               std::uint32_t flags) {
  auto& directory = static_cast<TmpDirectory&>(to);
  auto* over = static_cast<TmpInode*>(replaced);
  bool exchanges = (flags & RENAME_EXCHANGE) != 0;
  if (over != nullptr && over->is_directory() && !exchanges) {
    auto& victim = static_cast<TmpDirectory&>(*over);
    Locked lock(victim.entries_mutex_);
    if (!victim.entries_.empty()) return failed(ENOTEMPTY);
    victim.removed_ = true;
  }
  Ref<TmpInode> freed;
  {
    std::optional<Locked> first, second;
    first.emplace((this < &directory ? this : &directory)->entries_mutex_);
    if (this != &directory) second.emplace((this < &directory ? &directory : this)->entries_mutex_);
    if (directory.removed_) return failed(ENOENT);
    if (exchanges) {
      Ref<TmpInode> other = exchange(name, Ref<TmpInode>::share(over));
      (void)directory.exchange(new_name, std::move(other));
    } else if (over != nullptr) {
      freed = directory.exchange(new_name, take(name));
    } else {
      directory.put(new_name, take(name));
    }
  }
  if (freed) freed->drop_link();
  // Each directory that leaves takes its ".." with it.
  if (moved.is_directory()) add_subdirectory(-1), directory.add_subdirectory(1);
  if (over != nullptr && over->is_directory()) {
    directory.add_subdirectory(-1);
    if (exchanges) add_subdirectory(1);
  }
  static_cast<TmpInode&>(moved).touch_changed();
  if (exchanges) over->touch_changed();
  touch_modified();
  if (this != &directory) directory.touch_modified();
  return {};
}

ErrnoOr<Ref<vfs::File>> TmpDirectory::open(const vfs::Path& path, vfs::OpenFlags flags,
                                           vfs::Caller&) {
  return make_ref<TmpDirectoryFile>(path, Ref<TmpDirectory>::share(this), flags.flags);
}

std::uint64_t TmpDirectory::list(std::uint64_t position, vfs::DirectorySink& sink) {
  Locked lock(entries_mutex_);
  for (auto at = entries_.upper_bound(position); at != entries_.end(); ++at) {
    const auto& [number, entry] = *at;
    auto type = static_cast<unsigned char>(IFTODT(entry.inode->type()));
    if (!sink.entry(entry.name, entry.inode->number(), type, number)) break;
    position = number;
  }
  return position;
}

void TmpDirectory::take_entries(std::vector<Ref<TmpInode>>& into) {
  for (auto& [position, entry] : entries_) into.push_back(std::move(entry.inode));
  by_name_.clear();
  entries_.clear();
}

}  // namespace caisson::sandbox::fs
