// Pseudo-terminals: line discipline, echo, job control, window sizes, hang-up.
#include <poll.h>
#include <pty.h>
#include <termios.h>

#include "frame.h"

namespace {

struct Terminal {
  int master = -1, slave = -1;
  Terminal() {
    if (openpty(&master, &slave, nullptr, nullptr, nullptr) != 0)
      line("openpty: %s", frame::error_name(errno));
    fcntl(master, F_SETFL, O_NONBLOCK);
  }
  void type(const char* text) const { write(master, text, strlen(text)); }
  void change(void (*how)(termios&)) const {
    termios now;
    tcgetattr(slave, &now);
    how(now);
    tcsetattr(slave, TCSANOW, &now);
  }
};

bool ready(int fd, int milliseconds = 5000) {
  pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, milliseconds) == 1;
}

// What comes until nothing does for a moment; the other side works on it at once or soon after.
void show(const char* label, int fd) {
  char data[8192];
  size_t size = 0;
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  ssize_t done = 0;
  while (size < 4096 && ready(fd, size ? 100 : 300)) {
    done = read(fd, data + size, 4096);
    if (done <= 0) break;
    size += static_cast<size_t>(done);
  }
  fcntl(fd, F_SETFL, flags);
  if (size == 0 && done == 0 && !ready(fd, 0)) {
    line("%s: nothing", label);
  } else if (size == 0) {
    line("%s: %s", label, done < 0 ? frame::error_name(errno) : "end");
  } else {
    frame::bytes(label, data, size);
  }
}

void read_line(int fd) {
  char data[256];
  ssize_t done = read(fd, data, sizeof(data));
  if (done < 0) {
    line("line: %s", frame::error_name(errno));
  } else {
    frame::bytes("line", data, static_cast<size_t>(done));
  }
}

void raw(termios& now) { cfmakeraw(&now); }
void silent(termios& now) { now.c_lflag &= ~static_cast<tcflag_t>(ECHO); }

// A child that leads a session with the terminal.
template <typename F>
pid_t session(const Terminal& terminal, F body) {
  return frame::child([&] {
    setsid();
    if (ioctl(terminal.slave, TIOCSCTTY, 0) != 0) line("TIOCSCTTY: %s", frame::error_name(errno));
    body();
  });
}

volatile sig_atomic_t seen;
void note(int signal) { seen = signal; }

}  // namespace

CASE(terminal_is_opened) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  SHOW(master);
  CALL(grantpt(master));
  char* name = ptsname(master);
  YES(strncmp(name, "/dev/pts/", 9) == 0);
  CALL(open(name, O_RDWR | O_NOCTTY));
  CALL(unlockpt(master));
  CALL(open(name, O_RDWR | O_NOCTTY));
  YES(isatty(4));
  YES(isatty(master));
  struct stat found;
  CALL(fstat(4, &found));
  line("%s", frame::type_name(found.st_mode));
}

CASE(locks_of_terminals) {
  int master = posix_openpt(O_RDWR | O_NOCTTY), locked = -1;
  CALL(ioctl(master, TIOCGPTLCK, &locked));
  SHOW(locked);
  CALL(unlockpt(master));
  CALL(ioctl(master, TIOCGPTLCK, &locked));
  SHOW(locked);
  unsigned number;
  CALL(ioctl(master, TIOCGPTN, &number));
  OK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
}

CASE(settings_at_first) {
  Terminal terminal;
  termios now = {};
  CALL(tcgetattr(terminal.slave, &now));
  line("%o %o %o %o", now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag);
  frame::bytes("characters", now.c_cc, 17);
  line("%u %u", cfgetispeed(&now), cfgetospeed(&now));
}

CASE(settings_are_shared_by_both_sides) {
  Terminal terminal;
  termios now;
  terminal.change(raw);
  CALL(tcgetattr(terminal.master, &now));
  line("%o %o", now.c_iflag, now.c_lflag);
}

CASE(settings_of_what_is_no_terminal) {
  termios now;
  winsize size;
  int fd = frame::made("x");
  CALL(tcgetattr(fd, &now));
  CALL(tcgetattr(0, &now));
  CALL(tcgetattr(99, &now));
  CALL(ioctl(fd, TIOCGWINSZ, &size));
  CALL(isatty(fd));
  Terminal terminal;
  CALL(ioctl(terminal.slave, TCGETS, 1));
  CALL(ioctl(terminal.slave, TCSETS, 1));
}

CASE(lines_are_read_whole) {
  Terminal terminal;
  terminal.type("first");
  YES(!ready(terminal.slave, 20));
  terminal.type(" line\nsecond\n");
  read_line(terminal.slave);
  read_line(terminal.slave);
}

CASE(lines_are_read_in_parts) {
  Terminal terminal;
  terminal.type("0123456789\n");
  char data[8] = {};
  YES(ready(terminal.slave));
  CALL(read(terminal.slave, data, 4));
  frame::text("data", data);
  read_line(terminal.slave);
}

CASE(input_is_echoed) {
  Terminal terminal;
  terminal.type("abc\n");
  show("echo", terminal.master);
  terminal.type("\x01\x1b");
  show("echo", terminal.master);
  terminal.change(silent);
  terminal.type("abc\n");
  show("echo", terminal.master);
}

CASE(newline_is_echoed_alone) {
  Terminal terminal;
  terminal.change([](termios& now) {
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= ECHONL;
  });
  terminal.type("abc\n");
  show("echo", terminal.master);
}

CASE(characters_are_erased) {
  Terminal terminal;
  terminal.type("abcd\x7f\x7fX\n");
  read_line(terminal.slave);
  show("echo", terminal.master);
  terminal.type("\x7f\x7fY\n");
  read_line(terminal.slave);
}

CASE(lines_and_words_are_erased) {
  Terminal terminal;
  terminal.type("away\x15line\n");
  read_line(terminal.slave);
  terminal.type("one two\x17three\n");
  read_line(terminal.slave);
  show("echo", terminal.master);
}

CASE(next_character_is_literal) {
  Terminal terminal;
  terminal.type("a\x16\x03\x16\x7f\n");
  read_line(terminal.slave);
  show("echo", terminal.master);
}

CASE(end_of_input) {
  Terminal terminal;
  terminal.type("partial\x04");
  read_line(terminal.slave);
  terminal.type("\x04");
  read_line(terminal.slave);
  terminal.type("line\n");
  read_line(terminal.slave);
}

CASE(carriage_returns) {
  Terminal terminal;
  terminal.type("one\rtwo\n");
  read_line(terminal.slave);
  read_line(terminal.slave);
  terminal.change([](termios& now) {
    now.c_iflag &= ~static_cast<tcflag_t>(ICRNL);
    now.c_iflag |= IGNCR;
  });
  terminal.type("th\rree\n");
  read_line(terminal.slave);
}

CASE(output_is_translated) {
  Terminal terminal;
  CALL(write(terminal.slave, "one\ntwo\n", 8));
  show("output", terminal.master);
  terminal.change([](termios& now) { now.c_oflag &= ~static_cast<tcflag_t>(OPOST); });
  CALL(write(terminal.slave, "one\ntwo\n", 8));
  show("output", terminal.master);
}

CASE(raw_input) {
  Terminal terminal;
  terminal.change(raw);
  terminal.type("a\x03\x7f\r\n");
  YES(ready(terminal.slave));
  read_line(terminal.slave);
  show("echo", terminal.master);
}

CASE(raw_input_by_counts) {
  Terminal terminal;
  terminal.change([](termios& now) {
    raw(now);
    now.c_cc[VMIN] = 3;
    now.c_cc[VTIME] = 0;
  });
  terminal.type("ab");
  pid_t pid = frame::child([&] {
    frame::settle();
    terminal.type("cd");
  });
  frame::join(pid);
  read_line(terminal.slave);
}

CASE(raw_input_by_time) {
  Terminal terminal;
  terminal.change([](termios& now) {
    raw(now);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 1;
  });
  int64_t begin = frame::now_ms();
  read_line(terminal.slave);
  YES(frame::now_ms() - begin >= 90);
  terminal.change([](termios& now) { now.c_cc[VTIME] = 0; });
  read_line(terminal.slave);
  terminal.type("x");
  YES(ready(terminal.slave));
  read_line(terminal.slave);
}

CASE(canonical_input_becomes_raw) {
  Terminal terminal;
  terminal.type("partial");
  YES(!ready(terminal.slave, 20));
  terminal.change(raw);
  YES(ready(terminal.slave));
  read_line(terminal.slave);
}

CASE(without_blocking) {
  Terminal terminal;
  fcntl(terminal.slave, F_SETFL, O_NONBLOCK);
  read_line(terminal.slave);
  read_line(terminal.master);
}

CASE(queues_are_flushed) {
  Terminal terminal;
  terminal.type("line\n");
  YES(ready(terminal.slave));
  CALL(tcflush(terminal.slave, TCIFLUSH));
  YES(!ready(terminal.slave, 20));
  CALL(tcflush(terminal.slave, 99));
  CALL(tcdrain(terminal.slave));
}

CASE(bytes_that_wait) {
  Terminal terminal;
  int count = -1;
  terminal.type("partial");
  CALL(ioctl(terminal.slave, FIONREAD, &count));
  SHOW(count);
  terminal.type(" line\n");
  YES(ready(terminal.slave));
  CALL(ioctl(terminal.slave, FIONREAD, &count));
  SHOW(count);
}

CASE(long_lines_are_cut) {
  Terminal terminal;
  terminal.change(silent);
  char longest[5000];
  memset(longest, 'x', sizeof(longest));
  for (int at = 0; at < 5000; at += 500) write(terminal.master, longest, 500);
  terminal.type("\n");
  YES(ready(terminal.slave));
  char data[8192];
  CALL(read(terminal.slave, data, sizeof(data)));
}

CASE(window_sizes) {
  Terminal terminal;
  winsize size = {1, 1, 1, 1};
  CALL(ioctl(terminal.slave, TIOCGWINSZ, &size));
  line("%u %u", size.ws_row, size.ws_col);
  size = {24, 80, 0, 0};
  CALL(ioctl(terminal.master, TIOCSWINSZ, &size));
  size = {};
  CALL(ioctl(terminal.slave, TIOCGWINSZ, &size));
  line("%u %u", size.ws_row, size.ws_col);
}

CASE(window_changes_are_signalled) {
  Terminal terminal;
  frame::Gate ready;
  frame::join(session(terminal, [&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    winsize size = {10, 20, 0, 0};
    CALL(ioctl(terminal.master, TIOCSWINSZ, &size));
    timespec wait = {5, 0}, none = {};
    YES(sigtimedwait(&set, nullptr, &wait) == SIGWINCH);
    CALL(ioctl(terminal.master, TIOCSWINSZ, &size));
    CALL(sigtimedwait(&set, nullptr, &none));
  }));
}

CASE(controlling_terminal) {
  Terminal terminal;
  CALL(open("/dev/tty", O_RDWR));
  frame::join(session(terminal, [&] {
    YES(tcgetsid(terminal.slave) == getsid(0));
    YES(tcgetpgrp(terminal.slave) == getpgrp());
    OK(open("/dev/tty", O_RDWR));
    CALL(ioctl(terminal.slave, TIOCSCTTY, 0));
  }));
}

CASE(controlling_terminal_by_opening) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  unlockpt(master);
  char name[64];
  ptsname_r(master, name, sizeof(name));
  frame::in_child([&] {
    setsid();
    int fd = open(name, O_RDWR | O_NOCTTY);
    CALL(tcgetpgrp(fd));
    close(fd);
    fd = open(name, O_RDWR);
    YES(tcgetpgrp(fd) == getpgrp());
  });
}

CASE(controlling_terminal_refused) {
  Terminal terminal, other;
  frame::in_child([&] { CALL(ioctl(terminal.slave, TIOCSCTTY, 0)); });
  CALL(tcgetpgrp(terminal.slave));
  CALL(tcsetpgrp(terminal.slave, getpgrp()));
  frame::join(session(terminal, [&] {
    CALL(ioctl(other.slave, TIOCSCTTY, 0));
    frame::in_child([&] {
      setsid();
      CALL(ioctl(terminal.slave, TIOCSCTTY, 0));
    });
  }));
}

CASE(terminal_is_given_up) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    signal(SIGHUP, SIG_IGN);
    CALL(ioctl(terminal.slave, TIOCNOTTY, 0));
    CALL(open("/dev/tty", O_RDWR));
    CALL(tcgetpgrp(terminal.slave));
    CALL(ioctl(terminal.slave, TIOCNOTTY, 0));
  }));
}

CASE(keys_send_signals) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    for (int signal : {SIGINT, SIGQUIT, SIGTSTP}) frame::handle(signal, note);
    for (const char* key : {"\x03", "\x1c", "\x1a"}) {
      seen = 0;
      terminal.type(key);
      YES(frame::until([] { return seen != 0; }));
      line("%s", frame::signal_name(seen));
    }
  }));
  show("echo", terminal.master);
}

CASE(keys_flush_the_input) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    frame::handle(SIGINT, note);
    terminal.type("discarded\x03kept\n");
    YES(frame::until([] { return seen != 0; }));
    read_line(terminal.slave);
  }));
}

CASE(keys_without_signals) {
  Terminal terminal;
  terminal.change([](termios& now) { now.c_lflag &= ~static_cast<tcflag_t>(ISIG); });
  frame::join(session(terminal, [&] {
    terminal.type("a\x03z\n");
    read_line(terminal.slave);
  }));
}

CASE(reading_is_interrupted_by_a_key) {
  Terminal terminal;
  pid_t pid = session(terminal, [&] {
    frame::handle(SIGINT, frame::ignore_in_handler);
    char byte;
    CALL(read(terminal.slave, &byte, 1));
  });
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    terminal.type("\x03");
    usleep(50000);
  }
  line("end");
}

CASE(background_reads_stop) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    pid_t pid = frame::child([&] {
      setpgid(0, 0);
      char byte;
      CALL(read(terminal.slave, &byte, 1));
    });
    int status;
    waitpid(pid, &status, WUNTRACED);
    frame::status("background", status);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    pid = frame::child([&] {
      setpgid(0, 0);
      signal(SIGTTIN, SIG_IGN);
      char byte;
      CALL(read(terminal.slave, &byte, 1));
    });
    frame::join(pid, "background");
  }));
}

CASE(background_writes_stop_when_asked_to) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    pid_t pid = frame::child([&] {
      setpgid(0, 0);
      CALL(write(terminal.slave, "x", 1));
    });
    frame::join(pid, "background");
    terminal.change([](termios& now) { now.c_lflag |= TOSTOP; });
    pid = frame::child([&] {
      setpgid(0, 0);
      write(terminal.slave, "x", 1);
    });
    int status;
    waitpid(pid, &status, WUNTRACED);
    frame::status("background", status);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }));
}

CASE(foreground_is_given) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    frame::Gate moved;
    pid_t pid = frame::child([&] {
      setpgid(0, 0);
      moved.wait();
      read_line(terminal.slave);
    });
    setpgid(pid, pid);
    CALL(tcsetpgrp(terminal.slave, pid));
    YES(tcgetpgrp(terminal.slave) == pid);
    moved.open();
    terminal.type("to the new foreground\n");
    frame::join(pid, "foreground");
    signal(SIGTTOU, SIG_IGN);
    CALL(tcsetpgrp(terminal.slave, getpgrp()));
    CALL(tcsetpgrp(terminal.slave, 0x3fffff));
    CALL(tcsetpgrp(terminal.slave, -1));
  }));
}

CASE(background_changes_stop) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    pid_t pid = frame::child([&] {
      setpgid(0, 0);
      termios now;
      CALL(tcgetattr(terminal.slave, &now));
      tcsetattr(terminal.slave, TCSANOW, &now);
    });
    int status;
    waitpid(pid, &status, WUNTRACED);
    frame::status("background", status);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }));
}

CASE(master_that_closes_hangs_up) {
  Terminal terminal;
  frame::Gate ready;
  pid_t pid = session(terminal, [&] {
    close(terminal.master);
    frame::handle(SIGHUP, note);
    ready.open();
    YES(frame::until([] { return seen != 0; }));
    line("%s", frame::signal_name(seen));
    read_line(terminal.slave);
    CALL(write(terminal.slave, "x", 1));
    pollfd one = {terminal.slave, POLLIN, 0};
    CALL(poll(&one, 1, 0));
    YES(one.revents & POLLHUP);
  });
  ready.wait();
  close(terminal.master);
  frame::join(pid);
}

CASE(slaves_that_close_end_the_master) {
  Terminal terminal;
  CALL(write(terminal.slave, "last words", 10));
  close(terminal.slave);
  show("output", terminal.master);
  read_line(terminal.master);
  pollfd one = {terminal.master, POLLIN, 0};
  CALL(poll(&one, 1, 0));
  YES(one.revents & POLLHUP);
}

CASE(slave_is_opened_again) {
  Terminal terminal;
  close(terminal.slave);
  read_line(terminal.master);
  int fd = open(ptsname(terminal.master), O_RDWR | O_NOCTTY);
  CALL(write(fd, "again", 5));
  show("output", terminal.master);
}

CASE(session_leader_that_ends_hangs_up) {
  Terminal terminal;
  int ends[2];
  pipe(ends);
  frame::Gate up;
  pid_t pid = session(terminal, [&] {
    if (fork() == 0) {
      close(ends[0]);
      frame::handle(SIGHUP, note);
      up.open();
      frame::until([] { return seen != 0; });
      line("%s", frame::signal_name(seen));
      _exit(0);
    }
    up.wait();
  });
  close(ends[1]);
  waitpid(pid, nullptr, 0);
  char byte;
  CALL(read(ends[0], &byte, 1));
}

CASE(packet_mode) {
  Terminal terminal;
  int on = 1;
  CALL(ioctl(terminal.master, TIOCPKT, &on));
  CALL(write(terminal.slave, "x", 1));
  show("packet", terminal.master);
  CALL(tcflush(terminal.slave, TCIOFLUSH));
  show("packet", terminal.master);
}

CASE(input_is_simulated) {
  Terminal terminal;
  frame::join(session(terminal, [&] {
    int input = -1;
    CALL(ioctl(terminal.slave, TIOCOUTQ, &input));
    CALL(ioctl(terminal.slave, 0x5499, &input));
  }));
}

CASE(terminal_program) {
  Terminal terminal;
  pid_t pid = session(terminal, [&] {
    for (int fd = 0; fd < 3; fd++) dup2(terminal.slave, fd);
    execl("/bin/sh", "sh", "-c", "read x; echo \"<$x>\"; exit 4", nullptr);
  });
  terminal.type("typed\n");
  int status;
  waitpid(pid, &status, 0);
  frame::status("shell", status);
  show("output", terminal.master);
}
