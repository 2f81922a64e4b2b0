/* Calls of patched sites. A site was "mov $NUMBER, %eax; syscall"; its first instruction is now a jump
 * to a trampoline (layout.h), which comes here with r11: its data. No signal frame is made: the
 * thread's record takes the registers. All that a system call preserves is preserved; rax, rcx and
 * r11 are free, as the processor's instruction destroys them. Nothing is pushed to the guest's stack,
 * whose red zone may be in use.
 *
 * An interrupt signal on the way in is noted in the record by its handler and seen on the way out;
 * from stub_leave to stub_leave_end the handler itself brings the way to its end (handlers.cc). */
#include "sandbox/platform/layout_macros.h"

#define REGISTER(n) (STUB_RECORD_REGISTERS + 8 * (n))
#define R15 REGISTER(0)
#define R14 REGISTER(1)
#define R13 REGISTER(2)
#define R12 REGISTER(3)
#define RBP REGISTER(4)
#define RBX REGISTER(5)
#define R11 REGISTER(6)
#define R10 REGISTER(7)
#define R9 REGISTER(8)
#define R8 REGISTER(9)
#define RAX REGISTER(10)
#define RCX REGISTER(11)
#define RDX REGISTER(12)
#define RSI REGISTER(13)
#define RDI REGISTER(14)
#define RIP REGISTER(15)
#define EFLAGS REGISTER(16)
#define RSP REGISTER(17)

        .text

        .globl  stub_enter, stub_probe, stub_decline, stub_frame, stub_leave, stub_leave_end
        .hidden stub_enter, stub_probe, stub_decline, stub_frame, stub_leave, stub_leave_end

        .balign 64
stub_enter:
        rdgsbase %rax
        /* A guest that sets gs itself has no record there: whoever finds none uses the site's own
         * instruction. The flags are still the guest's. */
stub_probe:
        movq    STUB_RECORD_SELF(%rax), %rcx
        notq    %rcx
        leaq    1(%rcx, %rax), %rcx
        jrcxz   have_record
stub_decline:
        movl    STUB_SITE_NUMBER(%r11), %eax
        movq    STUB_SITE_BEHIND(%r11), %rcx
        leaq    -2(%rcx), %rcx
        jmp     *%rcx

have_record:
        movq    %rsp, RSP(%rax)
        movq    %rax, %rsp
        movq    %rbx, RBX(%rax)
        movq    %rdi, RDI(%rax)
        movq    %rsi, RSI(%rax)
        movq    %rdx, RDX(%rax)
        movq    %r8, R8(%rax)
        movq    %r9, R9(%rax)
        movq    %r10, R10(%rax)
        movq    STUB_SITE_BEHIND(%r11), %rcx
        movq    %rcx, RIP(%rax)
        movq    %rcx, RCX(%rax)
        movl    STUB_SITE_NUMBER(%r11), %ecx
        movq    %rcx, RAX(%rax)
        pushfq
        popq    %rcx
        movq    %rcx, EFLAGS(%rax)
        movq    %rcx, R11(%rax)
        movq    %rbp, RBP(%rax)
        movq    %r12, R12(%rax)
        movq    %r13, R13(%rax)
        movq    %r14, R14(%rax)
        movq    %r15, R15(%rax)
        cld
        movq    %rax, %rbx
        movq    %rax, %rdi
        call    stub_call
        testl   %eax, %eax
        jnz     make_frame
        /* From the look at the flag on: an interrupt before it is seen. */
stub_leave:
        cmpl    $0, STUB_RECORD_INTERRUPTED(%rbx)
        jne     make_frame
        .macro  restore
        pushq   EFLAGS(%rbx)
        popfq
        movq    RAX(%rbx), %rax
        movq    RIP(%rbx), %rcx
        movq    R11(%rbx), %r11
        movq    RDI(%rbx), %rdi
        movq    RSI(%rbx), %rsi
        movq    RDX(%rbx), %rdx
        movq    R8(%rbx), %r8
        movq    R9(%rbx), %r9
        movq    R10(%rbx), %r10
        movq    RSP(%rbx), %rsp
        movq    RBX(%rbx), %rbx
        .endm
        restore
        jmp     *%rcx
stub_leave_end:

        /* The exception's frame has the registers of the guest but for its place, which is rcx. */
make_frame:
        movl    $0, STUB_RECORD_INTERRUPTED(%rbx)
        restore
stub_frame:
        ud2

        .section .note.GNU-stack, "", @progbits
