// Writes over all memory that guest code shares with the sandbox's kernel, while other threads of the
// same process make calls. That process may end at any moment; the one beside it may not notice.
//
//   scribble AREAS SIZE SECONDS    address and size of the shared areas
#include "guest.h"

#include <pthread.h>

static uint64_t areas, area_bytes;
static volatile int stop;

static void* make_calls(void* unused) {
  (void)unused;
  int ends[2];
  if (pipe(ends) != 0) return NULL;
  while (!stop) {
    char byte = 'x';
    if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) break;
    getppid();
    void* memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) munmap(memory, 65536);
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd >= 0) close(fd);
  }
  return NULL;
}

// By the kernel's hand as well as by the own: read(2) into what is shared.
// Who writes all the time ends at once; who writes seldom comes further.
static void scribble(double seconds, int writes) {
  int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  double end = now() + seconds;
  while (now() < end) {
    for (int i = 0; i < writes; i++) {
      uint64_t value = chance();
      uint64_t at = areas + chance() % area_bytes;
      // Heads and frames lie at the end of each area: mostly there.
      if (value & 3) at |= 0xf000;
      *(volatile uint64_t*)(at & ~7ULL) = value & 4 ? value : value >> 40;
    }
    usleep(50);
    if (random >= 0 && writes > 8) (void)!read(random, (void*)(areas + chance() % area_bytes), 64);
  }
}

static void attack(uint64_t seed, double seconds) {
  pthread_t threads[3];
  chance_state = seed;
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, make_calls, NULL);
  scribble(seconds, 1 << seed % 11);
  stop = 1;
  _exit(0);
}

int main(int count, char** values) {
  if (count != 4) return 2;
  areas = strtoull(values[1], NULL, 0);
  area_bytes = strtoull(values[2], NULL, 0);
  double end = now() + atof(values[3]);
  int attacks = 0, ended_early = 0;
  while (now() < end) {
    pid_t pid = fork();
    if (pid == 0) attack((uint64_t)attacks * 7919 + 1, 0.05);
    if (pid < 0) return printf("no process: %s\n", strerrorname_np(errno)), 1;
    int status = reap_within(pid, 2000);
    attacks++;
    ended_early += status != 0;
  }
  printf("attacked %d times, %d attackers ended by it\n", attacks, ended_early);
  return still_works();
}
