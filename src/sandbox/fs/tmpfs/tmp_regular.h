// Regular files of a tmpfs, with a name or without.
#pragma once

#include "sandbox/fs/tmpfs/file_bytes.h"
#include "sandbox/fs/tmpfs/tmp_inode.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class TmpRegular final : public TmpInode {
 public:
  TmpRegular(TmpFilesystem& filesystem, const vfs::Creation& creation);
  TmpRegular(TmpFilesystem& filesystem, const Saved& saved)
      : TmpInode(filesystem, saved), bytes_(filesystem.memory(), filesystem.pages()) {}
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;
  FileBytes& bytes() { return bytes_; }

 private:
  ~TmpRegular() override = default;
  void add_size(vfs::Attributes& attributes) override;
  Result<> save_rest(state::Writer& to) override;
  ErrnoOr<> resize(std::uint64_t size) override { return bytes_.resize(size); }
  FileBytes bytes_;
};

class TmpRegularFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  TmpRegularFile(vfs::Path path, Ref<TmpRegular> inode, std::uint32_t flags)
      : File(std::move(path), inode, flags), regular_(*inode) {}
  // What a shared mapping that may be written keeps, so that the file knows of it.
  static Ref<TmpRegularFile> of_writable_mapping(const TmpRegularFile& file);
  Ref<vfs::File> inherited_by_mapping() override;
  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::size_t> append(vfs::IoBuffer& from, std::uint64_t& end,
                              vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  ErrnoOr<std::uint64_t> size() override { return regular_.bytes().size(); }
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;
  ErrnoOr<std::int64_t> control(vfs::Caller& caller, int command, std::uint64_t argument) override;
  FileBytes& bytes() { return regular_.bytes(); }
  // One without a place is that of a memfd_create(2).
  state::Tag save_tag() const override;
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  ~TmpRegularFile() override;
  TmpRegular& regular_;  // held by the File
  bool is_writable_mapping_ = false;
};

}  // namespace caisson::sandbox::fs
