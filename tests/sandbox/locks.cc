// flock, POSIX record locks, locks of open file descriptions.
#include <sys/file.h>

#include "frame.h"

namespace {

struct flock region(short type, off_t start, off_t length, short whence = SEEK_SET) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = whence;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

long set(int fd, short type, off_t start, off_t length, int command = F_SETLK) {
  struct flock lock = region(type, start, length);
  return fcntl(fd, command, &lock);
}

const char* type_of(short type) {
  return type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : "none";
}

// What stands in the way of a write lock of that part, as a child sees it.
void show_locks(off_t start, off_t length) {
  pid_t parent = getpid();
  frame::join(frame::child([&] {
    int fd = open("x", O_RDWR);
    struct flock lock = region(F_WRLCK, start, length);
    CALL(fcntl(fd, F_GETLK, &lock));
    if (lock.l_type == F_UNLCK) {
      line("free");
    } else {
      line("%s %ld+%ld by %s", type_of(lock.l_type), lock.l_start, lock.l_len,
           lock.l_pid == parent ? "the parent"
           : lock.l_pid == -1   ? "a description"
                                : "another");
    }
  }));
}

}  // namespace

CASE(flock_is_shared_or_exclusive) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(flock(a, LOCK_SH | LOCK_NB));
  CALL(flock(b, LOCK_SH | LOCK_NB));
  CALL(flock(b, LOCK_EX | LOCK_NB));
  CALL(flock(a, LOCK_UN));
  CALL(flock(b, LOCK_EX | LOCK_NB));
  CALL(flock(a, LOCK_SH | LOCK_NB));
  CALL(flock(b, LOCK_UN));
  CALL(flock(b, LOCK_UN));
  CALL(flock(a, LOCK_SH | LOCK_NB));
}

CASE(flock_belongs_to_the_description) {
  int a = frame::made("x"), b = open("x", O_RDWR), c = dup(a);
  CALL(flock(a, LOCK_EX));
  CALL(flock(c, LOCK_EX | LOCK_NB));
  CALL(close(a));
  CALL(flock(b, LOCK_EX | LOCK_NB));
  CALL(close(c));
  CALL(flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_is_inherited) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(flock(a, LOCK_EX));
  frame::in_child([&] {
    CALL(flock(a, LOCK_EX | LOCK_NB));
    CALL(flock(b, LOCK_EX | LOCK_NB));
    CALL(flock(a, LOCK_UN));
  });
  CALL(flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_waits) {
  int a = frame::made("x");
  CALL(flock(a, LOCK_EX));
  pid_t pid = frame::child([] {
    int b = open("x", O_RDWR);
    int done = flock(b, LOCK_EX);
    line("the child has it: %d", done);
  });
  frame::settle();
  line("the parent gives it up");
  flock(a, LOCK_UN);
  frame::join(pid);
}

CASE(flock_is_interrupted) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(flock(a, LOCK_EX));
  frame::handle(SIGALRM, frame::ignore_in_handler);
  frame::ticks_start();
  CALL(flock(b, LOCK_EX));
  frame::ticks_stop();
}

CASE(flock_refused) {
  int a = frame::made("x");
  CALL(flock(a, 0));
  CALL(flock(a, LOCK_SH | LOCK_EX));
  CALL(flock(a, 77));
  CALL(flock(99, LOCK_SH));
  CALL(flock(open("x", O_PATH), LOCK_SH));
  CALL(flock(open("x", O_RDONLY), LOCK_EX));
  CALL(flock(open(".", O_RDONLY), LOCK_EX));
}

CASE(flock_ends_with_the_process) {
  frame::made("x");
  frame::in_child([] {
    int a = open("x", O_RDWR);
    CALL(flock(a, LOCK_EX));
  });
  CALL(flock(3, LOCK_EX | LOCK_NB));
}

CASE(flock_converts) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(flock(a, LOCK_EX));
  CALL(flock(a, LOCK_SH));
  CALL(flock(b, LOCK_SH | LOCK_NB));
  CALL(flock(a, LOCK_EX | LOCK_NB));
  CALL(flock(b, LOCK_UN));
  CALL(flock(a, LOCK_EX | LOCK_NB));
}

CASE(record_locks_against_a_child) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 10, 10));
  frame::in_child([&] {
    CALL(set(fd, F_WRLCK, 15, 1));
    CALL(set(fd, F_RDLCK, 15, 1));
    CALL(set(fd, F_WRLCK, 0, 10));
    CALL(set(fd, F_WRLCK, 20, 0));
    CALL(set(fd, F_WRLCK, 5, 10));
  });
  CALL(set(fd, F_WRLCK, 0, 0));
}

CASE(record_locks_of_one_process_do_not_conflict) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(set(a, F_WRLCK, 0, 10));
  CALL(set(b, F_WRLCK, 5, 10));
  CALL(set(b, F_RDLCK, 0, 0));
}

CASE(record_locks_read_together) {
  int fd = frame::made("x");
  CALL(set(fd, F_RDLCK, 0, 10));
  frame::in_child([&] {
    CALL(set(fd, F_RDLCK, 0, 10));
    CALL(set(fd, F_WRLCK, 0, 10));
  });
}

CASE(record_locks_are_split) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 0, 30));
  CALL(set(fd, F_UNLCK, 10, 10));
  show_locks(0, 5);
  show_locks(10, 10);
  show_locks(10, 20);
  CALL(set(fd, F_RDLCK, 2, 3));
  show_locks(0, 1);
  show_locks(3, 1);
  show_locks(6, 1);
}

CASE(record_locks_are_joined) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 0, 10));
  CALL(set(fd, F_WRLCK, 10, 10));
  show_locks(15, 1);
  CALL(set(fd, F_RDLCK, 5, 10));
  CALL(set(fd, F_RDLCK, 0, 30));
  show_locks(0, 0);
}

CASE(record_locks_to_the_end) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 100, 0));
  show_locks(1000000, 1);
  show_locks(99, 1);
  show_locks(0, 0);
}

CASE(record_locks_by_whence) {
  int fd = frame::made("x");
  CALL(write(fd, "0123456789", 10));
  CALL(lseek(fd, 4, SEEK_SET));
  struct flock lock = region(F_WRLCK, 1, 2, SEEK_CUR);
  CALL(fcntl(fd, F_SETLK, &lock));
  show_locks(0, 0);
  CALL(set(fd, F_UNLCK, 0, 0));
  lock = region(F_WRLCK, -3, 2, SEEK_END);
  CALL(fcntl(fd, F_SETLK, &lock));
  show_locks(0, 0);
  CALL(set(fd, F_UNLCK, 0, 0));
  lock = region(F_WRLCK, 10, -4);
  CALL(fcntl(fd, F_SETLK, &lock));
  show_locks(0, 0);
}

CASE(record_locks_refused) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, -1, 1));
  CALL(set(fd, F_WRLCK, 5, -10));
  CALL(set(fd, 77, 0, 1));
  CALL(set(open("x", O_RDONLY), F_WRLCK, 0, 1));
  CALL(set(open("x", O_WRONLY), F_RDLCK, 0, 1));
  CALL(set(99, F_RDLCK, 0, 1));
  struct flock lock = region(F_WRLCK, 0, 1, 77);
  CALL(fcntl(fd, F_SETLK, &lock));
  lock = region(F_UNLCK, 0, 1);
  CALL(fcntl(fd, F_GETLK, &lock));
  CALL(fcntl(fd, F_SETLK, 1));
}

CASE(record_locks_end_with_any_close) {
  int a = frame::made("x");
  CALL(set(a, F_WRLCK, 0, 10));
  int b = open("x", O_RDONLY);
  CALL(close(b));
  show_locks(0, 10);
}

CASE(record_locks_are_not_inherited) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 0, 10));
  frame::in_child([&] {
    CALL(set(fd, F_UNLCK, 0, 10));
    CALL(set(fd, F_WRLCK, 0, 10));
  });
  show_locks(0, 10);
}

CASE(record_locks_end_with_the_process) {
  int fd = frame::made("x");
  frame::in_child([&] { CALL(set(fd, F_WRLCK, 0, 10)); });
  show_locks(0, 10);
}

HELPER(check_locks) {
  struct flock lock = region(F_WRLCK, 0, 0);
  frame::Gate gate;
  pid_t parent = getpid();
  frame::in_child([&] {
    int fd = open("x", O_RDWR);
    fcntl(fd, F_GETLK, &lock);
    line("%s %d", type_of(lock.l_type), lock.l_pid == parent);
  });
  return 0;
}

CASE(record_locks_survive_exec) {
  frame::in_child([] {
    int fd = frame::made("x");
    CALL(set(fd, F_WRLCK, 0, 10));
    frame::execute("@check_locks");
  });
}

CASE(record_locks_wait) {
  int fd = frame::made("x");
  CALL(set(fd, F_WRLCK, 0, 10));
  pid_t pid = frame::child([&] {
    long done = set(fd, F_WRLCK, 5, 10, F_SETLKW);
    line("the child has it: %ld", done);
  });
  frame::settle();
  line("the parent gives it up");
  set(fd, F_UNLCK, 0, 10);
  frame::join(pid);
}

CASE(record_locks_are_interrupted) {
  int fd = frame::made("x");
  frame::Gate has, done;
  pid_t pid = frame::child([&] {
    set(fd, F_WRLCK, 0, 10);
    has.open();
    done.wait();
  });
  has.wait();
  frame::handle(SIGALRM, frame::ignore_in_handler);
  frame::ticks_start();
  CALL(set(fd, F_WRLCK, 0, 10, F_SETLKW));
  frame::ticks_stop();
  done.open();
  frame::join(pid);
}

CASE(record_locks_find_deadlocks) {
  int fd = frame::made("x");
  frame::Gate has;
  CALL(set(fd, F_WRLCK, 0, 1));
  pid_t pid = frame::child([&] {
    set(fd, F_WRLCK, 1, 1);
    has.open();
    // Whoever comes second is refused; then the other one gets on.
    long done = set(fd, F_WRLCK, 0, 1, F_SETLKW);
    _exit(done == 0 ? 0 : errno == EDEADLK ? 1 : 2);
  });
  has.wait();
  long mine = set(fd, F_WRLCK, 1, 1, F_SETLKW);
  bool refused = mine != 0 && errno == EDEADLK;
  set(fd, F_UNLCK, 0, 0);
  int status;
  waitpid(pid, &status, 0);
  YES(refused != (status == 0x100));
}

CASE(description_locks_conflict_in_one_process) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(set(a, F_WRLCK, 0, 10, F_OFD_SETLK));
  CALL(set(b, F_WRLCK, 5, 1, F_OFD_SETLK));
  CALL(set(b, F_RDLCK, 5, 1, F_OFD_SETLK));
  CALL(set(b, F_WRLCK, 10, 1, F_OFD_SETLK));
  CALL(set(a, F_UNLCK, 0, 0, F_OFD_SETLK));
  CALL(set(b, F_WRLCK, 5, 1, F_OFD_SETLK));
}

CASE(description_locks_and_record_locks_conflict) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(set(a, F_WRLCK, 0, 10, F_OFD_SETLK));
  CALL(set(b, F_WRLCK, 0, 10));
  show_locks(0, 10);
  CALL(set(a, F_WRLCK, 0, 10));
}

CASE(description_locks_are_inherited) {
  int a = frame::made("x");
  CALL(set(a, F_WRLCK, 0, 10, F_OFD_SETLK));
  frame::in_child([&] {
    CALL(set(a, F_WRLCK, 0, 10, F_OFD_SETLK));
    CALL(close(a));
  });
  show_locks(0, 10);
}

CASE(description_locks_end_with_the_last_close) {
  int a = frame::made("x"), b = dup(a);
  CALL(set(a, F_WRLCK, 0, 10, F_OFD_SETLK));
  CALL(close(open("x", O_RDWR)));
  CALL(close(a));
  show_locks(0, 10);
  CALL(close(b));
  show_locks(0, 10);
}

CASE(description_locks_refused) {
  int fd = frame::made("x");
  struct flock lock = region(F_WRLCK, 0, 1);
  lock.l_pid = 1;
  CALL(fcntl(fd, F_OFD_SETLK, &lock));
  CALL(fcntl(fd, F_OFD_GETLK, &lock));
}

CASE(flock_and_record_locks_are_apart) {
  int a = frame::made("x"), b = open("x", O_RDWR);
  CALL(flock(a, LOCK_EX));
  CALL(set(b, F_WRLCK, 0, 0));
  show_locks(0, 0);
}

CASE(leases) {
  int fd = frame::made("x", O_RDONLY);
  CALL(fcntl(fd, F_GETLEASE));
  CALL(fcntl(fd, F_SETLEASE, 77));
}
