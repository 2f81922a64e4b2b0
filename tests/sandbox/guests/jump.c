// Jumps to every byte of the code that the sandbox keeps in each guest process, with registers as
// an attacker would choose them. A process that does so may end; nobody else may notice.
//
//   jump BASE SIZE PLAN    the code's address and size; which set of registers
#include "guest.h"

enum { kPlans = 6 };

struct Registers {
  uint64_t rax, rdi, rsi, rdx, r10, r8, r9;
};

static char path[] = "/etc/shadow";
static char* arguments[] = {path, NULL};

static struct Registers registers_of(int plan) {
  uint64_t memory = (uint64_t)(uintptr_t)&chance_state & ~0xfffULL;
  switch (plan) {
    case 0: return (struct Registers){SYS_mmap, 0, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC,
                                      MAP_PRIVATE | MAP_ANONYMOUS, ~0ULL, 0};
    case 1: return (struct Registers){SYS_execve, (uint64_t)(uintptr_t)path, (uint64_t)(uintptr_t)arguments, 0, 0, 0, 0};
    case 2: return (struct Registers){SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)(uintptr_t)path, O_RDONLY, 0, memory, 0};
    case 3: return (struct Registers){SYS_clone, SIGCHLD, 0, 0, 0, memory, 0};
    case 4: return (struct Registers){SYS_kill, ~0ULL, SIGKILL, 0, 0, 0, 0};
    default: return (struct Registers){chance() % 460, chance(), chance() % 64, memory, chance(), memory, chance()};
  }
}

// The stack that is jumped with looks like a signal frame of the attacker's choice.
static void jump_to(uint64_t target, struct Registers r) {
  static _Alignas(16) uint64_t stack[4096];
  for (size_t i = 0; i < 4096; i++) stack[i] = (uint64_t)(uintptr_t)stack;
  register uint64_t r10 __asm__("r10") = r.r10;
  register uint64_t r8 __asm__("r8") = r.r8;
  register uint64_t r9 __asm__("r9") = r.r9;
  register uint64_t to __asm__("r11") = target;
  __asm__ volatile("lea 16384(%[stack]), %%rsp\n\tpush %[stack]\n\tjmp *%[to]" ::[stack] "b"(stack), [to] "r"(to),
                   "a"(r.rax), "D"(r.rdi), "S"(r.rsi), "d"(r.rdx), "r"(r10), "r"(r8), "r"(r9)
                   : "memory");
}

int main(int count, char** values) {
  if (count != 4) return 2;
  uint64_t base = strtoull(values[1], NULL, 0);
  uint64_t size = strtoull(values[2], NULL, 0);
  int plan = atoi(values[3]) % kPlans, tried = 0, faults = 0;
  // The gates are tried byte by byte, the rest of the code at a byte of each of its instructions.
  for (uint64_t offset = 0; offset < size; offset += offset < 0x100 ? 1 : 5) {
    pid_t pid = fork();
    if (pid == 0) {
      setsid();
      alarm(1);
      chance_state = offset * 977 + 1;
      jump_to(base + offset, registers_of(plan));
      _exit(0);
    }
    if (pid < 0) return printf("no process: %s\n", strerrorname_np(errno)), 1;
    int status = reap_within(pid, 20);
    tried++;
    faults += WIFSIGNALED(status);
  }
  printf("jumped to %d places, %d ended by a signal\n", tried, faults);
  return still_works();
}
