#include "sandbox/fs/tty/terminal_files.h"

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <span>

#include "sandbox/fs/tty/devpts.h"

namespace caisson::sandbox::fs {
namespace {

kernel::Task& task_of(vfs::Caller& caller) { return static_cast<kernel::Task&>(caller); }

}  // namespace

TerminalFile::TerminalFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags,
                           Ref<Terminal> terminal)
    : File(std::move(path), std::move(inode), flags), terminal_(std::move(terminal)) {}

TerminalFile::~TerminalFile() { terminal_->close(); }

ErrnoOr<std::size_t> TerminalFile::read(vfs::IoBuffer& to, vfs::Caller& caller) {
  TRY(terminal_->check_background(task_of(caller), SIGTTIN));
  return terminal_->read(to, nonblocking());
}

ErrnoOr<std::size_t> TerminalFile::write(vfs::IoBuffer& from, vfs::Caller& caller) {
  TRY(terminal_->check_background_write(task_of(caller)));
  return terminal_->write(from);
}

ErrnoOr<std::uint64_t> TerminalFile::seek(std::int64_t, int) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<std::int64_t> TerminalFile::ioctl(vfs::Caller& caller, std::uint32_t request,
                                          std::uint64_t argument) {
  return terminal_request(*terminal_, false, caller, request, argument);
}

MasterFile::MasterFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags,
                       Ref<Terminal> terminal, Ref<DevptsFilesystem> devpts)
    : File(std::move(path), std::move(inode), flags),
      terminal_(std::move(terminal)),
      devpts_(std::move(devpts)) {}

MasterFile::~MasterFile() {
  devpts_->remove(*terminal_);
  terminal_->close_master();
}

ErrnoOr<std::size_t> MasterFile::read(vfs::IoBuffer& to, vfs::Caller&) {
  return terminal_->master_read(to);
}

ErrnoOr<std::size_t> MasterFile::write(vfs::IoBuffer& from, vfs::Caller&) {
  return terminal_->master_write(from);
}

ErrnoOr<std::uint64_t> MasterFile::seek(std::int64_t, int) {
  return std::unexpected(Errno{ESPIPE});
}

ErrnoOr<Ref<vfs::File>> MasterFile::open_peer(std::uint32_t flags) {
  return devpts_->open_peer(path(), *terminal_, flags);
}

ErrnoOr<std::int64_t> MasterFile::ioctl(vfs::Caller& caller, std::uint32_t request,
                                        std::uint64_t argument) {
  auto store = [&](int value) -> ErrnoOr<std::int64_t> {
    auto bytes = std::as_bytes(std::span(&value, 1));
    if (TRY(caller.memory().write(argument, bytes)) != bytes.size())
      return std::unexpected(Errno{EFAULT});
    return 0;
  };
  auto load = [&]() -> ErrnoOr<int> {
    int value = 0;
    auto bytes = std::as_writable_bytes(std::span(&value, 1));
    if (TRY(caller.memory().read(argument, bytes)) != bytes.size())
      return std::unexpected(Errno{EFAULT});
    return value;
  };
  switch (request) {
    case TIOCGPTN: return store(static_cast<int>(terminal_->number()));
    case TIOCSPTLCK: terminal_->set_locked(TRY(load()) != 0); return 0;
    case TIOCGPTLCK: return store(terminal_->is_locked() ? 1 : 0);
    case TIOCPKT: terminal_->set_packet_mode(TRY(load()) != 0); return 0;
    case TIOCGPKT: return store(terminal_->packet_mode() ? 1 : 0);
    case TIOCSIG: {
      int signal = static_cast<int>(argument);
      if (signal != SIGINT && signal != SIGQUIT && signal != SIGTSTP)
        return std::unexpected(Errno{EINVAL});
      terminal_->signal_foreground(1U << signal);
      return 0;
    }
    case TIOCGPTPEER: {
      auto flags = static_cast<std::uint32_t>(argument);
      Ref<vfs::File> peer = TRY(open_peer(flags));
      return TRY(task_of(caller).add_file(std::move(peer), (flags & O_CLOEXEC) != 0));
    }
    default: return terminal_request(*terminal_, true, caller, request, argument);
  }
}

}  // namespace caisson::sandbox::fs
