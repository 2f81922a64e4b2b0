// Takes one kind of thing until there is no more of it, and says what the kernel answered then. What
// ends here by no error of the kernel's ends at a number of our own: "none".
//
//   exhaust WHAT [LIMIT]
#include "guest.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static long limit = 20000;

static void many_descriptors(void) {
  struct rlimit most = {1 << 20, 1 << 20};
  if (setrlimit(RLIMIT_NOFILE, &most) != 0 && getrlimit(RLIMIT_NOFILE, &most) == 0) {
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
  }
}

static int files(void) { return open("/dev/null", O_RDONLY); }
static int event_counters(void) { return eventfd(0, 0); }
static int epolls(void) { return epoll_create1(0); }
static int timers(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static int watches(void) { return inotify_init1(0); }
static int sockets(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int memory_files(void) {
  int fd = memfd_create("m", 0);
  return fd < 0 || ftruncate(fd, 1 << 20) != 0 ? -1 : fd;
}

static int full_pipes(void) {
  static char bytes[65536];
  int ends[2];
  if (pipe2(ends, O_NONBLOCK) != 0) return -1;
  return write(ends[1], bytes, sizeof bytes) < 0 ? -1 : 0;
}

static int full_sockets(void) {
  static char bytes[4096];
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) return -1;
  while (write(pair[0], bytes, sizeof bytes) > 0) continue;
  return 0;
}

// Epolls that wait for each other, as deep as they may.
static int epoll_chain(void) {
  static int before = -1;
  int fd = epoll_create1(0);
  if (fd < 0) return -1;
  struct epoll_event event = {.events = EPOLLIN};
  int done = before < 0 ? 0 : epoll_ctl(fd, EPOLL_CTL_ADD, before, &event);
  before = fd;
  return done;
}

static int process_timers(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  return timer_create(CLOCK_MONOTONIC, &event, &timer);
}

static int queued_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  return sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1});
}

static int processes(void) {
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  return pid < 0 ? -1 : 0;
}

// Everybody forks, until nobody can.
static int bomb(void) {
  static pid_t first;
  if (first == 0) first = getpid();
  pid_t pid = fork();
  if (pid < 0 && getpid() != first) pause();
  return pid < 0 ? -1 : 0;
}

static void* sleep_forever(void* unused) {
  while (pause() != 0) continue;
  return unused;
}

static int threads(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  int error = pthread_create(&thread, &attributes, sleep_forever, NULL);
  errno = error;
  return error ? -1 : 0;
}

static int mappings(void) {
  static int kind;
  int protection = kind++ % 2 ? PROT_READ : PROT_NONE;
  return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int mounts(void) { return mount("tmpfs", "/tmp", "tmpfs", 0, NULL); }

static int deep_folders(void) {
  if (mkdir("deeper", 0755) != 0) return -1;
  return chdir("deeper");
}

static int names(void) {
  static long number;
  char name[300];
  memset(name, 'n', 200);
  snprintf(name + 200, sizeof name - 200, "%ld", number++);
  int fd = open(name, O_WRONLY | O_CREAT, 0600);
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}

// Each leads to the next, and the last to itself.
static int links_to_links(void) {
  static long number;
  char name[32], next[32];
  snprintf(name, sizeof name, "l%ld", number + 1);
  snprintf(next, sizeof next, "l%ld", number);
  if (symlink(next, name) != 0) return -1;
  if (number++ == 0) return symlink("l0", "l0");
  return access(name, F_OK) == 0 || errno == ELOOP ? 0 : -1;
}

static int locks(void) {
  static int fd = -1;
  static long at;
  if (fd < 0) fd = open("locked", O_RDWR | O_CREAT, 0600);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
  at += 2;
  return fcntl(fd, F_SETLK, &lock);
}

// Descriptors in messages in sockets in messages: a cycle that nobody can close, again and again.
static int rights_cycles(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) return -1;
  union {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control = {.head = {.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.head), pair, sizeof pair);
  struct iovec part = {"x", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int sent = (int)sendmsg(pair[0], &message, MSG_DONTWAIT);
  close(pair[0]);
  close(pair[1]);
  return sent < 0 ? -1 : 0;
}

static int memory(void) {
  char* bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return -1;
  memset(bytes, 1, 1 << 20);
  return 0;
}

static int files_in_memory(void) {
  static int fd = -1;
  static char bytes[1 << 20];
  if (fd < 0) fd = open("/tmp/big", O_WRONLY | O_CREAT, 0600);
  return write(fd, bytes, sizeof bytes) < 0 ? -1 : 0;
}

static const struct {
  const char* name;
  int (*take)(void);
} kinds[] = {
    {"files", files},
    {"event_counters", event_counters},
    {"epolls", epolls},
    {"epoll_chain", epoll_chain},
    {"timers", timers},
    {"watches", watches},
    {"sockets", sockets},
    {"memory_files", memory_files},
    {"full_pipes", full_pipes},
    {"full_sockets", full_sockets},
    {"process_timers", process_timers},
    {"queued_signals", queued_signals},
    {"processes", processes},
    {"bomb", bomb},
    {"threads", threads},
    {"mappings", mappings},
    {"mounts", mounts},
    {"deep_folders", deep_folders},
    {"names", names},
    {"links_to_links", links_to_links},
    {"locks", locks},
    {"rights_cycles", rights_cycles},
    {"memory", memory},
    {"files_in_memory", files_in_memory},
};

static void take_all(int (*take)(void)) {
  long taken = 0;
  many_descriptors();
  while (taken < limit && take() >= 0) taken++;
  // By the way that does without memory of one's own.
  printf("%s\n", taken < limit ? strerrorname_np(errno) : "none");
  fflush(stdout);
  kill(0, SIGKILL);
}

int main(int count, char** values) {
  if (count < 2) return 2;
  if (count > 2) limit = atol(values[2]);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, values[1]) != 0) continue;
    mkdir("/tmp/exhaust", 0755);
    pid_t pid = fork();
    if (pid == 0) {
      setsid();
      if (chdir("/tmp/exhaust") != 0) _exit(1);
      take_all(kinds[i].take);
    }
    reap_within(pid, 60000);
    return still_works();
  }
  return 2;
}
