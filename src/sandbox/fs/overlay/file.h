// Open files and directories of an overlay.
#pragma once

#include <optional>

#include "base/mutex.h"
#include "sandbox/fs/listing.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class OverlayInode;

// An open regular file. It reads the lower file until somebody writes the inode, and the copy from
// then on, whoever opened it when. Nothing is copied for opening it to write alone.
class OverlayFile final : public vfs::File {
 public:
  static ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, OverlayInode& inode,
                                      std::uint32_t flags, vfs::Caller& caller);
  OverlayFile(vfs::Path path, OverlayInode& inode, std::uint32_t flags);

  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  ErrnoOr<> sync(bool data_only) override;
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;

 private:
  ~OverlayFile() override;
  OverlayInode& overlay_inode() const;
  // The file of the layer that holds the bytes now; for a write, of the upper one.
  ErrnoOr<Ref<vfs::File>> real(bool write);

  Mutex real_mutex_;
  Ref<vfs::File> real_;
  Ref<vfs::File> before_;  // what mappings show that were made before the file was copied
  bool on_upper_ = false;
};

class OverlayDirectory final : public vfs::File {
 public:
  OverlayDirectory(vfs::Path path, OverlayInode& inode, std::uint32_t flags);
  ErrnoOr<> read_directory(vfs::DirectorySink& sink, vfs::Caller& caller) override;
  ErrnoOr<> sync(bool /*data_only*/) override { return {}; }

 private:
  std::optional<Listing> list_;  // made when it is read from its beginning
};

// Who opens files of the layers on the overlay's own behalf.
class OverlayCaller final : public vfs::Caller {
 public:
  const vfs::Credentials& credentials() const override { return *credentials_; }
  vfs::Memory& memory() override { return memory_; }

 private:
  class None final : public vfs::Memory {
   public:
    ErrnoOr<std::size_t> read(std::uint64_t /*address*/, std::span<std::byte> /*to*/) override;
    ErrnoOr<std::size_t> write(std::uint64_t /*address*/,
                               std::span<const std::byte> /*from*/) override;
  };
  Ref<vfs::Credentials> credentials_ = vfs::Credentials::root();
  None memory_;
};

}  // namespace caisson::sandbox::fs
