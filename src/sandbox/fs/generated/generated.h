// Generated files: trees whose directories and texts are made when somebody looks (proc, sysfs).
// Not for what programs put their data into.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "sandbox/fs/listing.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class GeneratedFilesystem : public vfs::Filesystem {
 public:
  // `magic`: statfs(2)'s f_type.
  GeneratedFilesystem(std::string type, std::int64_t magic)
      : Filesystem(std::move(type)), magic_(magic) {}
  Ref<vfs::Inode> root() override { return root_; }
  ErrnoOr<vfs::FilesystemStatus> status() override;

 protected:
  ~GeneratedFilesystem() override = default;
  void set_root(Ref<vfs::Inode> root) { root_ = std::move(root); }

 private:
  std::int64_t magic_;
  Ref<vfs::Inode> root_;
};

// The number of `name` in the directory with the number `parent`: always the same, though inodes
// come and go.
std::uint64_t generated_number(std::uint64_t parent, std::string_view name);
constexpr std::uint64_t kGeneratedRoot = 1;

class GeneratedInode : public vfs::Inode {
 public:
  // `mode`: type and permissions.
  GeneratedInode(vfs::Filesystem& filesystem, std::uint32_t mode, std::uint64_t number)
      : Inode(filesystem, mode & S_IFMT), mode_(mode), number_(number) {}
  std::uint64_t number() const { return number_; }
  ErrnoOr<vfs::Attributes> attributes() override;
  // Owner and mode are what they are: EPERM. Sizes and times are accepted and mean nothing.
  ErrnoOr<> change(const vfs::AttributeChange& change) override;

 protected:
  struct Owner {
    vfs::Uid uid = 0;
    vfs::Gid gid = 0;
  };
  virtual Owner owner() { return {}; }
  std::uint64_t child(std::string_view name) const { return generated_number(number_, name); }

 private:
  const std::uint32_t mode_;
  const std::uint64_t number_;
};

// --- files

class GeneratedFile : public GeneratedInode {
 public:
  using GeneratedInode::GeneratedInode;
  virtual ErrnoOr<std::string> text(vfs::Caller& caller) = 0;
  // What write(2) was given, as a whole. EINVAL, EPERM, EIO.
  virtual ErrnoOr<> store(std::string_view text, vfs::Caller& caller);
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;
};

using TextFunction = std::function<ErrnoOr<std::string>(vfs::Caller&)>;
using StoreFunction = std::function<ErrnoOr<>(std::string_view, vfs::Caller&)>;

class FunctionFile final : public GeneratedFile {
 public:
  FunctionFile(vfs::Filesystem& filesystem, std::uint32_t permissions, std::uint64_t number,
               TextFunction text, StoreFunction store)
      : GeneratedFile(filesystem, S_IFREG | permissions, number),
        text_(std::move(text)),
        store_(std::move(store)) {}
  ErrnoOr<std::string> text(vfs::Caller& caller) override { return text_(caller); }
  ErrnoOr<> store(std::string_view text, vfs::Caller& caller) override;

 private:
  TextFunction text_;
  StoreFunction store_;
};

// --- symbolic links

class GeneratedLink : public GeneratedInode {
 public:
  GeneratedLink(vfs::Filesystem& filesystem, std::uint64_t number, std::uint32_t permissions = 0777)
      : GeneratedInode(filesystem, S_IFLNK | permissions, number) {}
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;  // ELOOP
};

class FunctionLink final : public GeneratedLink {
 public:
  FunctionLink(vfs::Filesystem& filesystem, std::uint64_t number,
               std::function<ErrnoOr<std::string>(vfs::Caller*)> target)
      : GeneratedLink(filesystem, number), target_(std::move(target)) {}
  ErrnoOr<std::string> read_link(vfs::Caller* caller) override { return target_(caller); }

 private:
  std::function<ErrnoOr<std::string>(vfs::Caller*)> target_;
};

// --- directories

class GeneratedDirectory : public GeneratedInode {
 public:
  GeneratedDirectory(vfs::Filesystem& filesystem, std::uint32_t permissions, std::uint64_t number)
      : GeneratedInode(filesystem, S_IFDIR | permissions, number) {}
  // Names cannot be made: ENOENT in proc (its lookups fail before that is asked), else EPERM.
  ErrnoOr<Ref<vfs::Inode>> create(std::string_view name, const vfs::Creation& creation) override;
  ErrnoOr<Ref<vfs::Inode>> make_directory(std::string_view name,
                                          const vfs::Creation& creation) override;
  // Entries beside "." and "..", as they are when they are first read.
  virtual ErrnoOr<> list(Listing& listing, vfs::Caller& caller) = 0;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;
};

// A directory whose names never change. Filled before it is seen.
class StaticDirectory : public GeneratedDirectory {
 public:
  StaticDirectory(vfs::Filesystem& filesystem, std::uint64_t number,
                  std::uint32_t permissions = 0555)
      : GeneratedDirectory(filesystem, permissions, number) {}

  // `path` may lead through directories ("kernel/hostname"), which are made.
  void add(std::string_view path, TextFunction text, std::uint32_t permissions = 0444,
           StoreFunction store = {});
  void add_constant(std::string_view path, std::string text, std::uint32_t permissions = 0444);
  void add_link(std::string_view path, std::string target);
  void add_link(std::string_view path, std::function<ErrnoOr<std::string>(vfs::Caller*)> target);
  StaticDirectory& add_directory(std::string_view path);
  void add_inode(std::string_view name, Ref<vfs::Inode> inode);

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override;
  ErrnoOr<> list(Listing& listing, vfs::Caller& caller) override;

 private:
  StaticDirectory& directory_of(std::string_view& path);
  std::map<std::string, Ref<vfs::Inode>, std::less<>> entries_;
  std::map<std::string, StaticDirectory*, std::less<>> directories_;
};

}  // namespace caisson::sandbox::fs
