#include "sandbox/fs/anon_inode/anon_file.h"

#include <sys/sysmacros.h>

#include <atomic>
#include <cerrno>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

// Minor numbers that counted-up ones of mounted file systems do not reach.
constexpr unsigned kAnonymousMinor = 0xffff0;
constexpr unsigned kPipeMinor = 0xffff1;
constexpr std::uint64_t kAnonymousInode = 1;

}  // namespace

std::uint64_t next_anonymous_inode() {
  static std::atomic<std::uint64_t> last{kAnonymousInode};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint64_t anonymous_device() { return gnu_dev_makedev(0, kAnonymousMinor); }
std::uint64_t pipe_device() { return gnu_dev_makedev(0, kPipeMinor); }

ErrnoOr<std::size_t> AnonymousFile::read(vfs::IoBuffer&, vfs::Caller&) {
  return std::unexpected(Errno{EINVAL});
}

ErrnoOr<std::size_t> AnonymousFile::write(vfs::IoBuffer&, vfs::Caller&) {
  return std::unexpected(Errno{EINVAL});
}

ErrnoOr<std::size_t> AnonymousFile::read_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::size_t> AnonymousFile::write_at(vfs::IoBuffer&, std::uint64_t, vfs::Caller&) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<vfs::Attributes> AnonymousFile::attributes() {
  vfs::Attributes attributes;
  attributes.mode = 0600;  // no type: fs/anon_inodes.c
  attributes.inode = kAnonymousInode;
  attributes.device = anonymous_device();
  return attributes;
}

ErrnoOr<> AnonymousFile::change(const vfs::AttributeChange&) {
  return std::unexpected(Errno{EOPNOTSUPP});
}

// noop_llseek() of Linux.
ErrnoOr<std::uint64_t> AnonymousFile::seek(std::int64_t, int) { return 0; }

std::string AnonymousFile::link_text(const vfs::Path&) { return cat("anon_inode:", name_); }

}  // namespace caisson::sandbox::fs
