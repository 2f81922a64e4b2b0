// Descriptors as such: dup, fcntl, close-on-exec, ranges.
#include <linux/close_range.h>
#include <sys/eventfd.h>

#include "frame.h"

namespace {
int close_range_of(unsigned first, unsigned last, unsigned flags) {
  return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}
}  // namespace

// Prints which of the low descriptors are open.
HELPER(show_descriptors) {
  char text[64] = "";
  for (int fd = 0; fd < 20; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) sprintf(text + strlen(text), " %d", fd);
  }
  line("open:%s", text);
  return 0;
}

CASE(dup_takes_the_lowest) {
  frame::made("x");
  CALL(dup(3));
  CALL(close(0));
  CALL(dup(3));
  CALL(dup(99));
  CALL(dup(-1));
}

CASE(dup_shares_place_and_flags) {
  int fd = frame::made("x");
  int other = dup(fd);
  CALL(write(fd, "abc", 3));
  CALL(lseek(other, 0, SEEK_CUR));
  CALL(fcntl(fd, F_SETFL, O_APPEND));
  YES(fcntl(other, F_GETFL) & O_APPEND);
  CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
  CALL(fcntl(other, F_GETFD));
}

CASE(separate_opens_share_nothing) {
  int fd = frame::made("x");
  int other = open("x", O_RDWR);
  CALL(write(fd, "abc", 3));
  CALL(lseek(other, 0, SEEK_CUR));
}

CASE(dup2_chooses) {
  int fd = frame::made("x");
  CALL(dup2(fd, 10));
  CALL(dup2(fd, fd));
  CALL(dup2(99, 10));
  CALL(dup2(99, 99));
  CALL(dup2(fd, -1));
  CALL(dup2(fd, 1024));
  CALL(dup2(fd, 1023));
}

CASE(dup2_closes_what_was_there) {
  int ends[2];
  CALL(pipe(ends));
  int fd = frame::made("x");
  CALL(dup2(fd, ends[1]));
  char byte;
  CALL(read(ends[0], &byte, 1));
}

CASE(dup3_and_its_flags) {
  int fd = frame::made("x");
  CALL(dup3(fd, 10, O_CLOEXEC));
  CALL(fcntl(10, F_GETFD));
  CALL(dup3(fd, fd, 0));
  CALL(dup3(fd, 11, O_APPEND));
  CALL(dup3(fd, 11, 0));
  CALL(fcntl(11, F_GETFD));
  CALL(dup3(fd, 5000, 0));
}

CASE(dup_by_fcntl) {
  int fd = frame::made("x");
  CALL(fcntl(fd, F_DUPFD, 0));
  CALL(fcntl(fd, F_DUPFD, 10));
  CALL(fcntl(fd, F_DUPFD, 10));
  CALL(fcntl(fd, F_DUPFD_CLOEXEC, 20));
  CALL(fcntl(20, F_GETFD));
  CALL(fcntl(fd, F_DUPFD, -1));
  CALL(fcntl(fd, F_DUPFD, 1024));
  CALL(fcntl(fd, F_DUPFD, 1023));
  CALL(fcntl(fd, F_DUPFD, 1023));
}

CASE(dup_beyond_the_limit) {
  int fd = frame::made("x");
  for (int other = 4; other < 1024; other++) {
    if (dup(fd) != other) line("%d is missing", other);
  }
  CALL(dup(fd));
  CALL(open("y", O_RDWR | O_CREAT, 0644));
  frame::list(".");
}

CASE(descriptor_flags) {
  int fd = frame::made("x");
  CALL(fcntl(fd, F_GETFD));
  CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
  CALL(fcntl(fd, F_GETFD));
  CALL(fcntl(fd, F_SETFD, 0xfe));
  CALL(fcntl(fd, F_GETFD));
  CALL(fcntl(99, F_GETFD));
  CALL(fcntl(99, F_SETFD, 0));
}

CASE(status_flags_that_change) {
  int fd = frame::made("x", O_WRONLY);
  auto show = [&] {
    line("%o", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOATIME | O_ASYNC));
  };
  show();
  CALL(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_NOATIME));
  show();
  CALL(fcntl(fd, F_SETFL, O_RDWR | O_TRUNC | O_CREAT));
  show();
  CALL(fcntl(99, F_SETFL, 0));
  CALL(fcntl(99, F_GETFL));
}

CASE(append_can_be_switched) {
  int fd = frame::made("x");
  CALL(write(fd, "abc", 3));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(fcntl(fd, F_SETFL, O_APPEND));
  CALL(write(fd, "def", 3));
  CALL(fcntl(fd, F_SETFL, 0));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(write(fd, "X", 1));
  frame::cat("x");
}

CASE(unknown_fcntl) {
  int fd = frame::made("x");
  CALL(fcntl(fd, 9999, 0));
  CALL(fcntl(99, 9999, 0));
  CALL(fcntl(-1, F_GETFL));
}

CASE(nonblocking_by_ioctl) {
  int ends[2];
  CALL(pipe(ends));
  int on = 1, off = 0;
  CALL(ioctl(ends[0], FIONBIO, &on));
  YES(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
  char byte;
  CALL(read(ends[0], &byte, 1));
  CALL(ioctl(ends[0], FIONBIO, &off));
  YES(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
  CALL(ioctl(ends[0], FIOCLEX));
  CALL(fcntl(ends[0], F_GETFD));
  CALL(ioctl(ends[0], FIONCLEX));
  CALL(fcntl(ends[0], F_GETFD));
  CALL(ioctl(ends[0], FIONBIO, 1));
  CALL(ioctl(99, FIOCLEX));
}

CASE(ioctl_of_a_file) {
  frame::put("x", "content");
  int fd = open("x", O_RDONLY);
  int count = -1;
  CALL(ioctl(fd, FIONREAD, &count));
  SHOW(count);
  CALL(lseek(fd, 3, SEEK_SET));
  CALL(ioctl(fd, FIONREAD, &count));
  SHOW(count);
  CALL(ioctl(fd, TCGETS, &count));
  CALL(ioctl(fd, 0x12345678, &count));
}

CASE(close_on_exec) {
  frame::made("a");
  frame::made("b");
  frame::made("c");
  CALL(fcntl(4, F_SETFD, FD_CLOEXEC));
  frame::in_child([] { frame::execute("@show_descriptors"); });
}

CASE(close_on_exec_by_flags_of_calls) {
  CALL(open("x", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  int ends[2];
  CALL(pipe2(ends, O_CLOEXEC));
  CALL(eventfd(0, EFD_CLOEXEC));
  CALL(memfd_create("name", MFD_CLOEXEC));
  CALL(dup3(3, 9, O_CLOEXEC));
  for (int fd = 3; fd < 10; fd++) CALL(fcntl(fd, F_GETFD));
  frame::in_child([] { frame::execute("@show_descriptors"); });
}

CASE(failed_exec_closes_nothing) {
  CALL(open("x", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  CALL(execl("missing", "missing", nullptr));
  CALL(fcntl(3, F_GETFD));
}

CASE(place_is_shared_with_a_child) {
  int fd = frame::made("x");
  frame::in_child([&] { CALL(write(fd, "child", 5)); });
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(write(fd, "parent", 6));
  frame::cat("x");
}

CASE(descriptors_are_not_shared_with_a_child) {
  int fd = frame::made("x");
  frame::in_child([&] {
    CALL(close(fd));
    CALL(open("y", O_RDWR | O_CREAT, 0644));
  });
  struct stat found;
  CALL(fstat(fd, &found));
  CALL(fcntl(4, F_GETFD));
}

CASE(close_range_closes) {
  for (int count = 0; count < 7; count++) frame::made("x");
  CALL(close_range_of(4, 6, 0));
  CALL(close_range_of(8, ~0U, 0));
  for (int fd = 3; fd < 10; fd++) CALL(fcntl(fd, F_GETFD));
  CALL(close_range_of(100, 200, 0));
}

CASE(close_range_marks) {
  for (int count = 0; count < 4; count++) frame::made("x");
  CALL(close_range_of(4, 5, CLOSE_RANGE_CLOEXEC));
  for (int fd = 3; fd < 7; fd++) CALL(fcntl(fd, F_GETFD));
}

CASE(close_range_refused) {
  CALL(close_range_of(6, 5, 0));
  CALL(close_range_of(3, 5, 0x100));
  CALL(close_range_of(~0U, ~0U, 0));
}

CASE(close_range_unshares) {
  frame::made("x");
  CALL(close_range_of(3, 3, CLOSE_RANGE_UNSHARE));
  CALL(fcntl(3, F_GETFD));
}

CASE(standard_descriptors_are_there) {
  for (int fd = 0; fd < 4; fd++) CALL(fcntl(fd, F_GETFD));
}

CASE(proc_shows_the_descriptors) {
  frame::made("x");
  int ends[2];
  pipe(ends);
  char target[512] = {};
  readlink("/proc/self/fd/3", target, sizeof(target) - 1);
  frame::text("3", strrchr(target, '/'));
  memset(target, 0, sizeof(target));
  readlink("/proc/self/fd/4", target, sizeof(target) - 1);
  YES(strncmp(target, "pipe:[", 6) == 0);
  CALL(readlink("/proc/self/fd/9", target, sizeof(target)));
  CALL(unlink("x"));
  memset(target, 0, sizeof(target));
  readlink("/proc/self/fd/3", target, sizeof(target) - 1);
  frame::text("3", strrchr(target, '/'));
}

CASE(proc_opens_descriptors_anew) {
  int fd = frame::made("x");
  CALL(write(fd, "content", 7));
  CALL(unlink("x"));
  int again = open("/proc/self/fd/3", O_RDONLY);
  char content[8] = {};
  CALL(read(again, content, 7));
  frame::text("content", content);
  int ends[2];
  CALL(pipe(ends));
  CALL(open("/proc/self/fd/5", O_WRONLY | O_NONBLOCK));
  CALL(write(7, "x", 1));
  CALL(read(ends[0], content, 1));
  CALL(open("/dev/fd/3", O_RDONLY));
  CALL(open("/dev/stdin", O_RDONLY));
}

CASE(owner_of_signals) {
  int ends[2];
  CALL(pipe(ends));
  CALL(fcntl(ends[0], F_GETOWN));
  CALL(fcntl(ends[0], F_SETOWN, getpid()));
  YES(fcntl(ends[0], F_GETOWN) == getpid());
  CALL(fcntl(ends[0], F_GETSIG));
  CALL(fcntl(ends[0], F_SETSIG, SIGUSR1));
  CALL(fcntl(ends[0], F_GETSIG));
  CALL(fcntl(ends[0], F_SETSIG, 99));
  CALL(fcntl(ends[0], F_SETOWN, 0x3fffff));
}

CASE(input_sends_a_signal) {
  int ends[2];
  CALL(pipe(ends));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  CALL(fcntl(ends[0], F_SETOWN, getpid()));
  CALL(fcntl(ends[0], F_SETFL, O_ASYNC));
  CALL(write(ends[1], "x", 1));
  timespec wait = {5, 0};
  siginfo_t info;
  YES(sigtimedwait(&set, &info, &wait) == SIGIO);
}
