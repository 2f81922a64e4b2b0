#include "sandbox/boot/host_terminal.h"

#include <asm/ioctls.h>
#include <fcntl.h>

#include <array>

#include "sys/file.h"
#include "sys/socket.h"
#include "sys/tty.h"

namespace caisson::sandbox::boot {

Result<HostTerminal> HostTerminal::open(const plan::ProcessPlan& process, FdRef receiver) {
  HostTerminal terminal;
  terminal.receiver_ = receiver.number();
  terminal.master_ = TRY_CTX(sys::openat(sys::kCwd, "/dev/ptmx", O_RDWR | O_NOCTTY),
                             "open a terminal at /dev/ptmx");
  terminal.slave_ = TRY_CTX(sys::open_pty_slave(terminal.master_), "open the terminal's other end");
  auto mode = TRY_CTX(sys::terminal_mode(terminal.slave_), "look at the terminal");
  TRY_CTX(sys::set_terminal_mode(terminal.slave_, sys::raw_mode(mode)), "set the terminal up");
  if (process.console_rows != 0 || process.console_columns != 0) {
    struct winsize size{};
    size.ws_row = process.console_rows;
    size.ws_col = process.console_columns;
    TRY_CTX(sys::set_window_size(terminal.slave_, size), "set the size of the terminal");
  }
  return terminal;
}

Result<> HostTerminal::hand_over() {
  if (!master_) return {};
  std::array<int, 1> descriptors = {master_.number()};
  TRY_CTX(sys::send_message(FdRef(receiver_), "/dev/ptmx", descriptors),
          "send the terminal to the console socket");
  master_.reset();
  slave_.reset();
  return {};
}

}  // namespace caisson::sandbox::boot
