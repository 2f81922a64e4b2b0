// Pipes and FIFOs: ends, atomicity, capacity, splice, tee and vmsplice.
#include <poll.h>
#include <sys/uio.h>

#include <string>
#include <vector>

#include "frame.h"

namespace {

int ends[2];

void make(int flags = 0) {
  if (pipe2(ends, flags) != 0) line("pipe2: %s", frame::error_name(errno));
}

int buffered(int fd = ends[0]) {
  int count = -1;
  ioctl(fd, FIONREAD, &count);
  return count;
}

std::string drain(int fd = ends[0]) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  char data[4096];
  ssize_t size;
  while ((size = read(fd, data, sizeof(data))) > 0) all.append(data, static_cast<size_t>(size));
  return all;
}

void show_poll(int fd) {
  pollfd one = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  int ready = poll(&one, 1, 0);
  line("ready %d:%s%s%s%s%s", ready, one.revents & POLLIN ? " in" : "",
       one.revents & POLLOUT ? " out" : "", one.revents & POLLHUP ? " hup" : "",
       one.revents & POLLERR ? " err" : "", one.revents & POLLNVAL ? " nval" : "");
}

}  // namespace

CASE(pipe_carries_bytes) {
  CALL(pipe(ends));
  line("%d %d", ends[0], ends[1]);
  CALL(write(ends[1], "content", 7));
  SHOW(buffered());
  char data[16] = {};
  CALL(read(ends[0], data, 3));
  CALL(read(ends[0], data + 3, 16));
  frame::text("data", data);
}

CASE(pipe_refused) {
  CALL(pipe2(ends, 0x100));
  CALL(syscall(SYS_pipe, 1));
  CALL(syscall(SYS_pipe2, nullptr, 0));
  CALL(fcntl(3, F_GETFD));
}

CASE(pipe_flags) {
  make(O_CLOEXEC | O_NONBLOCK);
  char byte;
  CALL(fcntl(ends[0], F_GETFD));
  CALL(fcntl(ends[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
  CALL(read(ends[0], &byte, 1));
  make();
  CALL(fcntl(ends[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
}

CASE(wrong_ends) {
  make();
  char byte;
  CALL(write(ends[0], "x", 1));
  CALL(read(ends[1], &byte, 1));
}

CASE(end_of_input) {
  make();
  CALL(write(ends[1], "rest", 4));
  CALL(close(ends[1]));
  char data[16];
  CALL(read(ends[0], data, sizeof(data)));
  CALL(read(ends[0], data, sizeof(data)));
  CALL(read(ends[0], data, sizeof(data)));
}

CASE(nobody_reads) {
  make();
  signal(SIGPIPE, SIG_IGN);
  CALL(close(ends[0]));
  CALL(write(ends[1], "x", 1));
  CALL(write(ends[1], "x", 0));
  frame::in_child([] {
    signal(SIGPIPE, SIG_DFL);
    write(ends[1], "x", 1);
  });
}

CASE(reader_that_leaves_wakes_the_writer) {
  make();
  pid_t pid = frame::child([] {
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    std::vector<char> much(100000, 'x');
    CALL(write(ends[1], much.data(), much.size()));
    CALL(write(ends[1], much.data(), much.size()));
  });
  frame::settle();
  while (buffered() < 65536) usleep(1000);
  close(ends[0]);
  frame::join(pid);
}

CASE(writer_that_leaves_wakes_the_reader) {
  make();
  pid_t pid = frame::child([] {
    close(ends[1]);
    char byte;
    CALL(read(ends[0], &byte, 1));
  });
  close(ends[1]);
  frame::join(pid);
}

CASE(capacity_is_64_kilobytes) {
  make(O_NONBLOCK);
  std::vector<char> much(100000, 'x');
  CALL(fcntl(ends[1], F_GETPIPE_SZ));
  CALL(write(ends[1], much.data(), much.size()));
  CALL(write(ends[1], "x", 1));
  SHOW(buffered());
  char page[4096];
  CALL(read(ends[0], page, 4096));
  CALL(write(ends[1], much.data(), much.size()));
}

CASE(capacity_is_changed) {
  make(O_NONBLOCK);
  CALL(fcntl(ends[1], F_SETPIPE_SZ, 4096));
  CALL(fcntl(ends[0], F_GETPIPE_SZ));
  std::vector<char> much(100000, 'x');
  CALL(write(ends[1], much.data(), much.size()));
  CALL(fcntl(ends[1], F_SETPIPE_SZ, 5000));
  CALL(fcntl(ends[1], F_SETPIPE_SZ, 200000));
  CALL(write(ends[1], much.data(), much.size()));
  CALL(fcntl(ends[1], F_SETPIPE_SZ, 4096));
  CALL(fcntl(ends[1], F_SETPIPE_SZ, 0));
  CALL(fcntl(0, F_GETPIPE_SZ));
}

CASE(small_writes_are_atomic) {
  make(O_NONBLOCK);
  std::vector<char> much(65536 - 100, 'x');
  CALL(write(ends[1], much.data(), much.size()));
  CALL(write(ends[1], much.data(), 4096));
  CALL(write(ends[1], much.data(), 50));
  CALL(write(ends[1], much.data(), 51));
}

CASE(big_writes_are_cut) {
  make(O_NONBLOCK);
  std::vector<char> much(65536 - 4096, 'x');
  CALL(write(ends[1], much.data(), much.size()));
  CALL(write(ends[1], much.data(), 5000));
  SHOW(buffered());
}

CASE(writers_do_not_mix_small_writes) {
  make();
  pid_t pids[3];
  for (int index = 0; index < 3; index++) {
    pids[index] = frame::child([=] {
      std::vector<char> line(1000, static_cast<char>('a' + index));
      for (int count = 0; count < 50; count++) write(ends[1], line.data(), line.size());
    });
  }
  close(ends[1]);
  std::string all;
  char data[5000];
  ssize_t size;
  while ((size = read(ends[0], data, sizeof(data))) > 0)
    all.append(data, static_cast<size_t>(size));
  bool mixed = false;
  for (size_t at = 0; at < all.size(); at += 1000)
    mixed = mixed || all.substr(at, 1000) != std::string(1000, all[at]);
  SHOW(all.size());
  YES(!mixed);
  for (pid_t pid : pids) frame::join(pid);
}

CASE(much_goes_through) {
  make();
  pid_t pid = frame::child([] {
    close(ends[0]);
    std::vector<char> block(1 << 20);
    for (size_t at = 0; at < block.size(); at++) block[at] = static_cast<char>(at * 7);
    for (int count = 0; count < 8; count++) write(ends[1], block.data(), block.size());
  });
  close(ends[1]);
  unsigned long sum = 0, total = 0;
  unsigned char data[10000];
  ssize_t size;
  while ((size = read(ends[0], data, sizeof(data))) > 0) {
    for (ssize_t at = 0; at < size; at++) sum = sum * 31 + data[at];
    total += static_cast<unsigned long>(size);
  }
  line("%lu %lx", total, sum);
  frame::join(pid);
}

CASE(packets) {
  make(O_DIRECT | O_NONBLOCK);
  CALL(write(ends[1], "one", 3));
  CALL(write(ends[1], "second", 6));
  char data[16] = {};
  CALL(read(ends[0], data, 2));
  CALL(read(ends[0], data, 16));
  CALL(read(ends[0], data, 16));
}

CASE(readiness_of_pipes) {
  make(O_NONBLOCK);
  show_poll(ends[0]);
  show_poll(ends[1]);
  CALL(write(ends[1], "x", 1));
  show_poll(ends[0]);
  std::vector<char> much(65535, 'x');
  CALL(write(ends[1], much.data(), much.size()));
  show_poll(ends[1]);
  CALL(close(ends[1]));
  show_poll(ends[0]);
  drain();
  show_poll(ends[0]);
  make();
  CALL(close(ends[0]));
  show_poll(ends[1]);
  show_poll(99);
}

CASE(metadata_of_pipes) {
  make();
  struct stat a, b;
  CALL(fstat(ends[0], &a));
  CALL(fstat(ends[1], &b));
  YES(a.st_ino == b.st_ino);
  line("%s %o size %ld", frame::type_name(a.st_mode), a.st_mode & 0777, a.st_size);
  CALL(fchmod(ends[0], 0640));
  CALL(fstat(ends[1], &b));
  line("%o", b.st_mode & 0777);
}

CASE(vectors_through_a_pipe) {
  make();
  char one[] = "one", two[] = "second";
  iovec out[] = {{one, 3}, {two, 6}};
  CALL(writev(ends[1], out, 2));
  char a[5] = {}, b[10] = {};
  iovec in[] = {{a, 4}, {b, 9}};
  CALL(readv(ends[0], in, 2));
  frame::text("a", a);
  frame::text("b", b);
}

CASE(fifo_joins_two_processes) {
  CALL(mkfifo("fifo", 0644));
  pid_t pid = frame::child([] {
    int fd = open("fifo", O_WRONLY);
    write(fd, "through the fifo", 16);
  });
  int fd = open("fifo", O_RDONLY);
  char data[32] = {};
  CALL(read(fd, data, sizeof(data)));
  frame::text("data", data);
  CALL(read(fd, data, sizeof(data)));
  frame::join(pid);
}

CASE(fifo_is_opened_without_blocking) {
  CALL(mkfifo("fifo", 0644));
  CALL(open("fifo", O_WRONLY | O_NONBLOCK));
  CALL(open("fifo", O_RDONLY | O_NONBLOCK));
  char byte;
  CALL(read(3, &byte, 1));
  CALL(open("fifo", O_WRONLY | O_NONBLOCK));
  CALL(read(3, &byte, 1));
  CALL(write(4, "x", 1));
  CALL(read(3, &byte, 1));
  CALL(close(4));
  CALL(read(3, &byte, 1));
}

CASE(fifo_for_both) {
  CALL(mkfifo("fifo", 0644));
  int fd = open("fifo", O_RDWR);
  CALL(write(fd, "own", 3));
  char data[8] = {};
  CALL(read(fd, data, 8));
  frame::text("data", data);
}

CASE(fifo_keeps_its_bytes_while_open) {
  CALL(mkfifo("fifo", 0644));
  int both = open("fifo", O_RDWR | O_NONBLOCK);
  CALL(write(both, "kept", 4));
  int reader = open("fifo", O_RDONLY | O_NONBLOCK);
  CALL(close(both));
  char data[8] = {};
  CALL(read(reader, data, 8));
  CALL(close(reader));
  reader = open("fifo", O_RDONLY | O_NONBLOCK);
  CALL(read(reader, data, 8));
}

CASE(fifo_readiness) {
  CALL(mkfifo("fifo", 0644));
  int reader = open("fifo", O_RDONLY | O_NONBLOCK);
  show_poll(reader);
  int writer = open("fifo", O_WRONLY);
  show_poll(reader);
  show_poll(writer);
  CALL(close(writer));
  show_poll(reader);
  writer = open("fifo", O_WRONLY);
  show_poll(reader);
}

CASE(fifo_without_permission) {
  CALL(mkfifo("fifo", 0600));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(open("fifo", O_RDONLY | O_NONBLOCK));
    CALL(open("fifo", O_RDWR));
  });
}

CASE(fifo_outlives_its_name) {
  CALL(mkfifo("fifo", 0644));
  int fd = open("fifo", O_RDWR);
  CALL(unlink("fifo"));
  CALL(write(fd, "x", 1));
  char byte;
  CALL(read(fd, &byte, 1));
}

CASE(splice_from_a_file) {
  frame::put("x", "0123456789");
  int file = open("x", O_RDWR);
  make();
  loff_t at = 2;
  CALL(splice(file, &at, ends[1], nullptr, 5, 0));
  SHOW(at);
  CALL(lseek(file, 0, SEEK_CUR));
  CALL(splice(file, nullptr, ends[1], nullptr, 3, 0));
  CALL(lseek(file, 0, SEEK_CUR));
  frame::text("data", drain().c_str());
}

CASE(splice_to_a_file) {
  int file = frame::made("x");
  make();
  CALL(write(ends[1], "through a pipe", 14));
  loff_t at = 3;
  CALL(splice(ends[0], nullptr, file, &at, 7, 0));
  SHOW(at);
  CALL(splice(ends[0], nullptr, file, nullptr, 100, 0));
  frame::cat("x");
}

CASE(splice_between_pipes) {
  int other[2];
  CALL(pipe(other));
  make();
  CALL(write(ends[1], "0123456789", 10));
  CALL(splice(ends[0], nullptr, other[1], nullptr, 4, 0));
  frame::text("first", drain().c_str());
  frame::text("second", drain(other[0]).c_str());
}

CASE(splice_refused) {
  frame::put("x", "0123456789");
  int file = open("x", O_RDWR);
  make();
  loff_t at = 0;
  CALL(splice(file, nullptr, file, nullptr, 4, 0));
  CALL(splice(ends[0], &at, file, nullptr, 4, 0));
  CALL(splice(file, nullptr, ends[0], nullptr, 4, 0));
  CALL(splice(ends[1], nullptr, file, nullptr, 4, 0));
  CALL(splice(ends[0], nullptr, ends[1], nullptr, 4, 0));
  CALL(splice(99, nullptr, ends[1], nullptr, 4, 0));
  CALL(splice(file, nullptr, ends[1], nullptr, 4, 0x100));
  CALL(splice(ends[0], nullptr, open("x", O_WRONLY | O_APPEND), nullptr, 4, SPLICE_F_NONBLOCK));
  CALL(splice(ends[0], nullptr, file, nullptr, 4, SPLICE_F_NONBLOCK));
  CALL(splice(file, nullptr, ends[1], nullptr, 0, 0));
}

CASE(splice_at_the_end) {
  frame::put("x", "0123");
  int file = open("x", O_RDONLY);
  make();
  CALL(splice(file, nullptr, ends[1], nullptr, 100, 0));
  CALL(splice(file, nullptr, ends[1], nullptr, 100, 0));
  drain();
  CALL(close(ends[1]));
  int out = frame::made("y");
  CALL(splice(ends[0], nullptr, out, nullptr, 100, 0));
}

CASE(tee_copies) {
  int other[2];
  CALL(pipe(other));
  make();
  CALL(write(ends[1], "0123456789", 10));
  CALL(tee(ends[0], other[1], 4, 0));
  CALL(tee(ends[0], other[1], 100, 0));
  frame::text("first", drain().c_str());
  frame::text("second", drain(other[0]).c_str());
}

CASE(tee_refused) {
  int other[2];
  CALL(pipe(other));
  make();
  CALL(tee(ends[0], other[1], 4, SPLICE_F_NONBLOCK));
  CALL(tee(ends[0], ends[1], 4, 0));
  CALL(tee(frame::made("x"), ends[1], 4, 0));
  CALL(tee(ends[0], other[1], 4, 0x100));
  CALL(close(ends[1]));
  CALL(tee(ends[0], other[1], 4, 0));
}

CASE(vmsplice_gives_memory) {
  make();
  char one[] = "memory ", two[] = "of ours";
  iovec vector[] = {{one, 7}, {two, 7}};
  CALL(vmsplice(ends[1], vector, 2, 0));
  frame::text("data", drain().c_str());
}

CASE(vmsplice_takes_memory) {
  make();
  CALL(write(ends[1], "from the pipe", 13));
  char data[20] = {};
  iovec vector[] = {{data, 19}};
  CALL(vmsplice(ends[0], vector, 1, 0));
  frame::text("data", data);
  CALL(vmsplice(frame::made("x"), vector, 1, 0));
  CALL(vmsplice(ends[1], vector, 1, 0x100));
  CALL(vmsplice(ends[1], vector, 2000, 0));
}

CASE(sendfile_to_a_pipe) {
  frame::put("x", "0123456789");
  make();
  CALL(syscall(SYS_sendfile, ends[1], open("x", O_RDONLY), nullptr, 6));
  frame::text("data", drain().c_str());
}
