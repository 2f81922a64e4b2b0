// The container's terminal: a pty of its own devpts, its master handed to whoever asked for it.

#include <linux/magic.h>
#include <sys/sysmacros.h>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "sys/tty.h"

namespace caisson::linux {
namespace {

// CVE-2025-52565: the slave is opened through the master (TIOCGPTPEER), never by a path that the
// container could have replaced; the master must be the ptmx of a devpts.
ErrnoOr<Fd> open_master(ChildContext& context) {
  Fd master;
  if (context.devpts_fd >= 0) {
    master = TRY(sys::openat(FdRef(context.devpts_fd), "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW));
  } else {
    master = TRY(sys::openat(sys::kCwd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW));
  }
  auto info = TRY(sys::fstat(master));
  auto filesystem = TRY(sys::fstatfs(master));
  bool genuine = S_ISCHR(info.st_mode) && info.st_rdev == makedev(5, 2) &&
                 filesystem.f_type == DEVPTS_SUPER_MAGIC;
  if (!genuine) return std::unexpected(Errno{ENOTTY});
  return master;
}

ErrnoOr<> hand_over(ChildContext& context, FdRef master) {
  note(context, Operation::kWrite, "console socket");
  int fds[] = {master.number()};
  return sys::send_message(FdRef(context.console_socket), "/dev/ptmx", fds);
}

ErrnoOr<> open_pty(ChildContext& context) {
  note(context, Operation::kOpenSource, "/dev/pts/ptmx");
  Fd master = TRY(open_master(context));
  Fd slave = TRY(sys::open_pty_slave(master));
  const auto& process = *context.process;
  if (process.console_rows != 0 || process.console_columns != 0) {
    struct winsize size{};
    size.ws_row = process.console_rows;
    size.ws_col = process.console_columns;
    TRY(sys::set_window_size(master, size));
  }
  if (process.console_keeps_newlines) {
    auto mode = TRY(sys::terminal_mode(slave));
    mode.output &= ~static_cast<std::uint32_t>(ONLCR);
    TRY(sys::set_terminal_mode(slave, mode));
  }
  // The program must be able to reopen its terminal; group tty (5) and mode are devpts' own.
  (void)sys::fchownat(slave, "", process.uid, static_cast<std::uint32_t>(-1), AT_EMPTY_PATH);
  TRY(hand_over(context, master));
  context.pty_slave = slave.release();
  return {};
}

}  // namespace

ErrnoOr<> make_console(ChildContext& context, const plan::MountStep& step) {
  TRY(open_pty(context));
  note(context, Operation::kResolveTarget, step.target);
  // A link here would put the terminal over a file that it names, say one of /proc's.
  Fd target = TRY(open_in_root(context, step.target, Make::kFile, 0, true));
  note(context, Operation::kMount, step.target);
  Fd tree = TRY(sys::open_tree(FdRef(context.pty_slave), "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  note(context, Operation::kAttach, step.target);
  TRY(sys::move_mount(tree, target));
  forget_cached_parent(context);
  return {};
}

ErrnoOr<> take_console(ChildContext& context) {
  if (context.pty_slave < 0) return {};
  note(context, Operation::kConfigure, "controlling terminal");
  if (!context.made_by_launcher) {
    TRY(sys::call_void(SYS_ioctl, context.pty_slave, TIOCSCTTY, 0));
  }
  for (int number = 0; number < 3; ++number) TRY(sys::dup3(FdRef(context.pty_slave), number, 0));
  return {};
}

ErrnoOr<> open_exec_console(ChildContext& context) {
  if (!context.process->terminal || context.console_socket < 0) return {};
  return open_pty(context);
}

}  // namespace caisson::linux
