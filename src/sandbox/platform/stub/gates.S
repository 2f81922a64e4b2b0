/* The stub's only system call instructions, each at a place of its own by which seccomp filters know
 * what it is for (layout.h), and the helper thread, whose code is never trusted with a stack: guest
 * code can write to all memory that the stub can write to. */
#include <asm/unistd.h>
#include "sandbox/platform/layout_macros.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define PR_SET_PDEATHSIG 1
#define SIGKILL 9
#define PROT_READ 1
#define PROT_READ_WRITE 3
#define MAP_SHARED_FIXED 0x11
#define CLONE_PARENT 0x8000
#define CLONE_A_THREAD 0x50f00 /* VM FS FILES SIGHAND THREAD SYSVSEM */
#define SET_MODE_FILTER 1
#define CHUNK_COMMANDS (STUB_CHUNK * STUB_COMMAND_SIZE)
#define CHUNK_AREAS (STUB_CHUNK * STUB_AREA_SIZE)

        .section .gates, "ax", @progbits

        .macro gate name, offset
        .org    \offset, 0xcc
        .globl  \name
        .hidden \name
\name:
        syscall
        .endm

        gate    stub_gate_syscall, STUB_GATE_SYSCALL
        ret
        gate    stub_gate_event, STUB_GATE_EVENT
        ret
        gate    stub_gate_order, STUB_GATE_ORDER
        ret
        gate    stub_gate_close, STUB_GATE_CLOSE
        ret
        gate    stub_gate_wake, STUB_GATE_WAKE
        jmp     *%r8
        gate    stub_gate_exit, STUB_GATE_EXIT
        ud2
        gate    stub_gate_record, STUB_GATE_RECORD
        ret

        .org    STUB_GATE_RETURN - 5, 0xcc
        .globl  stub_return
        .hidden stub_return
stub_return:
        movl    $__NR_rt_sigreturn, %eax
        gate    stub_gate_return, STUB_GATE_RETURN
        ud2
        gate    stub_inject, STUB_GATE_INJECT
        int3

        /* eax: expected, esi: desired, rdi: where. Gives eax: found, edx: as it was, or EFAULT. */
        .org    STUB_SWAP, 0xcc
        .globl  stub_swap
        .hidden stub_swap
stub_swap:
        lock cmpxchgl %esi, (%rdi)
        ret
        .org    STUB_SWAP_FAULT, 0xcc
        movl    $14, %edx
        ret
        .org    STUB_SWAP_LONG, 0xcc
        .globl  stub_swap_long
        .hidden stub_swap_long
stub_swap_long:
        lock cmpxchgq %rsi, (%rdi)
        ret

        /* Where trampolines jump to. */
        .org    STUB_ENTER, 0xcc
        jmp     stub_enter

        /* The helper thread. r12: sequence number of the last command, r13: its command page. */
        .org    STUB_HELPER, 0xcc
        .globl  stub_helper
        .hidden stub_helper
        /* First process: rbx: end of the text, rbp: end of the vDSO. Removes all else. */
stub_helper:
        xorl    %esp, %esp
        movabsq $STUB_COMMANDS, %r13
        xorl    %edi, %edi
        movabsq $STUB_TEXT, %rsi
        movl    $__NR_munmap, %eax
        syscall
        movq    %rbx, %rdi
        movabsq $STUB_VDSO, %rsi
        subq    %rbx, %rsi
        movl    $__NR_munmap, %eax
        syscall
        movq    %rbp, %rdi
        movq    %r13, %rsi
        subq    %rbp, %rsi
        movl    $__NR_munmap, %eax
        syscall
        movabsq $(STUB_COMMANDS + CHUNK_COMMANDS), %rdi
        movabsq $(STUB_AREAS - STUB_COMMANDS - CHUNK_COMMANDS), %rsi
        movl    $__NR_munmap, %eax
        syscall
        movabsq $(STUB_AREAS + CHUNK_AREAS), %rdi
        movabsq $(STUB_ADDRESS_SPACE_END - STUB_AREAS - CHUNK_AREAS), %rsi
        movl    $__NR_munmap, %eax
        syscall
        xorl    %r12d, %r12d

next_command:
        movl    STUB_COMMAND_SEQUENCE(%r13), %eax
        cmpl    %r12d, %eax
        jne     have_command
        movq    %r13, %rdi
        xorl    %esi, %esi                      /* FUTEX_WAIT */
        movl    %r12d, %edx
        xorl    %r10d, %r10d
        movl    $__NR_futex, %eax
        syscall
        jmp     next_command
have_command:
        movl    %eax, %r12d
        movl    STUB_COMMAND_OPERATION(%r13), %eax
        cmpl    $STUB_OPERATION_THREAD, %eax
        je      make_thread
        cmpl    $STUB_OPERATION_FORK, %eax
        je      fork
        jmp     next_command

        /* eax: the result. It goes by the position of a file that only this thread can move, so that
         * guest code cannot forge it. */
answer:
        movl    %eax, %eax
        movq    %r12, %rsi
        shlq    $32, %rsi
        orq     %rax, %rsi
        movl    $STUB_FD_ANSWER, %edi
        xorl    %edx, %edx
        movl    $__NR_lseek, %eax
        syscall
        jmp     next_command

fork:
        movq    STUB_COMMAND_COMMAND_OFFSET(%r13), %r14
        movq    STUB_COMMAND_AREA_OFFSET(%r13), %r15
        movl    STUB_COMMAND_KERNEL(%r13), %ebp
        movl    $CLONE_PARENT, %edi
        xorl    %esi, %esi
        xorl    %edx, %edx
        xorl    %r10d, %r10d
        xorl    %r8d, %r8d
        movl    $__NR_clone, %eax
        syscall
        testl   %eax, %eax
        jnz     answer
        movl    $PR_SET_PDEATHSIG, %edi
        movl    $SIGKILL, %esi
        movl    $__NR_prctl, %eax
        syscall
        movl    $__NR_getppid, %eax
        syscall
        cmpl    %ebp, %eax
        jne     give_up
        movabsq $(STUB_COMMANDS + CHUNK_COMMANDS), %rdi
        movabsq $(STUB_AREAS - STUB_COMMANDS - CHUNK_COMMANDS), %rsi
        movl    $__NR_munmap, %eax
        syscall
        movabsq $(STUB_AREAS + CHUNK_AREAS), %rdi
        movabsq $(STUB_AREAS_END - STUB_AREAS - CHUNK_AREAS), %rsi
        movl    $__NR_munmap, %eax
        syscall
        movq    %r13, %rdi
        movl    $CHUNK_COMMANDS, %esi
        movl    $PROT_READ, %edx
        movl    $MAP_SHARED_FIXED, %r10d
        movl    $STUB_FD_COMMANDS, %r8d
        movq    %r14, %r9
        movl    $__NR_mmap, %eax
        syscall
        cmpq    %r13, %rax
        jne     give_up
        movabsq $STUB_AREAS, %rbx
        movq    %rbx, %rdi
        movl    $CHUNK_AREAS, %esi
        movl    $PROT_READ_WRITE, %edx
        movl    $MAP_SHARED_FIXED, %r10d
        movl    $STUB_FD_AREAS, %r8d
        movq    %r15, %r9
        movl    $__NR_mmap, %eax
        syscall
        cmpq    %rbx, %rax
        jne     give_up
        movl    $STUB_FD_ANSWER, %edi
        movl    $__NR_close, %eax
        syscall
        leaq    answer_name(%rip), %rdi
        xorl    %esi, %esi
        movl    $__NR_memfd_create, %eax
        syscall
        cmpl    $STUB_FD_ANSWER, %eax
        jne     give_up
        xorl    %r12d, %r12d
        jmp     next_command
give_up:
        movl    $1, %edi
        movl    $__NR_exit_group, %eax
        syscall
        ud2

make_thread:
        movl    STUB_COMMAND_LISTENS(%r13), %r15d
        testl   %r15d, %r15d
        jz      1f
        movl    $STUB_FD_LISTENER, %edi
        movl    $__NR_close, %eax
        syscall
1:      cmpl    $0, STUB_COMMAND_MAP(%r13)
        je      2f
        movq    STUB_COMMAND_COMMAND_AT(%r13), %rdi
        movl    $CHUNK_COMMANDS, %esi
        movl    $PROT_READ, %edx
        movl    $MAP_SHARED_FIXED, %r10d
        movl    $STUB_FD_COMMANDS, %r8d
        movq    STUB_COMMAND_COMMAND_OFFSET(%r13), %r9
        movl    $__NR_mmap, %eax
        syscall
        testq   %rax, %rax
        js      answer
        movq    STUB_COMMAND_AREA_AT(%r13), %rdi
        movl    $CHUNK_AREAS, %esi
        movl    $PROT_READ_WRITE, %edx
        movl    $MAP_SHARED_FIXED, %r10d
        movl    $STUB_FD_AREAS, %r8d
        movq    STUB_COMMAND_AREA_OFFSET(%r13), %r9
        movl    $__NR_mmap, %eax
        syscall
        testq   %rax, %rax
        js      answer
2:      movl    STUB_COMMAND_INDEX(%r13), %r14d
        movq    STUB_COMMAND_FILTER_FLAGS(%r13), %rbp
        movl    $CLONE_A_THREAD, %edi
        xorl    %esi, %esi
        xorl    %edx, %edx
        xorl    %r10d, %r10d
        xorl    %r8d, %r8d
        movl    $__NR_clone, %eax
        syscall
        testl   %eax, %eax
        jnz     answer

        /* The new thread. rbx: its command page, r14: its area's head. */
        movq    %r14, %rbx
        shlq    $12, %rbx
        addq    %r13, %rbx
        shlq    $STUB_AREA_SHIFT, %r14
        movabsq $(STUB_AREAS + STUB_HEAD_OFFSET), %rax
        addq    %rax, %r14
        leaq    STUB_THREAD_STACK(%rbx), %rdi
        xorl    %esi, %esi
        movl    $__NR_sigaltstack, %eax
        syscall
        testl   %eax, %eax
        js      thread_failed
        testl   %r15d, %r15d
        jz      hold
        movl    $SET_MODE_FILTER, %edi
        movq    %rbp, %rsi
        leaq    stub_thread_filter(%rip), %rdx
        movl    $__NR_seccomp, %eax
        syscall
        testl   %eax, %eax
        js      thread_failed
        addl    $1, %eax
        leaq    stub_begin(%rip), %r8
tell_ready:
        movl    %eax, (%r14)
        movq    %r14, %rdi
        movl    $FUTEX_WAKE, %esi
        movl    $1, %edx
        movl    $__NR_futex, %eax
        jmp     stub_gate_wake
        /* A thread begins by an exception, whose signal frame is its state from then on. */
        .globl  stub_begin
        .hidden stub_begin
stub_begin:
        ud2
thread_failed:
        leaq    1f(%rip), %r8
        jmp     tell_ready
1:      xorl    %edi, %edi
        movl    $__NR_exit, %eax
        jmp     stub_gate_exit

        /* ptrace: sleeps until its owner has become its tracer and gives it other registers. */
hold:
        leaq    1f(%rip), %r8
        movl    $1, %eax
        jmp     tell_ready
1:      cmpl    $0, STUB_THREAD_HOLD(%rbx)
        jne     2f
        leaq    STUB_THREAD_HOLD(%rbx), %rdi
        xorl    %esi, %esi
        xorl    %edx, %edx
        xorl    %r10d, %r10d
        movl    $__NR_futex, %eax
        syscall
        jmp     1b
2:      xorl    %edi, %edi
        movl    $__NR_exit, %eax
        jmp     stub_gate_exit

        .org    STUB_HELPER_END, 0xcc
answer_name:
        .asciz  "answer"

        .section .note.GNU-stack, "", @progbits
