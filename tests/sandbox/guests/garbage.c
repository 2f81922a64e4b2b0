// Makes calls that no program makes: random numbers and arguments, and every request of ioctl,
// setsockopt, getsockopt, prctl and fcntl to every kind of file. The kernel may refuse, the caller may
// end; the kernel may not.
//
//   garbage calls SEED SECONDS [FILE]    random system calls, once there is such a file
//   garbage requests SECONDS             requests, options and their like
#include "guest.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

enum { kMemory = 1 << 16, kMostFiles = 64 };
static char* memory;
static int file_count;

// Descriptors of every kind, from 3 on.
static void open_everything(void) {
  static const char* paths[] = {"/",          "/dev/null", "/dev/zero",        "/dev/full",         "/dev/random",
                                "/dev/ptmx",  "/dev/tty",  "/proc/self/status", "/proc/self/mem",   "/proc/self/maps",
                                "/proc",      "/proc/self/fd", "/sys",          "/tmp/garbage/file", "/tmp/garbage",
                                "/proc/self/ns/pid", "/proc/self/environ", "/proc/sys/kernel/hostname", "/proc/self/oom_score_adj"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    if (open(paths[i], O_RDWR | O_NONBLOCK) < 0) (void)!open(paths[i], O_RDONLY | O_NONBLOCK);
    (void)!open(paths[i], O_PATH);
  }
  static const int families[][2] = {{AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM},   {AF_UNIX, SOCK_SEQPACKET},
                                    {AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM},   {AF_INET6, SOCK_STREAM},
                                    {AF_INET6, SOCK_DGRAM}, {AF_NETLINK, SOCK_RAW},  {AF_PACKET, SOCK_RAW}};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    (void)!socket(families[i][0], families[i][1] | SOCK_NONBLOCK, 0);
  int pair[2];
  (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
  (void)!pipe2(pair, O_NONBLOCK);
  sigset_t some;
  sigemptyset(&some);
  eventfd(1, EFD_NONBLOCK);
  epoll_create1(0);
  timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  inotify_init1(IN_NONBLOCK);
  signalfd(-1, &some, SFD_NONBLOCK);
  memfd_create("garbage", MFD_ALLOW_SEALING);
  file_count = open("/dev/null", O_RDONLY) - 3;
}

static uint64_t argument(void) {
  switch (chance() % 12) {
    case 0: return 0;
    case 1: return (uint64_t)(uintptr_t)memory + chance() % kMemory;
    case 2: return (uint64_t)(uintptr_t)memory + (chance() % kMemory & ~15ULL);
    case 3: return 3 + chance() % (uint64_t)(file_count + 2);
    case 4: return chance() % 64;
    case 5: return 1ULL << chance() % 64;
    case 6: return (1ULL << chance() % 64) - 1;
    case 7: return ~(chance() % 4096);
    case 8: return (uint64_t)AT_FDCWD;
    case 9: return 0x7ff000000000ULL + chance() % 0x150000000ULL;
    case 10: return chance() % 65536;
    default: return chance();
  }
}

// Half of what memory holds means something: names, small numbers, descriptors, addresses.
static void fill_memory(void) {
  for (size_t at = 0; at < kMemory; at += 8) {
    uint64_t value = argument();
    memcpy(memory + at, &value, 8);
  }
  static const char* names[] = {"/tmp/garbage/file", "/proc/self/exe", "..", "/tmp/garbage/x", "garbage", "/"};
  for (int i = 0; i < 40; i++) strcpy(memory + (chance() % (kMemory - 64) & ~15ULL), names[chance() % 6]);
}

// What ends this process or the container is no attack; what waits has its time.
static int is_harmless(long number) {
  switch (number) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_reboot:
    case SYS_vfork: return 1;
    default: return 0;
  }
}

static void make_calls(uint64_t seed) {
  chance_state = seed | 1;
  memory = mmap(NULL, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  setsid();
  (void)!chdir("/tmp/garbage");
  open_everything();
  fill_memory();
  for (int i = 0; i < 3000; i++) {
    long number = (long)(chance() % 470);
    if (is_harmless(number)) continue;
    if (i % 64 == 0) alarm(1);
    if (i % 256 == 0) fill_memory();
    long pid = syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
    // A child goes on as its parent did, but not for long.
    if (pid == 0 && (number == SYS_fork || number == SYS_clone || number == SYS_clone3)) i += 2000;
  }
  _exit(0);
}

static int random_calls(uint64_t seed, double seconds) {
  double end = now() + seconds;
  long rounds = 0;
  for (; now() < end; rounds++) {
    pid_t pid = fork();
    if (pid == 0) make_calls(seed * 1000003 + (uint64_t)rounds);
    if (pid < 0) {
      usleep(1000);  // limits of this process may be what was changed
      continue;
    }
    reap_within(pid, 1500);
  }
  printf("made calls in %s processes\n", rounds > 2 ? "many" : "few");
  return 0;
}

static void make_requests(int fd, uint64_t seed) {
  chance_state = seed | 1;
  memory = mmap(NULL, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  file_count = 40;
  fill_memory();
  alarm(3);
  static const unsigned groups[] = {0x5400, 0x8900, 0x8b00, 0x6600, 0x1200, 0x0000};
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
    for (unsigned request = 0; request < 256; request++) ioctl(fd, groups[group] + request, argument());
  }
  for (int i = 0; i < 300; i++) ioctl(fd, (unsigned)chance(), argument());
  for (int level = 0; level < 300; level += level < 8 ? 1 : 17) {
    for (int option = 0; option < 90; option++) {
      socklen_t size = (socklen_t)(chance() % 300);
      setsockopt(fd, level, option, memory + chance() % 4096, size);
      getsockopt(fd, level, option, memory + chance() % 4096, &size);
    }
  }
  for (int command = 0; command < 40; command++) fcntl(fd, command, argument());
  for (int command = 1024; command < 1044; command++) fcntl(fd, command, argument());
  _exit(0);
}

static void make_process_requests(void) {
  memory = mmap(NULL, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  alarm(3);
  for (int option = 0; option < 80; option++)
    for (int i = 0; i < 8; i++) prctl(option, argument(), argument(), argument(), argument());
  for (int i = 0; i < 40; i++) prctl((int)chance(), argument(), argument(), argument(), argument());
  for (int code = 0x1000; code < 0x4010; code += code == 0x1010 ? 0x1ff0 : 1) syscall(SYS_arch_prctl, code, argument());
  _exit(0);
}

static int requests(double seconds) {
  open_everything();
  double end = now() + seconds;
  int round = 0;
  do {
    for (int fd = 3; fd < 3 + file_count && now() < end; fd++) {
      pid_t pid = fork();
      if (pid == 0) make_requests(fd, (uint64_t)(round * 100 + fd));
      reap_within(pid, 4000);
    }
    pid_t pid = fork();
    if (pid == 0) make_process_requests();
    reap_within(pid, 4000);
    round++;
  } while (now() < end);
  printf("asked %d files\n", file_count);
  return 0;
}

// Tells by "PATH.ready" that this process is there.
static void wait_for(const char* path) {
  char ready[4096];
  snprintf(ready, sizeof ready, "%s.ready", path);
  close(open(ready, O_WRONLY | O_CREAT, 0666));
  while (access(path, F_OK) != 0) usleep(1000);
}

int main(int count, char** values) {
  mkdir("/tmp/garbage", 0777);
  int fd = open("/tmp/garbage/file", O_RDWR | O_CREAT, 0666);
  (void)!write(fd, "text\n", 5);
  close(fd);
  if (count >= 4 && strcmp(values[1], "calls") == 0) {
    if (count == 5) wait_for(values[4]);
    return random_calls(strtoull(values[2], NULL, 0), atof(values[3])) | still_works();
  }
  if (count == 3 && strcmp(values[1], "requests") == 0) return requests(atof(values[2])) | still_works();
  return 2;
}
