/* The launcher's executable as data: extern "C" const unsigned char caisson_launcher_begin[], caisson_launcher_end[]; */
        .section .rodata.caisson_launcher, "a"
        .balign 4096
        .globl  caisson_launcher_begin
        .hidden caisson_launcher_begin
        .type   caisson_launcher_begin, %object
caisson_launcher_begin:
        .incbin CAISSON_LAUNCHER
        .globl  caisson_launcher_end
        .hidden caisson_launcher_end
caisson_launcher_end:
        .size   caisson_launcher_begin, caisson_launcher_end - caisson_launcher_begin
        .section .note.GNU-stack, "", %progbits
