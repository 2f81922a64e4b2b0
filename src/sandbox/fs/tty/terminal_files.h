// Open files of pseudo terminals: the programs' end (/dev/pts/N, /dev/tty) and the master.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/fs/tty/terminal.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class DevptsFilesystem;

class TerminalFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  // Of a terminal that was open()ed for it.
  TerminalFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags, Ref<Terminal> terminal);

  const Ref<Terminal>& terminal() const { return terminal_; }

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  vfs::ReadyMask ready() override { return terminal_->ready(); }
  vfs::WaitQueue* wait_queue() override { return &terminal_->queue(); }
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;

 private:
  ~TerminalFile() override;
  Ref<Terminal> terminal_;
};

class MasterFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  MasterFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags, Ref<Terminal> terminal,
             Ref<DevptsFilesystem> devpts);

  const Ref<Terminal>& terminal() const { return terminal_; }
  // TIOCGPTPEER: the other end, without a path.
  ErrnoOr<Ref<vfs::File>> open_peer(std::uint32_t flags);

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  vfs::ReadyMask ready() override { return terminal_->master_ready(); }
  vfs::WaitQueue* wait_queue() override { return &terminal_->master_queue(); }
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;

 private:
  ~MasterFile() override;
  Ref<Terminal> terminal_;
  Ref<DevptsFilesystem> devpts_;
};

// ioctl_tty(2), what both ends have in common. ENOTTY.
ErrnoOr<std::int64_t> terminal_request(Terminal& terminal, bool as_master, vfs::Caller& caller,
                                       std::uint32_t request, std::uint64_t argument);

}  // namespace caisson::sandbox::fs
