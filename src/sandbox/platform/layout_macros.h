/* The numbers of layout.h that the stub's assembler needs too. What they mean stands there. */
#pragma once

#define STUB_REGION 0x7ff000000000
#define STUB_TEXT 0x7ff000010000
#define STUB_VDSO 0x7ff000100000
#define STUB_COMMANDS 0x7ff010000000
#define STUB_AREAS 0x7ff040000000
#define STUB_AREAS_END 0x7ff140000000
#define STUB_ADDRESS_SPACE_END 0x7ffffffff000

#define STUB_COMMAND_SIZE 0x1000
#define STUB_AREA_SIZE 0x10000
#define STUB_AREA_SHIFT 16
#define STUB_STACK_SIZE 0xd000
#define STUB_RECORD_OFFSET 0xf800
#define STUB_HEAD_OFFSET 0xfc00
#define STUB_CHUNK 4

/* Offsets in the text, of the instruction itself. */
#define STUB_GATE_SYSCALL 0x10
#define STUB_GATE_EVENT 0x20
#define STUB_GATE_ORDER 0x30
#define STUB_GATE_CLOSE 0x40
#define STUB_GATE_WAKE 0x50
#define STUB_GATE_EXIT 0x60
#define STUB_GATE_RECORD 0x70
#define STUB_GATE_RETURN 0x80
#define STUB_GATE_INJECT 0x90
#define STUB_SWAP 0xa0
#define STUB_SWAP_FAULT 0xb0
#define STUB_SWAP_LONG 0xc0
#define STUB_ENTER 0x100
#define STUB_HELPER 0x200
#define STUB_HELPER_END 0x600

#define STUB_FD_COMMANDS 0
#define STUB_FD_AREAS 1
#define STUB_FD_ANSWER 2
#define STUB_FD_LISTENER 3
#define STUB_FD_SLOT 4

/* Fields of HelperCommand and ThreadCommand. */
#define STUB_COMMAND_SEQUENCE 0
#define STUB_COMMAND_OPERATION 4
#define STUB_COMMAND_INDEX 8
#define STUB_COMMAND_MAP 12
#define STUB_COMMAND_COMMAND_AT 16
#define STUB_COMMAND_COMMAND_OFFSET 24
#define STUB_COMMAND_AREA_AT 32
#define STUB_COMMAND_AREA_OFFSET 40
#define STUB_COMMAND_KERNEL 48
#define STUB_COMMAND_LISTENS 52
#define STUB_COMMAND_FILTER_FLAGS 56
#define STUB_RECORD_SELF 0
#define STUB_RECORD_INTERRUPTED 8
#define STUB_RECORD_REGISTERS 16
#define STUB_THREAD_HOLD 0
#define STUB_THREAD_STACK 8

/* Of a trampoline in an island, from its data on. */
#define STUB_SITE_BEHIND 0
#define STUB_SITE_NUMBER 8

#define STUB_OPERATION_THREAD 1
#define STUB_OPERATION_FORK 2
