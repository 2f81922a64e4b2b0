// HostInode: a file or directory of the host.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/host/node.h"
#include "sandbox/fs/special_node.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class HostInode final : public HostNode {
 public:
  HostInode(HostFilesystem& filesystem, const Seen& seen);

  ErrnoOr<vfs::Attributes> attributes() override;
  // Of directories that others change they are up to a second old, so that a walk asks the host
  // once and not for each directory on its way.
  ErrnoOr<vfs::Ownership> ownership() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;

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
  // One host call for the whole path: it is from the root that the name is looked along.
  bool still_named(std::string_view name, vfs::Inode& target) override;
  bool caches_absent_names() const override;

  ErrnoOr<std::string> read_link(vfs::Caller* caller) override;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;

  ErrnoOr<std::string> get_attribute(std::string_view name) override;
  ErrnoOr<> set_attribute(std::string_view name, std::string_view value, int flags) override;
  ErrnoOr<std::vector<std::string>> list_attributes() override;
  ErrnoOr<> remove_attribute(std::string_view name) override;

  ErrnoOr<Ref<vfs::Inode>> make_mount_point(std::string_view name, std::uint32_t type) override;
  MountPoints mount_points();

  // What is cached of the attributes no longer holds.
  void attributes_changed();
  // Bytes were read: the time of access may have changed.
  void was_read();
  // A shared writable mapping exists: the host changes times and size unseen, from now on.
  void mapped_for_writing();

 private:
  friend class HostFilesystem;
  struct Name {
    Ref<HostInode> directory;
    std::string text;
  };

  ~HostInode() override = default;
  void last_reference_dropped() override;
  bool cache_holds() const;
  void saw(const Seen& seen, std::uint32_t version);
  void found_again(const Seen& seen);
  std::uint32_t version();
  ErrnoOr<vfs::Attributes> ask_attributes();
  ErrnoOr<struct statx> ask();
  void was_removed();
  void lost_name(HostInode& directory, std::string_view name);
  ErrnoOr<Ref<vfs::Inode>> made(const Place& place, const HostCreation& wanted);
  ErrnoOr<Ref<vfs::Inode>> adopt(std::string_view name);
  ErrnoOr<> remove(std::string_view name, vfs::Inode& target, int flags);
  ErrnoOr<> change_owner(const vfs::AttributeChange& change);
  ErrnoOr<> change_mode(std::uint32_t mode);
  ErrnoOr<> change_times(const vfs::AttributeChange& change);
  ErrnoOr<> change_size(std::uint64_t size);
  ErrnoOr<Fd> open_for_attributes(const Place& place);
  template <typename ByName, typename ByFile>
  auto with_attributes(ByName by_name, ByFile by_file) -> decltype(by_name(std::declval<Place&>()));
  ErrnoOr<> remove_mount_point(std::string_view name, vfs::Inode& target);
  Ref<HostNode> mount_point(std::string_view name);
  ErrnoOr<std::string> ask_link();

  const HostIdentity identity_;

  // --- under HostFilesystem::mutex_
  std::vector<Name> names_;  // none: the root, or removed
  std::array<Ref<Handle>, 3> handles_;
  HostInode* next_ = nullptr;
  HostInode* previous_ = nullptr;
  bool listed_ = false;
  bool pinned_ = false;  // without a name: its handle is all that leads to it

  Mutex attributes_mutex_;
  vfs::Attributes attributes_;                // the last that were seen
  std::int64_t seen_at_;                      // CLOCK_MONOTONIC
  std::uint32_t version_ = 0;                 // counts what makes them old
  bool holds_ = true;                         // nothing happened since they were seen
  bool changes_unseen_ = false;               // mapped_for_writing()
  bool removed_ = false;                      // and nothing leads to it any more
  std::unique_ptr<std::string> link_target_;  // where it cannot change
  SpecialNode special_;
  std::unique_ptr<MountPoints> mount_points_;
};

}  // namespace caisson::sandbox::fs
