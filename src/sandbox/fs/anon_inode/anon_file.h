// Files without a name and without an inode of their own: eventfd, epoll, timerfd, signalfd,
// inotify, pidfd, and the pipes of pipe(2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

// A number for an anonymous object that has an inode in the eyes of the guest, unique in the
// sandbox.
std::uint64_t next_anonymous_inode();

// The device numbers of the file systems inside Linux that nobody mounts.
std::uint64_t anonymous_device();
std::uint64_t pipe_device();

// All such files share one inode, as in fs/anon_inodes.c of Linux.
class AnonymousFile : public vfs::File {
 public:
  // `name`: "[eventfd]".
  AnonymousFile(std::string_view name, std::uint32_t flags) : File({}, {}, flags), name_(name) {}
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;     // EINVAL
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;  // EINVAL
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;  // ESPIPE
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;  // ESPIPE
  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  std::string link_text(const vfs::Path& root) override;

 private:
  std::string_view name_;
};

}  // namespace caisson::sandbox::fs
