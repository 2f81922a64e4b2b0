// Waiting for several descriptors: poll, select, epoll in all its modes.
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "frame.h"

namespace {

struct Pipe {
  int in, out;
  Pipe() {
    int ends[2];
    pipe(ends);
    in = ends[0];
    out = ends[1];
  }
  void put() const { write(out, "x", 1); }
  void take() const {
    char byte;
    read(in, &byte, 1);
  }
};

std::string names(unsigned events) {
  std::string text;
  const struct {
    unsigned bit;
    const char* name;
  } bits[] = {{POLLIN, " in"},         {POLLPRI, " pri"},       {POLLOUT, " out"},
              {POLLERR, " err"},       {POLLHUP, " hup"},       {POLLNVAL, " nval"},
              {POLLRDNORM, " rdnorm"}, {POLLWRNORM, " wrnorm"}, {POLLRDHUP, " rdhup"}};
  for (auto& one : bits) text += events & one.bit ? one.name : "";
  return text.empty() ? " nothing" : text;
}

void show_poll(int fd, short events) {
  pollfd one = {fd, events, 0};
  int ready = poll(&one, 1, 0);
  line("poll %d:%s", ready, names(static_cast<unsigned>(one.revents)).c_str());
}

int add(int epoll, int fd, unsigned events, uint64_t data = 0, int operation = EPOLL_CTL_ADD) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = data ? data : static_cast<uint64_t>(fd);
  return epoll_ctl(epoll, operation, fd, &event);
}

// Events that are there now, by descriptor.
void show_epoll(int epoll, int timeout = 0, int most = 16) {
  epoll_event events[16];
  int ready = epoll_wait(epoll, events, most, timeout);
  std::string text;
  if (ready > 0)
    std::sort(events, events + ready, [](auto& a, auto& b) { return a.data.u64 < b.data.u64; });
  for (int index = 0; index < ready; index++) {
    text += " " + std::to_string(events[index].data.u64) + ":" + names(events[index].events);
  }
  line("epoll %s%s", ready < 0 ? frame::error_name(errno) : std::to_string(ready).c_str(),
       text.c_str());
}

}  // namespace

CASE(poll_of_pipes) {
  Pipe pipe;
  show_poll(pipe.in, POLLIN | POLLOUT);
  show_poll(pipe.out, POLLIN | POLLOUT | POLLWRNORM);
  pipe.put();
  show_poll(pipe.in, POLLIN | POLLRDNORM);
  show_poll(pipe.in, 0);
  close(pipe.out);
  show_poll(pipe.in, POLLIN);
  pipe.take();
  show_poll(pipe.in, 0);
}

CASE(poll_of_files) {
  int fd = frame::made("x");
  show_poll(fd, POLLIN | POLLOUT | POLLPRI);
  show_poll(open(".", O_RDONLY), POLLIN | POLLOUT);
  show_poll(open("/dev/null", O_RDWR), POLLIN | POLLOUT);
  show_poll(99, POLLIN);
  show_poll(-5, POLLIN);
  show_poll(open("x", O_PATH), POLLIN);
}

CASE(poll_of_nothing) {
  int64_t begin = frame::now_ms();
  CALL(poll(nullptr, 0, 30));
  YES(frame::now_ms() - begin >= 30);
  CALL(poll(nullptr, 0, 0));
  CALL(poll(nullptr, 1, 0));
  CALL(syscall(SYS_poll, 1, 1, 0));
}

CASE(poll_waits) {
  Pipe pipe;
  pid_t pid = frame::child([&] {
    frame::settle();
    pipe.put();
  });
  pollfd one = {pipe.in, POLLIN, 0};
  CALL(poll(&one, 1, -1));
  SHOW(one.revents);
  frame::join(pid);
}

CASE(poll_of_several) {
  Pipe pipes[3];
  pipes[1].put();
  pollfd polled[5] = {{pipes[0].in, POLLIN, 9},
                      {pipes[1].in, POLLIN, 9},
                      {pipes[2].out, POLLOUT, 9},
                      {-1, POLLIN, 9},
                      {50, POLLIN, 9}};
  CALL(poll(polled, 5, -1));
  for (auto& one : polled) line("%s", names(static_cast<unsigned>(one.revents)).c_str());
}

CASE(poll_of_one_twice) {
  Pipe pipe;
  pipe.put();
  pollfd polled[2] = {{pipe.in, POLLIN, 0}, {pipe.in, POLLIN, 0}};
  CALL(poll(polled, 2, 0));
}

CASE(poll_of_too_many) {
  rlimit limit = {10, 10};
  setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<pollfd> many(11, {-1, 0, 0});
  CALL(poll(many.data(), 11, 0));
  CALL(poll(many.data(), 10, 0));
}

CASE(poll_with_a_mask) {
  static volatile sig_atomic_t seen;
  Pipe pipe;
  frame::handle(SIGUSR1, [](int) { seen = 1; });
  sigset_t one, none;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  sigemptyset(&none);
  sigprocmask(SIG_BLOCK, &one, nullptr);
  raise(SIGUSR1);
  pollfd polled = {pipe.in, POLLIN, 0};
  timespec some = {5, 0};
  SHOW(seen);
  CALL(ppoll(&polled, 1, &some, &none));
  SHOW(seen);
  raise(SIGUSR1);
  seen = 0;
  pipe.put();
  CALL(ppoll(&polled, 1, &some, &none));
  SHOW(seen);
}

CASE(ppoll_and_its_time) {
  timespec some = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0};
  CALL(ppoll(nullptr, 0, &some, nullptr));
  CALL(ppoll(nullptr, 0, &bad, nullptr));
  CALL(ppoll(nullptr, 0, &negative, nullptr));
  some = {0, 20000000};
  CALL(syscall(SYS_ppoll, nullptr, 0, &some, nullptr, 8));
  SHOW(some.tv_nsec);
  CALL(syscall(SYS_ppoll, nullptr, 0, &some, &some, 4));
  CALL(syscall(SYS_ppoll, nullptr, 0, 1, nullptr, 8));
}

CASE(select_of_pipes) {
  Pipe pipe;
  pipe.put();
  fd_set in, out, error;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_ZERO(&error);
  FD_SET(pipe.in, &in);
  FD_SET(pipe.out, &out);
  FD_SET(pipe.in, &error);
  CALL(select(pipe.out + 1, &in, &out, &error, nullptr));
  line("%d %d %d", FD_ISSET(pipe.in, &in) != 0, FD_ISSET(pipe.out, &out) != 0,
       FD_ISSET(pipe.in, &error) != 0);
  pipe.take();
  timeval none = {};
  CALL(select(pipe.out + 1, &in, nullptr, nullptr, &none));
  SHOW(FD_ISSET(pipe.in, &in) != 0);
}

CASE(select_times_out) {
  timeval some = {0, 30000};
  int64_t begin = frame::now_ms();
  CALL(select(0, nullptr, nullptr, nullptr, &some));
  YES(frame::now_ms() - begin >= 30);
  SHOW(some.tv_usec);
}

CASE(select_tells_the_rest) {
  Pipe pipe;
  pipe.put();
  fd_set in;
  FD_ZERO(&in);
  FD_SET(pipe.in, &in);
  timeval some = {100, 0};
  CALL(select(pipe.in + 1, &in, nullptr, nullptr, &some));
  YES(some.tv_sec >= 90);
}

CASE(select_refused) {
  fd_set in;
  FD_ZERO(&in);
  FD_SET(77, &in);
  timeval none = {}, negative = {-1, 0}, odd = {0, 1500000};
  CALL(select(78, &in, nullptr, nullptr, &none));
  CALL(select(-1, nullptr, nullptr, nullptr, &none));
  CALL(select(0, nullptr, nullptr, nullptr, &negative));
  FD_ZERO(&in);
  CALL(syscall(SYS_select, 1, 1, nullptr, nullptr, &none));
  CALL(syscall(SYS_select, 0, nullptr, nullptr, nullptr, 1));
  Pipe pipe;
  pipe.put();
  FD_SET(pipe.in, &in);
  CALL(select(pipe.in + 1, &in, nullptr, nullptr, &odd));
}

CASE(select_ignores_what_is_above) {
  Pipe pipe;
  pipe.put();
  fd_set in;
  FD_ZERO(&in);
  FD_SET(pipe.in, &in);
  timeval none = {};
  CALL(select(pipe.in, &in, nullptr, nullptr, &none));
}

CASE(pselect_with_a_mask) {
  static volatile sig_atomic_t seen;
  frame::handle(SIGUSR1, [](int) { seen = 1; });
  sigset_t one, none;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  sigemptyset(&none);
  sigprocmask(SIG_BLOCK, &one, nullptr);
  raise(SIGUSR1);
  timespec some = {5, 0};
  CALL(pselect(0, nullptr, nullptr, nullptr, &some, &none));
  SHOW(seen);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  SHOW(sigismember(&now, SIGUSR1));
}

CASE(epoll_level) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN));
  show_epoll(epoll);
  pipe.put();
  show_epoll(epoll);
  show_epoll(epoll);
  pipe.take();
  show_epoll(epoll);
}

CASE(epoll_edge) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLET));
  pipe.put();
  show_epoll(epoll);
  show_epoll(epoll);
  pipe.put();
  show_epoll(epoll);
  pipe.take();
  show_epoll(epoll);
  close(pipe.out);
  show_epoll(epoll);
  show_epoll(epoll);
}

CASE(epoll_edge_of_what_is_there) {
  Pipe pipe;
  pipe.put();
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLET));
  show_epoll(epoll);
  show_epoll(epoll);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLET, 0, EPOLL_CTL_MOD));
  show_epoll(epoll);
}

CASE(epoll_once) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLONESHOT));
  pipe.put();
  show_epoll(epoll);
  pipe.put();
  show_epoll(epoll);
  close(pipe.out);
  show_epoll(epoll);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLONESHOT, 0, EPOLL_CTL_MOD));
  show_epoll(epoll);
  show_epoll(epoll);
}

CASE(epoll_control) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN));
  CALL(add(epoll, pipe.in, EPOLLIN));
  CALL(add(epoll, pipe.out, EPOLLIN, 0, EPOLL_CTL_MOD));
  CALL(epoll_ctl(epoll, EPOLL_CTL_DEL, pipe.out, nullptr));
  CALL(epoll_ctl(epoll, EPOLL_CTL_DEL, pipe.in, nullptr));
  CALL(epoll_ctl(epoll, EPOLL_CTL_DEL, pipe.in, nullptr));
  CALL(epoll_ctl(epoll, 99, pipe.in, nullptr));
  CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe.in, nullptr));
  CALL(add(epoll, epoll, EPOLLIN));
  CALL(add(epoll, 99, EPOLLIN));
  CALL(add(99, pipe.in, EPOLLIN));
  CALL(add(pipe.in, pipe.out, EPOLLIN));
  CALL(add(epoll, frame::made("x"), EPOLLIN));
  CALL(add(epoll, open(".", O_RDONLY), EPOLLIN));
}

CASE(epoll_create_refused) {
  CALL(epoll_create(0));
  CALL(epoll_create(-1));
  CALL(epoll_create(1));
  CALL(epoll_create1(0x100));
  CALL(epoll_create1(EPOLL_CLOEXEC));
  CALL(fcntl(4, F_GETFD));
}

CASE(epoll_wait_refused) {
  int epoll = epoll_create1(0);
  epoll_event events[4];
  CALL(epoll_wait(epoll, events, 0, 0));
  CALL(epoll_wait(epoll, events, -1, 0));
  CALL(epoll_wait(0, events, 4, 0));
  CALL(epoll_wait(99, events, 4, 0));
  Pipe pipe;
  pipe.put();
  add(epoll, pipe.in, EPOLLIN);
  CALL(syscall(SYS_epoll_wait, epoll, 1, 4, 0));
  char byte;
  CALL(read(epoll, &byte, 1));
  CALL(write(epoll, &byte, 1));
}

CASE(epoll_times_out) {
  int epoll = epoll_create1(0);
  epoll_event event;
  int64_t begin = frame::now_ms();
  CALL(epoll_wait(epoll, &event, 1, 30));
  YES(frame::now_ms() - begin >= 30);
  timespec some = {0, 30000000};
  begin = frame::now_ms();
  CALL(syscall(SYS_epoll_pwait2, epoll, &event, 1, &some, nullptr, 8));
  YES(frame::now_ms() - begin >= 30);
  some = {0, 1000000000};
  CALL(syscall(SYS_epoll_pwait2, epoll, &event, 1, &some, nullptr, 8));
}

CASE(epoll_waits_for_a_child) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  add(epoll, pipe.in, EPOLLIN);
  pid_t pid = frame::child([&] {
    frame::settle();
    pipe.put();
  });
  show_epoll(epoll, -1);
  frame::join(pid);
}

CASE(epoll_waits_for_a_thread) {
  static Pipe* pipe = new Pipe;
  int epoll = epoll_create1(0);
  add(epoll, pipe->in, EPOLLIN);
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        frame::settle();
        pipe->put();
        return nullptr;
      },
      nullptr);
  show_epoll(epoll, -1);
  pthread_join(thread, nullptr);
}

CASE(epoll_is_changed_while_waiting) {
  static Pipe* pipe = new Pipe;
  static int epoll = epoll_create1(0);
  pipe->put();
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        frame::settle();
        add(epoll, pipe->in, EPOLLIN);
        return nullptr;
      },
      nullptr);
  show_epoll(epoll, 5000);
  pthread_join(thread, nullptr);
}

CASE(epoll_takes_turns) {
  Pipe pipes[4];
  int epoll = epoll_create1(0);
  for (auto& pipe : pipes) {
    add(epoll, pipe.in, EPOLLIN);
    pipe.put();
  }
  std::vector<uint64_t> seen;
  for (int count = 0; count < 4; count++) {
    epoll_event event;
    epoll_wait(epoll, &event, 1, 0);
    seen.push_back(event.data.u64);
  }
  std::sort(seen.begin(), seen.end());
  for (uint64_t fd : seen) SHOW(fd);
}

CASE(epoll_data_is_given_back) {
  Pipe pipe;
  pipe.put();
  int epoll = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN, 0x123456789abcdef0));
  epoll_event event;
  CALL(epoll_wait(epoll, &event, 1, 0));
  line("%lx", event.data.u64);
  CALL(add(epoll, pipe.in, EPOLLIN, 42, EPOLL_CTL_MOD));
  CALL(epoll_wait(epoll, &event, 1, 0));
  line("%lx", event.data.u64);
}

CASE(closed_descriptors_leave_epoll) {
  Pipe pipe;
  pipe.put();
  int epoll = epoll_create1(0);
  add(epoll, pipe.in, EPOLLIN);
  show_epoll(epoll);
  int copy = dup(pipe.in);
  close(pipe.in);
  show_epoll(epoll);
  close(copy);
  show_epoll(epoll);
}

CASE(epoll_sees_hang_ups_always) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  add(epoll, pipe.in, 0);
  show_epoll(epoll);
  pipe.put();
  show_epoll(epoll);
  close(pipe.out);
  show_epoll(epoll);
  CALL(add(epoll, pipe.in, EPOLLIN, 0, EPOLL_CTL_MOD));
  show_epoll(epoll);
}

CASE(epoll_in_epoll) {
  Pipe pipe;
  int inner = epoll_create1(0), outer = epoll_create1(0);
  CALL(add(inner, pipe.in, EPOLLIN));
  CALL(add(outer, inner, EPOLLIN));
  show_epoll(outer);
  show_poll(inner, POLLIN);
  pipe.put();
  show_epoll(outer);
  show_poll(inner, POLLIN);
  pipe.take();
  show_epoll(outer);
  CALL(add(inner, outer, EPOLLIN));
}

CASE(epoll_five_deep) {
  Pipe pipe;
  int epolls[7];
  for (int index = 0; index < 7; index++) {
    epolls[index] = epoll_create1(0);
    CALL(add(epolls[index], index == 0 ? pipe.in : epolls[index - 1], EPOLLIN));
  }
  pipe.put();
  show_epoll(epolls[3]);
}

CASE(epoll_in_poll_and_select) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  add(epoll, pipe.in, EPOLLIN);
  pid_t pid = frame::child([&] {
    frame::settle();
    pipe.put();
  });
  pollfd one = {epoll, POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  fd_set in;
  FD_ZERO(&in);
  FD_SET(epoll, &in);
  CALL(select(epoll + 1, &in, nullptr, nullptr, nullptr));
  frame::join(pid);
}

CASE(epoll_exclusive) {
  Pipe pipe;
  int epoll = epoll_create1(0), other = epoll_create1(0);
  CALL(add(epoll, pipe.in, EPOLLIN | EPOLLEXCLUSIVE));
  CALL(add(other, pipe.in, EPOLLIN | EPOLLEXCLUSIVE));
  CALL(add(epoll, pipe.in, EPOLLIN, 0, EPOLL_CTL_MOD));
  CALL(add(epoll, pipe.out, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
  CALL(add(epoll, other, EPOLLIN | EPOLLEXCLUSIVE));
  pipe.put();
  show_epoll(epoll);
  show_epoll(other);
}

CASE(epoll_of_sockets) {
  int pair[2];
  CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  int epoll = epoll_create1(0);
  add(epoll, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  show_epoll(epoll);
  show_epoll(epoll);
  CALL(write(pair[1], "x", 1));
  show_epoll(epoll);
  CALL(shutdown(pair[1], SHUT_WR));
  show_epoll(epoll);
  CALL(close(pair[1]));
  show_epoll(epoll);
}

CASE(epoll_of_events) {
  int event = eventfd(0, 0);
  int epoll = epoll_create1(0);
  add(epoll, event, EPOLLIN | EPOLLOUT | EPOLLET);
  show_epoll(epoll);
  uint64_t one = 1;
  CALL(write(event, &one, 8));
  show_epoll(epoll);
  CALL(write(event, &one, 8));
  show_epoll(epoll);
  CALL(read(event, &one, 8));
  show_epoll(epoll);
}

CASE(epoll_with_a_mask) {
  static volatile sig_atomic_t seen;
  frame::handle(SIGUSR1, [](int) { seen = 1; });
  sigset_t one, none;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  sigemptyset(&none);
  sigprocmask(SIG_BLOCK, &one, nullptr);
  raise(SIGUSR1);
  int epoll = epoll_create1(0);
  epoll_event event;
  CALL(epoll_pwait(epoll, &event, 1, 5000, &none));
  SHOW(seen);
}

CASE(epoll_is_inherited) {
  Pipe pipe;
  int epoll = epoll_create1(0);
  add(epoll, pipe.in, EPOLLIN);
  pipe.put();
  frame::in_child([&] {
    show_epoll(epoll);
    CALL(epoll_ctl(epoll, EPOLL_CTL_DEL, pipe.in, nullptr));
  });
  show_epoll(epoll);
}

CASE(epoll_of_many) {
  int epoll = epoll_create1(0);
  std::vector<Pipe> pipes(300);
  for (auto& pipe : pipes) add(epoll, pipe.in, EPOLLIN);
  for (size_t index = 0; index < pipes.size(); index += 3) pipes[index].put();
  std::vector<epoll_event> events(400);
  CALL(epoll_wait(epoll, events.data(), 400, 0));
  CALL(epoll_wait(epoll, events.data(), 50, 0));
}
