// OverlayInode: a file or directory of an overlay.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/fs/listing.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/special_node.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class OverlayInode final : public vfs::Inode {
 public:
  OverlayInode(OverlayFilesystem& filesystem, Ref<vfs::Inode> lower, Ref<vfs::Inode> upper,
               std::uint64_t number);

  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<vfs::Ownership> ownership() override { return real().ownership(); }
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
  ErrnoOr<Ref<vfs::Inode>> make_mount_point(std::string_view name, std::uint32_t type) override;
  ErrnoOr<Ref<vfs::Inode>> create_unnamed(const vfs::Creation& creation) override;

  ErrnoOr<std::string> read_link(vfs::Caller* caller) override { return real().read_link(caller); }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;

  ErrnoOr<std::string> get_attribute(std::string_view name) override;
  ErrnoOr<> set_attribute(std::string_view name, std::string_view value, int flags) override;
  ErrnoOr<std::vector<std::string>> list_attributes() override;
  ErrnoOr<> remove_attribute(std::string_view name) override;

  OverlayFilesystem& overlay() const { return static_cast<OverlayFilesystem&>(filesystem()); }
  vfs::Inode* upper() const { return upper_.load(std::memory_order_acquire); }
  vfs::Inode* lower() const { return lower_.get(); }
  // What it shows: the upper one where there is one.
  vfs::Inode& real() const { return upper() != nullptr ? *upper() : *lower_; }
  std::uint64_t number() const { return number_; }

  // Makes what may be changed: the upper one. Of a regular file no more than `size` bytes are
  // copied (the caller cuts it to that).
  ErrnoOr<Ref<vfs::Inode>> copy_up(std::uint64_t size = ~std::uint64_t{0});

  // Counts open files, for which a file that loses its last name is kept.
  void opened() { open_files_.fetch_add(1, std::memory_order_relaxed); }
  void closed() { open_files_.fetch_sub(1, std::memory_order_relaxed); }

  // Entries of both layers.
  ErrnoOr<Listing> list();

 private:
  friend class OverlayFilesystem;
  using Made = ErrnoOr<Ref<vfs::Inode>>;
  // Where a node was found: what it is copied to. Renamed ones have been copied already.
  struct Place {
    Ref<OverlayInode> directory;  // null: the root, or never named
    std::string name;
    bool removed = false;
  };
  struct Move;
  struct Layer;

  ~OverlayInode() override;
  void last_reference_dropped() override;

  // --- names (lookup.cc, names.cc); those that end in _locked hold directory_mutex_
  Made find_locked(std::string_view name);
  Made new_node(std::string_view name, Ref<vfs::Inode> upper);
  Made upper_node(std::string_view name, Ref<vfs::Inode> upper);
  Made upper_directory(std::string_view name, Ref<vfs::Inode> upper);
  Made lower_node(std::string_view name, Ref<vfs::Inode> lower);
  Ref<OverlayInode> node(std::string_view name, Ref<vfs::Inode> lower, Ref<vfs::Inode> upper,
                         std::uint64_t number);
  ErrnoOr<Ref<vfs::Inode>> redirected(std::string_view path);
  template <typename Make>
  Made make_name(std::string_view name, Make make);
  template <typename Make>
  Made make_over(std::string_view name, vfs::Inode& directory, vfs::Inode& whiteout, Make make);
  ErrnoOr<> remove(std::string_view name, OverlayInode& target);
  ErrnoOr<> hide_locked(std::string_view name, vfs::Inode& directory, vfs::Inode* covering);
  ErrnoOr<> take_locked(std::string_view name, vfs::Inode& directory, vfs::Inode& covering);
  static void discard(vfs::Inode& directory, const std::string& name, vfs::Inode& empty);
  Made make_whiteout(vfs::Inode& directory, std::string_view name);
  ErrnoOr<> check_empty();
  ErrnoOr<> keep_open();
  void lost_name();

  // --- renames (rename.cc)
  ErrnoOr<> name_in_upper(std::string_view name, OverlayInode& inode);
  ErrnoOr<> mark_moved(const OverlayInode& to);
  ErrnoOr<> move_locked(const Move& move);

  // --- copies (copy_up.cc)
  Made copy_to(vfs::Inode& directory, const std::string& name, std::uint64_t size);
  ErrnoOr<> fill_copy(vfs::Inode& copy, const vfs::Attributes& attributes, std::uint64_t size);
  Made make_copy(vfs::Inode& directory, const std::string& name, const vfs::Attributes& attributes);
  ErrnoOr<bool> publish(const Place& place, std::uint64_t size);
  ErrnoOr<> publish_root(std::uint64_t size);
  ErrnoOr<> publish_several(const Place& place, std::uint64_t size);
  ErrnoOr<> publish_unnamed(std::uint64_t size);
  void set_upper(Ref<vfs::Inode> upper);

  // Of a file that had several names below: one more or less.
  void count_link(int change);
  void is_one_of_several(std::uint64_t links);

  Place place();
  void set_place(OverlayInode& directory, std::string_view name);
  std::string lower_path();

  const Ref<vfs::Inode> lower_;     // null: none, or hidden
  std::atomic<vfs::Inode*> upper_;  // holds a reference; set once
  const std::uint64_t number_;
  SpecialNode special_;
  std::atomic<std::uint32_t> open_files_{0};

  Mutex copy_mutex_;
  Mutex directory_mutex_;

  // --- under OverlayFilesystem::mutex_
  Place place_;
  std::string lower_path_;  // of a directory that has a lower one: "usr/bin"
  bool several_ = false;    // a file that had several names below
  Ref<vfs::File> kept_;     // what keeps the bytes of a file without a name
};

}  // namespace caisson::sandbox::fs
