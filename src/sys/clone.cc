#include "sys/clone.h"

namespace caisson::sys {

#if defined(__x86_64__)

// Registers survive the call but for rax, rcx and r11; the child wakes up on the new stack with
// them.
__attribute__((naked, noinline)) static long clone_on_stack(clone_args*, std::size_t,
                                                            void (*)(void*), void*) {
  __asm__(
      "mov %rdx, %r8\n"
      "mov %rcx, %r9\n"
      "mov $435, %eax\n"
      "syscall\n"
      "test %rax, %rax\n"
      "jz 1f\n"
      "ret\n"
      "1:\n"
      "xor %ebp, %ebp\n"
      "mov %r9, %rdi\n"
      "call *%r8\n"
      "hlt\n");
}

#elif defined(__aarch64__)

__attribute__((naked, noinline)) static long clone_on_stack(clone_args*, std::size_t,
                                                            void (*)(void*), void*) {
  __asm__(
      "mov x8, #435\n"
      "svc 0\n"
      "cbz x0, 1f\n"
      "ret\n"
      "1:\n"
      "mov x29, #0\n"
      "mov x0, x3\n"
      "blr x2\n"
      "brk #0\n");
}

#endif

ErrnoOr<int> clone_sharing_memory(clone_args& args, void (*entry)(void*), void* argument) {
  long result = clone_on_stack(&args, sizeof args, entry, argument);
  if (failed(result)) return std::unexpected(Errno{static_cast<int>(-result)});
  return static_cast<int>(result);
}

}  // namespace caisson::sys
