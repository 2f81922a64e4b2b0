// Terminals: raw mode, window size, pty pairs.
#pragma once

#include <sys/ioctl.h>
#include <termios.h>

#include <cstdint>

#include "sys/call.h"
#include "sys/file.h"

namespace caisson::sys {

inline bool is_terminal(FdRef fd) {
  struct winsize size{};
  return call_void(SYS_ioctl, fd.number(), TIOCGWINSZ, &size).has_value();
}
inline ErrnoOr<struct winsize> window_size(FdRef fd) {
  struct winsize size{};
  TRY(call_void(SYS_ioctl, fd.number(), TIOCGWINSZ, &size));
  return size;
}
inline ErrnoOr<> set_window_size(FdRef fd, const struct winsize& size) {
  return call_void(SYS_ioctl, fd.number(), TIOCSWINSZ, &size);
}

// The process group that gets the signals of the keys; asked through the pty master.
inline ErrnoOr<int> foreground_group(FdRef fd) {
  int group = 0;
  TRY(call_void(SYS_ioctl, fd.number(), TIOCGPGRP, &group));
  return group;
}

// The kernel's struct termios (TCGETS), which differs from glibc's.
struct KernelTermios {
  std::uint32_t input, output, control, local;
  std::uint8_t line, characters[19];
};
inline ErrnoOr<KernelTermios> terminal_mode(FdRef fd) {
  KernelTermios mode{};
  TRY(call_void(SYS_ioctl, fd.number(), TCGETS, &mode));
  return mode;
}
// `drain`: after pending output was written (TCSETSW), else at once.
inline ErrnoOr<> set_terminal_mode(FdRef fd, const KernelTermios& mode, bool drain = false) {
  return call_void(SYS_ioctl, fd.number(), drain ? TCSETSW : TCSETS, &mode);
}
// As cfmakeraw(3).
KernelTermios raw_mode(const KernelTermios& mode);

// Unlocks the slave of a pty master and opens it by TIOCGPTPEER: no path is involved.
ErrnoOr<Fd> open_pty_slave(FdRef master);

// What is written to a master becomes input, and signals, in a worker of the kernel. Returns once
// that has happened, unless the slave has input that nobody has read.
void settle_pty_input(FdRef master);

}  // namespace caisson::sys
