/* The stub's executable as data: extern "C" const unsigned char caisson_stub_begin[], caisson_stub_end[]; */
        .section .rodata.caisson_stub, "a"
        .balign 4096
        .globl  caisson_stub_begin
        .hidden caisson_stub_begin
        .type   caisson_stub_begin, %object
caisson_stub_begin:
        .incbin CAISSON_STUB
        .globl  caisson_stub_end
        .hidden caisson_stub_end
caisson_stub_end:
        .size   caisson_stub_begin, caisson_stub_end - caisson_stub_begin
        .section .note.GNU-stack, "", %progbits
