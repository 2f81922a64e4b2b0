// Directories of a tmpfs.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sandbox/fs/tmpfs/tmp_inode.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class TmpDirectory final : public TmpInode {
 public:
  TmpDirectory(TmpFilesystem& filesystem, const vfs::Creation& creation);
  TmpDirectory(TmpFilesystem& filesystem, const Saved& saved) : TmpInode(filesystem, saved) {}

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override;
  ErrnoOr<Ref<vfs::Inode>> create(std::string_view name, const vfs::Creation& creation) override;
  ErrnoOr<Ref<vfs::Inode>> make_directory(std::string_view name,
                                          const vfs::Creation& creation) override;
  ErrnoOr<Ref<vfs::Inode>> make_node(std::string_view name, const vfs::Creation& creation,
                                     std::uint64_t device) override;
  ErrnoOr<Ref<vfs::Inode>> make_symlink(std::string_view name, std::string_view target,
                                        const vfs::Creation& creation) override;
  ErrnoOr<> link(std::string_view name, vfs::Inode& target) override;
  ErrnoOr<> unlink(std::string_view name, vfs::Inode& target) override;
  ErrnoOr<> remove_directory(std::string_view name, vfs::Inode& target) override;
  ErrnoOr<> rename(std::string_view name, vfs::Inode& moved, vfs::Inode& to,
                   std::string_view new_name, vfs::Inode* replaced, std::uint32_t flags) override;
  ErrnoOr<Ref<vfs::Inode>> create_unnamed(const vfs::Creation& creation) override;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;

  // Entries from `position` on (those of "." and ".." are not among them), until `sink` has enough:
  // the position behind the last one that it took.
  std::uint64_t list(std::uint64_t position, vfs::DirectorySink& sink);
  // Empties it, at the end of the file system.
  void take_entries(std::vector<Ref<TmpInode>>& into);

  // Its entries, of a checkpoint.
  Result<> restore_entries(state::Reader& from);

  static constexpr std::uint64_t kFirstPosition = 2;  // behind "." and ".."

 private:
  ~TmpDirectory() override = default;
  struct Entry {
    std::string name;
    Ref<TmpInode> inode;
  };
  using Entries = std::map<std::uint64_t, Entry>;
  void add_size(vfs::Attributes& attributes) override;
  Result<> save_rest(state::Writer& to) override;
  ErrnoOr<> insert(std::string_view name, Ref<TmpInode> inode);
  template <typename Made, typename... Args>
  ErrnoOr<Ref<vfs::Inode>> make(std::string_view name, const vfs::Creation& creation, Args... args);

  // Under entries_mutex_; of two directories, the one at the lower address first.
  void put(std::string_view name, Ref<TmpInode> inode);
  Ref<TmpInode> take(std::string_view name);
  Ref<TmpInode> exchange(std::string_view name, Ref<TmpInode> inode);

  Mutex entries_mutex_;
  Entries entries_;  // by position: in the order in which they were made
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
  std::uint64_t next_position_ = kFirstPosition + 1;
  bool removed_ = false;
};

}  // namespace caisson::sandbox::fs
