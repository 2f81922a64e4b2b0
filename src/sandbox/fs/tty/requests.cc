#include <sys/ioctl.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "sandbox/fs/tty/terminal_files.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kOldSize = 36;  // struct termios of the kernel: termios2 without the speeds
static_assert(offsetof(Termios, c_ispeed) == kOldSize);

// <asm/ioctls.h> makes these of a struct that only <asm/termbits.h> has.
constexpr std::uint32_t kGet2 = _IOC(_IOC_READ, 'T', 0x2a, sizeof(Termios));
constexpr std::uint32_t kSet2 = _IOC(_IOC_WRITE, 'T', 0x2b, sizeof(Termios));
constexpr std::uint32_t kSetWait2 = _IOC(_IOC_WRITE, 'T', 0x2c, sizeof(Termios));
constexpr std::uint32_t kSetFlush2 = _IOC(_IOC_WRITE, 'T', 0x2d, sizeof(Termios));

struct Request {
  Terminal& terminal;
  bool as_master;
  vfs::Caller& caller;
  std::uint64_t argument;

  kernel::Task& task() const { return static_cast<kernel::Task&>(caller); }
  template <typename T>
  ErrnoOr<std::int64_t> store(const T& value, std::size_t size = sizeof(T)) const {
    auto bytes = std::as_bytes(std::span(&value, 1)).first(size);
    if (TRY(caller.memory().write(argument, bytes)) != size) return std::unexpected(Errno{EFAULT});
    return 0;
  }
  template <typename T>
  ErrnoOr<> load(T& value, std::size_t size = sizeof(T)) const {
    auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(size);
    if (TRY(caller.memory().read(argument, bytes)) != size) return std::unexpected(Errno{EFAULT});
    return {};
  }
  // Changes by a task in the background stop it.
  ErrnoOr<> check_change() const {
    return as_master ? ErrnoOr<>{} : terminal.check_background(task(), SIGTTOU);
  }
};

ErrnoOr<std::int64_t> change_settings(const Request& request, std::size_t size,
                                      Terminal::When when) {
  TRY(request.check_change());
  Termios termios = request.terminal.termios();
  TRY(request.load(termios, size));
  request.terminal.set_termios(termios, when);
  return 0;
}

// TCSETSW and TCSETSF wait for output; that is with the master at once.
std::optional<ErrnoOr<std::int64_t>> settings_request(const Request& request,
                                                      std::uint32_t number) {
  using When = Terminal::When;
  switch (number) {
    case TCGETS: return request.store(request.terminal.termios(), kOldSize);
    case kGet2: return request.store(request.terminal.termios());
    case TCSETS:
    case TCSETSW: return change_settings(request, kOldSize, When::kNow);
    case TCSETSF: return change_settings(request, kOldSize, When::kFlushInput);
    case kSet2:
    case kSetWait2: return change_settings(request, sizeof(Termios), When::kNow);
    case kSetFlush2: return change_settings(request, sizeof(Termios), When::kFlushInput);
    case TIOCGWINSZ: return request.store(request.terminal.window_size());
    default: return std::nullopt;
  }
}

ErrnoOr<std::int64_t> set_window_size(const Request& request) {
  struct winsize size{};
  TRY(request.load(size));
  request.terminal.set_window_size(size);
  return 0;
}

ErrnoOr<std::int64_t> flush(const Request& request) {
  TRY(request.check_change());
  if (request.argument > TCIOFLUSH) return std::unexpected(Errno{EINVAL});
  request.terminal.flush(request.argument != TCOFLUSH, request.argument != TCIFLUSH);
  return 0;
}

ErrnoOr<std::int64_t> flow(const Request& request) {
  TRY(request.check_change());
  switch (request.argument) {
    case TCOOFF: request.terminal.set_stopped(true); return 0;
    case TCOON: request.terminal.set_stopped(false); return 0;
    case TCIOFF: request.terminal.send_character(false); return 0;
    case TCION: request.terminal.send_character(true); return 0;
    default: return std::unexpected(Errno{EINVAL});
  }
}

ErrnoOr<std::int64_t> type_letter(const Request& request) {
  char letter = 0;
  if (!request.terminal.controls(request.task()) && request.caller.credentials().euid != 0)
    return std::unexpected(Errno{EPERM});
  TRY(request.load(letter));
  request.terminal.type(letter);
  return 0;
}

// Nothing has to be waited for, and there is no cable that could break.
ErrnoOr<std::int64_t> break_request(const Request& request) {
  TRY(request.check_change());
  return 0;
}

std::optional<ErrnoOr<std::int64_t>> byte_request(const Request& request, std::uint32_t number) {
  switch (number) {
    case TIOCSWINSZ: return set_window_size(request);
    case TCFLSH: return flush(request);
    case TCXONC: return flow(request);
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK: return break_request(request);
    case FIONREAD:
      return request.store(static_cast<int>(request.as_master
                                                ? request.terminal.output_pending()
                                                : request.terminal.input_available()));
    // What was written is with the other end already.
    case TIOCOUTQ: return request.store(0);
    case TIOCSTI: return type_letter(request);
    case TIOCGETD: return request.store(0);  // N_TTY
    case TIOCEXCL: request.terminal.set_exclusive(true); return 0;
    case TIOCNXCL: request.terminal.set_exclusive(false); return 0;
    case TIOCGEXCL: return request.store(request.terminal.is_exclusive() ? 1 : 0);
    case TIOCGDEV: return request.store(static_cast<std::uint32_t>(request.terminal.device()));
    default: return std::nullopt;
  }
}

ErrnoOr<std::int64_t> group_request(const Request& request) {
  return request.store(TRY(request.terminal.foreground_group(request.task(), request.as_master)));
}

ErrnoOr<std::int64_t> set_group_request(const Request& request) {
  int group = 0;
  TRY(request.load(group));
  TRY(request.terminal.set_foreground_group(request.task(), group, request.as_master));
  return 0;
}

ErrnoOr<std::int64_t> session_request(const Request& request) {
  return request.store(TRY(request.terminal.session_id(request.task(), request.as_master)));
}

ErrnoOr<std::int64_t> set_discipline(const Request& request) {
  int discipline = 0;
  TRY(request.load(discipline));
  if (discipline != 0) return std::unexpected(Errno{EINVAL});
  return 0;
}

}  // namespace

ErrnoOr<std::int64_t> terminal_request(Terminal& terminal, bool as_master, vfs::Caller& caller,
                                       std::uint32_t number, std::uint64_t argument) {
  Request request{terminal, as_master, caller, argument};
  if (auto answer = settings_request(request, number)) return *answer;
  if (auto answer = byte_request(request, number)) return *answer;
  switch (number) {
    case TIOCGPGRP: return group_request(request);
    case TIOCSPGRP: return set_group_request(request);
    case TIOCGSID: return session_request(request);
    case TIOCSETD: return set_discipline(request);
    case TIOCSCTTY: TRY(terminal.acquire(request.task(), argument == 1)); return 0;
    case TIOCNOTTY: TRY(terminal.release(request.task())); return 0;
    case TIOCVHANGUP:
      if (!caller.credentials().has(21 /* CAP_SYS_ADMIN */)) return std::unexpected(Errno{EPERM});
      terminal.hang_up();
      return 0;
    default: return std::unexpected(Errno{ENOTTY});
  }
}

}  // namespace caisson::sandbox::fs
