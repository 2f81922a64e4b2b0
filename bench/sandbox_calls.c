// What single operations cost inside of a container: run by bench/sandbox in several walls in turn.
// Prints one line per operation: name, median of the batches in nanoseconds per operation.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kBatches = 15 };

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}
#define CHECK(x) \
  do {           \
    if ((x) < 0) die(#x); \
  } while (0)

static char file_[3][256];  // one in the root, one in a bind mount, one in a tmpfs
static int fd_[3], null_, zero_, pipe_[2], epoll_;
static char block_[65536];
static char* self_;

static void op_getpid(void) { getpid(); }
static void op_getpid_syscall(void) { syscall(SYS_getpid); }
static void op_getppid(void) { getppid(); }
static void op_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
}
static void op_write_null(void) { CHECK(write(null_, "x", 1)); }
static void op_read_zero(void) {
  char c;
  CHECK(read(zero_, &c, 1));
}
static void op_pipe(void) {
  char c = 0;
  CHECK(write(pipe_[1], &c, 1));
  CHECK(read(pipe_[0], &c, 1));
}
static void op_epoll(void) {
  struct epoll_event event;
  CHECK(epoll_wait(epoll_, &event, 1, 0));
}
static void open_close(int i) {
  int fd = open(file_[i], O_RDONLY);
  CHECK(fd);
  close(fd);
}
static void op_open_root(void) { open_close(0); }
static void op_open_bind(void) { open_close(1); }
static void op_open_tmpfs(void) { open_close(2); }
static void stat_one(int i) {
  struct stat info;
  CHECK(stat(file_[i], &info));
}
static void op_stat_root(void) { stat_one(0); }
static void op_stat_bind(void) { stat_one(1); }
static void op_stat_tmpfs(void) { stat_one(2); }
static void op_fstat(void) {
  struct stat info;
  CHECK(fstat(fd_[1], &info));
}
static void pread_one(int i) {
  char c;
  CHECK(pread(fd_[i], &c, 1, 0));
}
static void op_pread_bind(void) { pread_one(1); }
static void op_pread_tmpfs(void) { pread_one(2); }
static void creat_unlink(int i) {
  char path[300];
  snprintf(path, sizeof path, "%s.new", file_[i]);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  CHECK(fd);
  close(fd);
  CHECK(unlink(path));
}
static void op_creat_bind(void) { creat_unlink(1); }
static void op_creat_tmpfs(void) { creat_unlink(2); }
static void block_read(int i) { CHECK(pread(fd_[i], block_, sizeof block_, 0)); }
static void block_write(int i) { CHECK(pwrite(fd_[i], block_, sizeof block_, 0)); }
static void op_read64k_root(void) { block_read(0); }
static void op_read64k_bind(void) { block_read(1); }
static void op_read64k_tmpfs(void) { block_read(2); }
static void op_write64k_root(void) { block_write(0); }
static void op_write64k_bind(void) { block_write(1); }
static void op_write64k_tmpfs(void) { block_write(2); }
static void op_mmap(void) {
  void* p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  munmap(p, 4096);
}
static void op_mmap_touch(void) {
  char* p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  *p = 1;
  munmap(p, 4096);
}
enum { kFaultPages = 1024 };
// Per page, of 4 MiB.
static void op_fault(void) {
  char* p = mmap(0, kFaultPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  madvise(p, kFaultPages * 4096, MADV_NOHUGEPAGE);
  for (int i = 0; i < kFaultPages; ++i) p[i * 4096] = 1;
  munmap(p, kFaultPages * 4096);
}
static void op_fork(void) {
  pid_t pid = fork();
  CHECK(pid);
  if (pid == 0) _exit(0);
  CHECK(waitpid(pid, 0, 0));
}
static void op_vfork_exec(void) {
  pid_t pid = vfork();
  CHECK(pid);
  if (pid == 0) {
    execl(self_, self_, "--exit", (char*)0);
    _exit(127);
  }
  CHECK(waitpid(pid, 0, 0));
}
static void* nothing(void* p) { return p; }
static void op_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, 0, nothing, 0) != 0) die("pthread_create");
  pthread_join(thread, 0);
}
static int ping_[2], pong_[2];
static void op_ping_pong(void) {
  char c = 0;
  CHECK(write(ping_[1], &c, 1));
  CHECK(read(pong_[0], &c, 1));
}
static void start_ponger(void) {
  CHECK(pipe(ping_));
  CHECK(pipe(pong_));
  pid_t pid = fork();
  CHECK(pid);
  if (pid != 0) return;
  close(ping_[1]);
  for (char c; read(ping_[0], &c, 1) == 1;) CHECK(write(pong_[1], &c, 1));
  _exit(0);
}
static void handler(int signal) { (void)signal; }
static void op_signal(void) { CHECK(kill(getpid(), SIGUSR1)); }

struct operation {
  const char* name;
  void (*run)(void);
  int batch, per;
};
static const struct operation kOperations[] = {
    {"getpid", op_getpid, 2000, 1},
    {"getpid-syscall", op_getpid_syscall, 500, 1},
    {"getppid", op_getppid, 2000, 1},
    {"clock_gettime", op_clock, 2000, 1},
    {"write-null", op_write_null, 300, 1},
    {"read-zero", op_read_zero, 300, 1},
    {"pipe-self", op_pipe, 200, 1},
    {"epoll_wait", op_epoll, 300, 1},
    {"open-root", op_open_root, 200, 1},
    {"open-bind", op_open_bind, 200, 1},
    {"open-tmpfs", op_open_tmpfs, 200, 1},
    {"stat-root", op_stat_root, 200, 1},
    {"stat-bind", op_stat_bind, 200, 1},
    {"stat-tmpfs", op_stat_tmpfs, 200, 1},
    {"fstat", op_fstat, 300, 1},
    {"pread-bind", op_pread_bind, 300, 1},
    {"pread-tmpfs", op_pread_tmpfs, 300, 1},
    {"creat-unlink-bind", op_creat_bind, 30, 1},
    {"creat-unlink-tmpfs", op_creat_tmpfs, 60, 1},
    {"read-64k-root", op_read64k_root, 40, 1},
    {"read-64k-bind", op_read64k_bind, 40, 1},
    {"read-64k-tmpfs", op_read64k_tmpfs, 40, 1},
    {"write-64k-root", op_write64k_root, 40, 1},
    {"write-64k-bind", op_write64k_bind, 40, 1},
    {"write-64k-tmpfs", op_write64k_tmpfs, 40, 1},
    {"mmap-munmap", op_mmap, 60, 1},
    {"mmap-touch-munmap", op_mmap_touch, 60, 1},
    {"page-fault", op_fault, 1, kFaultPages},
    {"fork-exit-wait", op_fork, 5, 1},
    {"vfork-exec-wait", op_vfork_exec, 3, 1},
    {"thread-create-join", op_thread, 10, 1},
    {"pipe-ping-pong", op_ping_pong, 60, 1},
    {"signal-self", op_signal, 100, 1},
};

static int compare(const void* a, const void* b) {
  int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return x < y ? -1 : x > y;
}

static void measure(const struct operation* operation) {
  int64_t batches[kBatches];
  operation->run();
  for (int b = 0; b < kBatches; ++b) {
    int64_t begin = now_ns();
    for (int i = 0; i < operation->batch; ++i) operation->run();
    batches[b] = (now_ns() - begin) / operation->batch / operation->per;
  }
  qsort(batches, kBatches, sizeof batches[0], compare);
  printf("%s,%lld\n", operation->name, (long long)batches[kBatches / 2]);
  fflush(stdout);
}

static void make_file(int i, const char* directory) {
  snprintf(file_[i], sizeof file_[i], "%s/bench-file", directory);
  fd_[i] = open(file_[i], O_RDWR | O_CREAT, 0600);
  CHECK(fd_[i]);
  CHECK(pwrite(fd_[i], block_, sizeof block_, 0));
}

// bench ROOT BIND TMPFS [OPERATION...]: three directories, one of each kind.
int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--exit") == 0) return 0;
  if (argc < 4) return 2;
  self_ = "/proc/self/exe";
  memset(block_, 'x', sizeof block_);
  for (int i = 0; i < 3; ++i) make_file(i, argv[1 + i]);
  null_ = open("/dev/null", O_WRONLY);
  zero_ = open("/dev/zero", O_RDONLY);
  CHECK(pipe(pipe_));
  epoll_ = epoll_create1(0);
  signal(SIGUSR1, handler);
  start_ponger();
  for (unsigned i = 0; i < sizeof kOperations / sizeof kOperations[0]; ++i) {
    int wanted = argc == 4;
    for (int a = 4; a < argc; ++a) wanted |= strcmp(argv[a], kOperations[i].name) == 0;
    if (wanted) measure(&kOperations[i]);
  }
  return 0;
}
