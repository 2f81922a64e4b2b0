// HostDirectory: an open directory of the host. Positions are the host's own offsets, which it
// keeps stable; where mount points in memory are among the names, they are places in a list made
// when it is read from the beginning.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "sandbox/fs/listing.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class HostInode;

class HostDirectory final : public vfs::File {
 public:
  static ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, HostInode& inode, std::uint32_t flags);
  HostDirectory(vfs::Path path, HostInode& inode, std::uint32_t flags, Fd fd);

  ErrnoOr<> read_directory(vfs::DirectorySink& sink, vfs::Caller& caller) override;
  ErrnoOr<> sync(bool data_only) override;

 private:
  HostInode& host_inode() const;
  ErrnoOr<> fill(std::uint64_t position);
  ErrnoOr<> read_host(std::uint64_t& position, vfs::DirectorySink& sink);
  ErrnoOr<> make_list();

  Fd fd_;
  // --- under position_mutex_
  std::vector<std::byte> records_;   // of getdents64(2), from buffered_from_ on
  std::size_t next_ = 0;             // the record to be handed over next
  std::uint64_t next_position_ = 0;  // its position
  bool positioned_ = false;          // the host's offset is where records_ ends
  std::unique_ptr<Listing> list_;
};

}  // namespace caisson::sandbox::fs
