// HostFile: an open regular file of the host. Reads and writes carry their offset, so that one
// descriptor serves all who opened the file alike.
#pragma once

#include "sandbox/fs/host/filesystem.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class HostInode;

class HostFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  static ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, HostInode& inode,
                                      vfs::OpenFlags flags);
  HostFile(vfs::Path path, HostInode& inode, std::uint32_t flags, Ref<Handle> handle);

  const void* kind() const override { return &kKind; }
  FdRef fd() const { return handle_->fd(); }
  // Inside the host's kernel; shared blocks where its file system has them. Bytes copied; EXDEV,
  // EINVAL, ENOSYS, EOPNOTSUPP: not these two.
  ErrnoOr<std::size_t> copy_from(HostFile& source, std::uint64_t offset, std::size_t length);

  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::size_t> append(vfs::IoBuffer& from, std::uint64_t& end,
                              vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  ErrnoOr<> sync(bool data_only) override;
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;

 private:
  ~HostFile() override;
  HostInode& host_inode() const;
  ErrnoOr<std::size_t> write_some(vfs::IoBuffer& from, std::uint64_t offset, int how);
  int how_to_write() const;

  Ref<Handle> handle_;
};

}  // namespace caisson::sandbox::fs
