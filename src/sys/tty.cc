#include "sys/tty.h"

#include "sys/process.h"

namespace caisson::sys {

KernelTermios raw_mode(const KernelTermios& mode) {
  KernelTermios raw = mode;
  raw.input &=
      ~static_cast<std::uint32_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  raw.output &= ~static_cast<std::uint32_t>(OPOST);
  raw.local &= ~static_cast<std::uint32_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  raw.control &= ~static_cast<std::uint32_t>(CSIZE | PARENB);
  raw.control |= CS8;
  raw.characters[VMIN] = 1;
  raw.characters[VTIME] = 0;
  return raw;
}

ErrnoOr<Fd> open_pty_slave(FdRef master) {
  int unlock = 0;
  TRY(call_void(SYS_ioctl, master.number(), TIOCSPTLCK, &unlock));
  return call_fd(SYS_ioctl, master.number(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

void settle_pty_input(FdRef master) {
  auto slave = open_pty_slave(master);
  if (!slave) return;
  // A poll that finds no input waits for the worker before it says so.
  pollfd polled{slave->number(), POLLIN, 0};
  (void)poll({&polled, 1}, 0);
}

}  // namespace caisson::sys
