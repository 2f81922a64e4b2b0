// A program of the host, not of a guest: prints which system calls the host's kernel carries out for
// processes, their threads and all that they make. The trace point lies behind seccomp and ptrace: a
// call that a filter or a tracer took is not among them.
//
//   host_calls THREAD...    "ready"; at the end of its input a line "NUMBER ADDRESS ARGUMENT..." a call,
//                           then "lost N"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPages = 1024, kInstructionPointer = 8 /* PERF_REG_X86_IP */, kMostProcessors = 256 };

struct Sample {  // PERF_SAMPLE_TID, PERF_SAMPLE_RAW, PERF_SAMPLE_REGS_USER
  struct perf_event_header header;
  uint32_t pid, tid;
  uint32_t raw_size;
  char raw[];
};
struct Call {  // events/raw_syscalls/sys_enter/format
  uint64_t common;
  int64_t number;
  uint64_t arguments[6];
};

static unsigned char* rings[kMostProcessors];
static int leaders[kMostProcessors];
static uint64_t lost;

static uint64_t trace_point(void) {
  static const char* places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char path[128];
    unsigned long id;
    snprintf(path, sizeof path, "%s/events/raw_syscalls/sys_enter/id", places[i]);
    FILE* file = fopen(path, "re");
    if (file && fscanf(file, "%lu", &id) == 1) return id;
    if (file) fclose(file);
  }
  return 0;
}

static int watch(pid_t thread, int processor, uint64_t id) {
  struct perf_event_attr attributes = {
      .type = PERF_TYPE_TRACEPOINT,
      .size = sizeof attributes,
      .config = id,
      .sample_period = 1,
      .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER,
      .sample_regs_user = 1ULL << kInstructionPointer,
      .inherit = 1,
  };
  int fd = (int)syscall(SYS_perf_event_open, &attributes, thread, processor, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return -1;
  if (rings[processor]) return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, leaders[processor]);
  void* ring = mmap(NULL, (kPages + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ring == MAP_FAILED) return -1;
  rings[processor] = ring;
  leaders[processor] = fd;
  return 0;
}

static void print_record(const unsigned char* data, uint64_t at) {
  static unsigned char copy[65536];
  struct perf_event_header header;
  for (size_t i = 0; i < sizeof header; i++) copy[i] = data[(at + i) % (kPages * 4096)];
  memcpy(&header, copy, sizeof header);
  for (size_t i = 0; i < header.size; i++) copy[i] = data[(at + i) % (kPages * 4096)];
  if (header.type == PERF_RECORD_LOST) {
    uint64_t count;
    memcpy(&count, copy + sizeof header + 8, sizeof count);
    lost += count;
  }
  if (header.type != PERF_RECORD_SAMPLE) return;
  const struct Sample* sample = (const struct Sample*)copy;
  struct Call call;
  memcpy(&call, sample->raw, sizeof call);
  uint64_t registers[2];  // the kind of them, the instruction pointer
  memcpy(registers, sample->raw + sample->raw_size, sizeof registers);
  printf("%ld %#lx", (long)call.number, (unsigned long)registers[1]);
  for (int i = 0; i < 6; i++) printf(" %#lx", (unsigned long)call.arguments[i]);
  printf("\n");
}

static void print_ring(unsigned char* ring) {
  struct perf_event_mmap_page* page = (struct perf_event_mmap_page*)ring;
  const unsigned char* data = ring + 4096;
  uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  for (uint64_t at = page->data_tail; at < head;) {
    struct perf_event_header header;
    for (size_t i = 0; i < sizeof header; i++)
      ((unsigned char*)&header)[i] = data[(at + i) % (kPages * 4096)];
    print_record(data, at);
    at += header.size;
  }
  __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

int main(int count, char** values) {
  uint64_t id = trace_point();
  if (id == 0) return printf("no trace point\n"), 77;
  int processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 1; i < count; i++) {
    for (int processor = 0; processor < processors && processor < kMostProcessors; processor++) {
      // A thread that has ended meanwhile leaves none that it made unwatched.
      if (watch(atoi(values[i]), processor, id) != 0 && errno != ESRCH) return perror("watch"), 1;
    }
  }
  printf("ready\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  for (int processor = 0; processor < kMostProcessors; processor++)
    if (rings[processor]) print_ring(rings[processor]);
  printf("lost %lu\n", (unsigned long)lost);
  return 0;
}
