// What the attacking programs share: seeded chance, children that do not live for long, and the
// last word, by which a test knows that the kernel still works for those who did nothing wrong.
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t chance_state = 1;

// xorshift64*
static inline uint64_t chance(void) {
  chance_state ^= chance_state >> 12;
  chance_state ^= chance_state << 25;
  chance_state ^= chance_state >> 27;
  return chance_state * 2685821657736338717ULL;
}

static inline double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Ends the child when the time is up, and whatever it made.
static inline int reap_within(pid_t pid, int milliseconds) {
  int status = 0;
  double end = now() + milliseconds / 1000.0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (now() > end) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      break;
    }
    usleep(200);
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  return status;
}

// A process, a file, a mapping and a pipe: "still works", or what does not.
static inline int still_works(void) {
  char text[8] = "";
  int ends[2], status = -1;
  int fd = open("/tmp/still-works", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, "works", 5) != 5 || pread(fd, text, 5, 0) != 5 ||
      strcmp(text, "works") != 0)
    return printf("no file: %s\n", strerrorname_np(errno)), 1;
  close(fd);
  unlink("/tmp/still-works");
  if (pipe(ends) != 0 || write(ends[1], "x", 1) != 1 || read(ends[0], text, 1) != 1)
    return printf("no pipe: %s\n", strerrorname_np(errno)), 1;
  close(ends[0]);
  close(ends[1]);
  char* memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return printf("no memory: %s\n", strerrorname_np(errno)), 1;
  memory[1 << 19] = 1;
  munmap(memory, 1 << 20);
  // Those whom an attack killed may take a moment to be gone.
  double end = now() + 10;
  pid_t pid = fork();
  while (pid < 0 && errno == EAGAIN && now() < end) {
    usleep(1000);
    pid = fork();
  }
  if (pid == 0) _exit(7);
  if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
    return printf("no process: %s\n", strerrorname_np(errno)), 1;
  printf("still works\n");
  return 0;
}
