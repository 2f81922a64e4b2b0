// What a signal does to a call that waits: interrupts it, or lets it begin again.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "frame.h"

namespace {

int ends[2];
volatile sig_atomic_t ticks;

// On its third tick a handler provides what the restarted call waits for.
void tick_and_write(int) {
  ticks = ticks + 1;
  if (ticks == 3) write(ends[1], "x", 1);
}

void tick_with(void (*handler)(int), int flags) {
  ticks = 0;
  frame::handle(SIGALRM, handler, flags);
  frame::ticks_start();
}

}  // namespace

CASE(read_is_interrupted) {
  CALL(pipe(ends));
  char byte;
  tick_with(frame::ignore_in_handler, 0);
  CALL(read(ends[0], &byte, 1));
  frame::ticks_stop();
}

CASE(read_is_restarted) {
  CALL(pipe(ends));
  char byte;
  tick_with(tick_and_write, SA_RESTART);
  CALL(read(ends[0], &byte, 1));
  frame::ticks_stop();
  YES(ticks >= 3);
}

CASE(write_is_interrupted_and_restarted) {
  CALL(pipe(ends));
  static char space[65536];
  CALL(write(ends[1], space, sizeof(space)));
  tick_with(frame::ignore_in_handler, 0);
  CALL(write(ends[1], "x", 1));
  frame::ticks_stop();
  tick_with(
      [](int) {
        ticks = ticks + 1;
        if (ticks == 3) read(ends[0], space, 4096);
      },
      SA_RESTART);
  CALL(write(ends[1], "x", 1));
  frame::ticks_stop();
}

CASE(partial_write_is_told) {
  CALL(pipe(ends));
  static char space[100000];
  tick_with(frame::ignore_in_handler, SA_RESTART);
  CALL(write(ends[1], space, sizeof(space)));
  frame::ticks_stop();
}

CASE(wait_is_interrupted_and_restarted) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  tick_with(frame::ignore_in_handler, 0);
  int status;
  CALL(waitpid(pid, &status, 0));
  frame::ticks_stop();
  static frame::Gate* opened = &gate;
  opened = &gate;
  tick_with(
      [](int) {
        ticks = ticks + 1;
        if (ticks == 3) opened->open();
      },
      SA_RESTART);
  YES(waitpid(pid, &status, 0) == pid);
  frame::ticks_stop();
}

CASE(sockets_are_interrupted_and_restarted) {
  CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  char byte;
  tick_with(frame::ignore_in_handler, 0);
  CALL(recv(ends[0], &byte, 1, 0));
  frame::ticks_stop();
  tick_with(tick_and_write, SA_RESTART);
  CALL(recv(ends[0], &byte, 1, 0));
  frame::ticks_stop();
  timeval timeout = {5, 0};
  CALL(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
  tick_with(frame::ignore_in_handler, SA_RESTART);
  CALL(recv(ends[0], &byte, 1, 0));
  frame::ticks_stop();
}

CASE(polls_are_never_restarted) {
  CALL(pipe(ends));
  tick_with(frame::ignore_in_handler, SA_RESTART);
  pollfd one = {ends[0], POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  CALL(poll(&one, 1, -1));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  CALL(select(ends[0] + 1, &set, nullptr, nullptr, nullptr));
  int epoll = epoll_create1(0);
  epoll_event event = {};
  CALL(epoll_wait(epoll, &event, 1, -1));
  CALL(epoll_wait(epoll, &event, 1, 5000));
  timespec long_time = {5, 0};
  CALL(ppoll(&one, 1, &long_time, nullptr));
  frame::ticks_stop();
}

CASE(sleeps_are_never_restarted) {
  tick_with(frame::ignore_in_handler, SA_RESTART);
  timespec long_time = {5, 0}, rest = {};
  CALL(nanosleep(&long_time, &rest));
  YES(rest.tv_sec == 4);
  FAILS(clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, &rest));
  FAILS(clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, nullptr));
  YES(sleep(5) >= 4);
  CALL(pause());
  frame::ticks_stop();
}

CASE(system_v_waits_are_never_restarted) {
  int semaphores = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  tick_with(frame::ignore_in_handler, SA_RESTART);
  sembuf down = {0, -1, 0};
  CALL(semop(semaphores, &down, 1));
  char message[16];
  CALL(msgrcv(queue, message, 8, 0, 0));
  frame::ticks_stop();
  CALL(semctl(semaphores, 0, IPC_RMID));
  CALL(msgctl(queue, IPC_RMID, nullptr));
}

CASE(opening_a_fifo_is_interrupted) {
  CALL(mkfifo("fifo", 0600));
  tick_with(frame::ignore_in_handler, 0);
  CALL(open("fifo", O_RDONLY));
  CALL(open("fifo", O_WRONLY));
  frame::ticks_stop();
}

CASE(stopping_does_not_interrupt) {
  CALL(pipe(ends));
  pid_t pid = frame::child([] {
    char byte;
    CALL(read(ends[0], &byte, 1));
  });
  frame::settle();
  kill(pid, SIGSTOP);
  int status;
  waitpid(pid, &status, WUNTRACED);
  frame::status("child", status);
  kill(pid, SIGCONT);
  write(ends[1], "x", 1);
  frame::join(pid);
}

CASE(stopping_a_sleep_keeps_its_end) {
  pid_t pid = frame::child([] {
    timespec time = {0, 100000000};
    CALL(nanosleep(&time, nullptr));
  });
  frame::settle();
  kill(pid, SIGSTOP);
  int status;
  waitpid(pid, &status, WUNTRACED);
  kill(pid, SIGCONT);
  frame::join(pid);
}
