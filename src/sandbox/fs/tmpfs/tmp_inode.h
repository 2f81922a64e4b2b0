// TmpInode: what all kinds of inodes of a tmpfs have in common.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class TmpInode : public vfs::Inode {
 public:
  // What all kinds have, in a checkpoint.
  struct Saved {
    std::uint64_t number = 0;
    std::uint32_t mode = 0, uid = 0, gid = 0, links = 0;
    bool unnamed = false;
    vfs::Timestamp accessed, modified, changed, born;
    std::map<std::string, std::string, std::less<>> extended;
  };
  TmpInode(TmpFilesystem& filesystem, const Saved& saved);

  // Takes over the place among the file system's inodes that its maker has taken.
  TmpInode(TmpFilesystem& filesystem, const vfs::Creation& creation);

  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<vfs::Ownership> ownership() override;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;
  ErrnoOr<std::string> get_attribute(std::string_view name) override;
  ErrnoOr<> set_attribute(std::string_view name, std::string_view value, int flags) override;
  ErrnoOr<std::vector<std::string>> list_attributes() override;
  ErrnoOr<> remove_attribute(std::string_view name) override;

  TmpFilesystem& tmpfs() const { return static_cast<TmpFilesystem&>(filesystem()); }
  std::uint64_t number() const { return number_; }
  std::uint32_t links();
  void set_links(std::uint32_t links);
  // Also sets the time of change. ENOENT: the last name is gone, unless it never had one.
  ErrnoOr<> add_link();
  void drop_link();
  // ".." of a directory that came or went.
  void add_subdirectory(int count);

  void touch_accessed(vfs::Timestamp now);
  void touch_modified();  // and changed
  void touch_changed();
  // Part of attributes() for wants_access_time().
  vfs::Attributes times();

  state::Tag save_tag() const override { return state::Tag::kTmpInode; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::Inode>> restore(state::Reader& from);

 protected:
  ~TmpInode() override;
  // Size and blocks, by kind.
  virtual void add_size(vfs::Attributes& attributes) = 0;
  virtual ErrnoOr<> resize(std::uint64_t size);
  // What its kind has beyond that.
  virtual Result<> save_rest(state::Writer& to) = 0;

 private:
  Saved saved();
  void apply(const Saved& saved);
  static Result<Ref<TmpInode>> make(state::Reader& from, TmpFilesystem& filesystem,
                                    const Saved& saved);
  using ExtendedAttributes = std::map<std::string, std::string, std::less<>>;
  std::uint64_t number_;  // fixed, but for a root that is restored
  std::atomic<std::uint32_t> mode_, uid_, gid_;
  Mutex mutex_;
  std::uint32_t links_ = 1;
  bool unnamed_ = false;  // never had a name, and may get one
  vfs::Timestamp accessed_, modified_, changed_;
  vfs::Timestamp born_;
  std::unique_ptr<ExtendedAttributes> extended_;
  std::size_t extended_size_ = 0;
};

// A symbolic link.
class TmpSymlink final : public TmpInode {
 public:
  TmpSymlink(TmpFilesystem& filesystem, const vfs::Creation& creation, std::string_view target)
      : TmpInode(filesystem, creation), target_(target) {}
  TmpSymlink(TmpFilesystem& filesystem, const Saved& saved, std::string target)
      : TmpInode(filesystem, saved), target_(std::move(target)) {}
  ErrnoOr<std::string> read_link(vfs::Caller*) override { return target_; }

 private:
  ~TmpSymlink() override = default;
  void add_size(vfs::Attributes& attributes) override { attributes.size = target_.size(); }
  Result<> save_rest(state::Writer& to) override;
  const std::string target_;
};

// A device node, FIFO or socket.
class TmpSpecial final : public TmpInode {
 public:
  TmpSpecial(TmpFilesystem& filesystem, const vfs::Creation& creation, std::uint64_t device);
  TmpSpecial(TmpFilesystem& filesystem, const Saved& saved, std::uint64_t device,
             Ref<FifoNode> fifo)
      : TmpInode(filesystem, saved), device_(device), fifo_(std::move(fifo)) {}
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;

 private:
  ~TmpSpecial() override = default;
  void add_size(vfs::Attributes& attributes) override { attributes.special_device = device_; }
  Result<> save_rest(state::Writer& to) override;
  const std::uint64_t device_;
  const Ref<FifoNode> fifo_;
};

}  // namespace caisson::sandbox::fs
