// Descriptors of events: eventfd, signalfd, inotify, and processes as descriptors.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include <string>

#include "frame.h"

namespace {

void show_poll(int fd) {
  pollfd one = {fd, POLLIN | POLLOUT, 0};
  int ready = poll(&one, 1, 0);
  line("ready %d:%s%s%s", ready, one.revents & POLLIN ? " in" : "",
       one.revents & POLLOUT ? " out" : "", one.revents & POLLERR ? " err" : "");
}

uint64_t value;

long put(int fd, uint64_t add) { return write(fd, &add, 8); }

int signals(std::initializer_list<int> wanted, int flags = 0, int fd = -1) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : wanted) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(fd, &set, flags);
}

void show_signal(int fd) {
  signalfd_siginfo info = {};
  if (CALL(read(fd, &info, sizeof(info))) < 0) return;
  line("%s code %d pid %s uid %u status %d value %d",
       frame::signal_name(static_cast<int>(info.ssi_signo)), info.ssi_code,
       static_cast<pid_t>(info.ssi_pid) == getpid() ? "own"
       : info.ssi_pid == 0                          ? "none"
                                                    : "other",
       info.ssi_uid, info.ssi_status, info.ssi_int);
}

std::string names(uint32_t mask) {
  const struct {
    uint32_t bit;
    const char* name;
  } bits[] = {{IN_ACCESS, "access"},
              {IN_MODIFY, "modify"},
              {IN_ATTRIB, "attrib"},
              {IN_CLOSE_WRITE, "close_write"},
              {IN_CLOSE_NOWRITE, "close_nowrite"},
              {IN_OPEN, "open"},
              {IN_MOVED_FROM, "moved_from"},
              {IN_MOVED_TO, "moved_to"},
              {IN_CREATE, "create"},
              {IN_DELETE, "delete"},
              {IN_DELETE_SELF, "delete_self"},
              {IN_MOVE_SELF, "move_self"},
              {IN_UNMOUNT, "unmount"},
              {IN_Q_OVERFLOW, "overflow"},
              {IN_IGNORED, "ignored"},
              {IN_ISDIR, "isdir"}};
  std::string text;
  for (auto& one : bits) {
    if (mask & one.bit) text += std::string(" ") + one.name;
  }
  return text;
}

// All events that are there. Cookies are only told to be equal to the one before.
void show_events(int fd) {
  alignas(8) char buffer[16384];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  ssize_t size = read(fd, buffer, sizeof(buffer));
  if (size < 0) line("events: %s", frame::error_name(errno));
  uint32_t cookie = 0;
  for (ssize_t at = 0; at < size;) {
    auto event = reinterpret_cast<inotify_event*>(buffer + at);
    line("watch %d%s%s%s%s", event->wd, names(event->mask).c_str(), event->len ? " " : "",
         event->len ? event->name : "",
         event->cookie == 0        ? ""
         : event->cookie == cookie ? " same"
                                   : " cookie");
    cookie = event->cookie;
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
}

}  // namespace

CASE(counter_adds_and_gives_all) {
  int fd = eventfd(3, EFD_NONBLOCK);
  CALL(put(fd, 4));
  CALL(read(fd, &value, 8));
  SHOW(value);
  CALL(read(fd, &value, 8));
  CALL(put(fd, 0));
  CALL(read(fd, &value, 8));
}

CASE(counter_as_a_semaphore) {
  int fd = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
  for (int count = 0; count < 3; count++) CALL(read(fd, &value, 8));
  SHOW(value);
}

CASE(counter_has_an_end) {
  int fd = eventfd(0, EFD_NONBLOCK);
  CALL(put(fd, 0xfffffffffffffffe));
  show_poll(fd);
  CALL(put(fd, 1));
  CALL(put(fd, 0xffffffffffffffff));
  CALL(read(fd, &value, 8));
  line("%lx", value);
  show_poll(fd);
}

CASE(counter_refused) {
  CALL(eventfd(0, 0x100));
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  char small[4];
  CALL(read(fd, small, 4));
  CALL(write(fd, small, 4));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(syscall(SYS_read, fd, 1, 8));
  CALL(pread(fd, &value, 8, 0));
  CALL(fcntl(fd, F_GETFD));
}

CASE(counter_readiness) {
  int fd = eventfd(0, 0);
  show_poll(fd);
  put(fd, 1);
  show_poll(fd);
}

CASE(counter_between_processes) {
  int fd = eventfd(0, 0);
  pid_t pid = frame::child([=] {
    CALL(read(fd, &value, 8));
    SHOW(value);
  });
  frame::settle();
  put(fd, 5);
  frame::join(pid);
}

CASE(full_counter_blocks_the_writer) {
  int fd = eventfd(0, 0);
  put(fd, 0xfffffffffffffffe);
  pid_t pid = frame::child([=] { _exit(put(fd, 5) == 8 ? 8 : errno); });
  frame::settle();
  CALL(read(fd, &value, 8));
  frame::join(pid, "writer");
  CALL(read(fd, &value, 8));
  SHOW(value);
}

CASE(signals_are_read) {
  int fd = signals({SIGUSR1, SIGUSR2}, SFD_NONBLOCK);
  show_signal(fd);
  kill(getpid(), SIGUSR2);
  raise(SIGUSR1);
  show_poll(fd);
  show_signal(fd);
  show_signal(fd);
  show_signal(fd);
}

CASE(queued_signals_are_read) {
  int fd = signals({SIGRTMIN}, SFD_NONBLOCK);
  sigval with;
  with.sival_int = 7;
  sigqueue(getpid(), SIGRTMIN, with);
  with.sival_int = 8;
  sigqueue(getpid(), SIGRTMIN, with);
  signalfd_siginfo infos[4];
  CALL(read(fd, infos, sizeof(infos)));
  line("%d %d", infos[0].ssi_int, infos[1].ssi_int);
}

CASE(child_signals_are_read) {
  int fd = signals({SIGCHLD});
  pid_t pid = frame::child([] { _exit(3); });
  show_signal(fd);
  frame::join(pid);
}

CASE(signals_wake_the_reader) {
  int fd = signals({SIGUSR1});
  frame::child([] {
    frame::settle();
    kill(getppid(), SIGUSR1);
  });
  pollfd one = {fd, POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  show_signal(fd);
  wait(nullptr);
}

CASE(signals_are_chosen_anew) {
  int fd = signals({SIGUSR1}, SFD_NONBLOCK);
  raise(SIGUSR1);
  CALL(signals({SIGUSR2}, 0, fd));
  show_signal(fd);
  raise(SIGUSR2);
  show_signal(fd);
}

CASE(signals_of_the_reader) {
  int fd = signals({SIGUSR1}, SFD_NONBLOCK);
  raise(SIGUSR1);
  frame::in_child([=] {
    show_signal(fd);
    raise(SIGUSR1);
    show_signal(fd);
  });
  show_signal(fd);
}

CASE(signal_descriptor_refused) {
  sigset_t set;
  sigfillset(&set);
  CALL(signalfd(-1, &set, 0x100));
  CALL(signalfd(99, &set, 0));
  CALL(signalfd(0, &set, 0));
  CALL(syscall(SYS_signalfd4, -1, &set, 4, 0));
  CALL(syscall(SYS_signalfd4, -1, 1, 8, 0));
  int fd = signalfd(-1, &set, SFD_NONBLOCK);
  char small[64];
  CALL(read(fd, small, sizeof(small)));
  CALL(write(fd, small, sizeof(small)));
}

CASE(signal_descriptor_in_epoll) {
  int fd = signals({SIGUSR1}, SFD_NONBLOCK);
  int epoll = epoll_create1(0);
  epoll_event event = {};
  event.events = EPOLLIN;
  CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  CALL(epoll_wait(epoll, &event, 1, 0));
  kill(getpid(), SIGUSR1);
  CALL(epoll_wait(epoll, &event, 1, 1000));
  show_signal(fd);
  CALL(epoll_wait(epoll, &event, 1, 0));
}

CASE(process_descriptor_is_ready_at_its_end) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  show_poll(fd);
  gate.open();
  pollfd one = {fd, POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  frame::join(pid);
  show_poll(fd);
}

CASE(watch_a_directory) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(0);
  CALL(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
  close(open("d/x", O_CREAT | O_WRONLY, 0644));
  show_events(fd);
  frame::put("d/x", "content");
  show_events(fd);
  frame::cat("d/x");
  show_events(fd);
  CALL(chmod("d/x", 0600));
  CALL(rename("d/x", "d/y"));
  show_events(fd);
  CALL(unlink("d/y"));
  show_events(fd);
}

CASE(watch_directories_below) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE | IN_MOVE));
  CALL(mkdir("d/e", 0755));
  CALL(mkdir("d/e/f", 0755));
  CALL(symlink("x", "d/s"));
  CALL(link("d/s", "d/t"));
  CALL(mkfifo("d/fifo", 0600));
  CALL(rename("d/e", "e"));
  CALL(rename("e", "d/g"));
  show_events(fd);
}

CASE(watch_a_file) {
  frame::put("x", "content");
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "x", IN_ALL_EVENTS));
  frame::cat("x");
  show_events(fd);
  CALL(truncate("x", 2));
  show_events(fd);
  CALL(link("x", "y"));
  show_events(fd);
  CALL(rename("x", "z"));
  show_events(fd);
  CALL(unlink("y"));
  show_events(fd);
  CALL(unlink("z"));
  show_events(fd);
}

CASE(watch_moves_between_directories) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  frame::put("a/x", "");
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "a", IN_MOVE));
  CALL(inotify_add_watch(fd, "b", IN_MOVE));
  CALL(rename("a/x", "b/y"));
  show_events(fd);
}

CASE(watch_is_removed) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  int watch = inotify_add_watch(fd, "d", IN_CREATE);
  SHOW(watch);
  CALL(inotify_rm_watch(fd, watch));
  show_events(fd);
  frame::put("d/x", "");
  show_events(fd);
  CALL(inotify_rm_watch(fd, watch));
  CALL(inotify_add_watch(fd, "d", IN_CREATE));
}

CASE(watch_is_changed) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "d", IN_CREATE));
  CALL(inotify_add_watch(fd, "d", IN_DELETE));
  frame::put("d/x", "");
  CALL(unlink("d/x"));
  show_events(fd);
  CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_ADD));
  frame::put("d/x", "");
  CALL(unlink("d/x"));
  show_events(fd);
  CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_CREATE));
}

CASE(watch_once) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
  frame::put("d/x", "");
  frame::put("d/y", "");
  show_events(fd);
}

CASE(watched_directory_is_removed) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "d", IN_DELETE_SELF | IN_DELETE));
  CALL(rmdir("d"));
  show_events(fd);
}

CASE(equal_events_are_joined) {
  frame::put("x", "");
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "x", IN_MODIFY));
  int file = open("x", O_WRONLY);
  for (int count = 0; count < 5; count++) write(file, "x", 1);
  show_events(fd);
}

CASE(watch_refused) {
  frame::put("x", "");
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_init1(0x100));
  CALL(inotify_add_watch(fd, "missing", IN_CREATE));
  CALL(inotify_add_watch(fd, "x", 0));
  CALL(inotify_add_watch(99, "x", IN_CREATE));
  CALL(inotify_add_watch(0, "x", IN_CREATE));
  CALL(inotify_add_watch(fd, "x", IN_CREATE | IN_ONLYDIR));
  CALL(inotify_rm_watch(fd, 99));
  CALL(inotify_rm_watch(0, 1));
  frame::put("secret", "");
  chmod("secret", 0);
  frame::in_child([=] {
    setresuid(1000, 1000, 1000);
    CALL(inotify_add_watch(fd, "secret", IN_OPEN));
  });
}

CASE(watch_buffer_too_small) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "d", IN_CREATE));
  char buffer[64];
  CALL(read(fd, buffer, 0));
  frame::put("d/name", "");
  int count = -1;
  CALL(ioctl(fd, FIONREAD, &count));
  SHOW(count);
  CALL(read(fd, buffer, 16));
  CALL(read(fd, buffer, 64));
}

CASE(watch_links_themselves) {
  frame::put("x", "");
  CALL(symlink("x", "s"));
  int fd = inotify_init1(IN_NONBLOCK);
  CALL(inotify_add_watch(fd, "s", IN_DELETE_SELF | IN_DONT_FOLLOW));
  CALL(unlink("s"));
  show_events(fd);
}

CASE(watch_wakes_the_reader) {
  CALL(mkdir("d", 0755));
  int fd = inotify_init1(0);
  inotify_add_watch(fd, "d", IN_CREATE);
  show_poll(fd);
  frame::child([] {
    frame::settle();
    close(open("d/from_a_child", O_CREAT | O_WRONLY, 0644));
  });
  pollfd one = {fd, POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  show_events(fd);
  wait(nullptr);
}

CASE(what_others_do_is_seen) {
  frame::put("x", "content");
  int fd = inotify_init1(IN_NONBLOCK);
  inotify_add_watch(fd, "x", IN_OPEN | IN_CLOSE | IN_ACCESS | IN_MODIFY);
  frame::in_child([] {
    int file = open("x", O_RDWR);
    char byte;
    read(file, &byte, 1);
    pwrite(file, "y", 1, 0);
  });
  show_events(fd);
}
